//! What `--fail-if` makes of a whole comparison: the exit code, and the words and the
//! JSON that tell a condition that holds from a run that does not count.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::{Desk, Left, Server};
use serde_json::Value;

/// Four blocks of four requests.
const LOAD: [&str; 8] = [
    "--num-prompts",
    "16",
    "--concurrency",
    "2",
    "--blocks",
    "4",
    "--csv",
    "x.csv",
];

/// Two servers, the second one twice as fast.
struct Servers {
    arms: [String; 2],
    _running: [Server; 2],
}

impl Servers {
    fn start() -> Self {
        let server = |backend, ms| {
            let server = Server::start(backend, &["--sim-per-token-ms", ms]);
            (format!("{backend}={}", server.address), server)
        };
        let (slow, fast) = (server("tis-direct", "2"), server("api_server", "1"));
        Self {
            arms: [slow.0, fast.0],
            _running: [slow.1, fast.1],
        }
    }

    fn compare(&self, desk: &Desk, more: &[&str]) -> Left {
        let arms = self.arms.each_ref().map(String::as_str);
        desk.compare(&arms, &[&LOAD[..], more].concat())
    }
}

/// The report, and whether its figures count: on a busy machine they may not.
fn parsed(run: &Left) -> (Value, bool) {
    run.no_panic();
    let report: Value = serde_json::from_str(&run.out).unwrap();
    let valid = report["valid"].as_bool().unwrap();
    assert_eq!(valid, report["reasons"].as_array().unwrap().is_empty());
    (report, valid)
}

#[test]
fn a_condition_fails_the_command_only_where_it_surely_holds() {
    let (desk, servers) = (Desk::new(), Servers::start());
    let holds = "api_server.throughput > 1.1 * tis-direct.throughput";
    let run = servers.compare(&desk, &["--format", "json", "--fail-if", holds]);
    let (report, _) = parsed(&run);
    assert_eq!(run.code, 1, "{}", run.err);
    let of = &report["conditions"][0];
    assert_eq!(
        (&of["condition"], &of["outcome"]),
        (&holds.into(), &"holds".into())
    );
    let said = format!("FAILED: {}\n", of["sentence"].as_str().unwrap());
    assert!(said.contains("' holds: throughput of api_server divided by tis-direct's is"));
    assert!(run.err.contains(&said), "`{said}` is not in: {}", run.err);
    let figure = |key: &str| of[key].as_f64().unwrap();
    assert!(
        figure("low") > 1.1 && figure("low") < figure("estimate"),
        "{of}"
    );

    fails_by_nothing_else(&desk, figure("estimate"));
    let fewer = "api_server.throughput < tis-direct.throughput";
    let both = again(&desk, &["--fail-if", fewer, "--fail-if", holds]);
    assert_eq!(both.code, 1);
    for word in ["Not failed: ", "FAILED: "] {
        assert!(both.out.contains(word), "{}", both.out);
    }
    // What cannot be decided is an error, and costs nobody the report.
    let unknown = again(&desk, &["--format", "json", "--fail-if", "nobody.rps > 1"]);
    unknown.refused(&["nobody", "tis-direct"]);
    let report: Value = serde_json::from_str(&unknown.out).unwrap();
    assert_eq!(report["conditions"], Value::Array(Vec::new()));
}

/// The report of what was measured, under other conditions.
fn again(desk: &Desk, more: &[&str]) -> Left {
    let folders = desk.runs();
    let folders = folders.iter().filter_map(|folder| folder.to_str());
    let args: Vec<&str> = ["report"].into_iter().chain(folders).collect();
    desk.run(&[&args[..], more].concat())
}

/// What is wrong with the records, if anything is, is wrong under each condition;
/// one that does not hold, or is not decided, adds nothing to that.
fn fails_by_nothing_else(desk: &Desk, estimate: f64) {
    let fewer = "api_server.throughput < tis-direct.throughput".to_owned();
    // The interval has its estimate on either side.
    let near = format!("api_server.throughput > {estimate} * tis-direct.throughput");
    for (condition, outcome, words) in [
        (fewer, "does_not_hold", "' does not hold: "),
        (near, "undecided", "' is not decided: "),
    ] {
        let asked = |form| again(desk, &["--format", form, "--fail-if", &condition]);
        let run = asked("json");
        let (report, valid) = parsed(&run);
        assert_eq!(run.code, i32::from(!valid), "{}", run.err);
        assert_eq!(report["conditions"][0]["outcome"], outcome);
        // People read the same below their report.
        let text = asked("text");
        assert_eq!(text.code, run.code);
        assert!(!text.out.contains("FAILED"));
        let said = format!("Not failed: '{condition}{words}");
        for page in [&run.err, &text.out] {
            assert!(page.contains(&said), "`{said}` is not in: {page}");
        }
    }
}

#[test]
fn a_duet_has_its_headline_and_its_caveat() {
    let (desk, servers) = (Desk::new(), Servers::start());
    let run = servers.compare(&desk, &["--duet", "--format", "json"]);
    let (report, valid) = parsed(&run);
    assert_eq!(run.code, i32::from(!valid), "{}", run.err);
    assert_eq!(report["comparison"]["basis"]["duet"], true);
    let headline = report["headline"][0].as_str().unwrap();
    assert!(headline.contains("api_server generates "), "{headline}");
    assert!(
        headline.contains(" tokens per second than tis-direct"),
        "{headline}"
    );
    let notes = report["comparison"]["notes"].as_array().unwrap();
    let notes: Vec<&str> = notes.iter().filter_map(Value::as_str).collect();
    for part in [
        "Compared over 4 blocks of 4 requests, played by all arms at the same moment",
        "some answer from one host (tis-direct and api_server on this machine)",
    ] {
        assert!(notes.iter().any(|note| note.contains(part)), "{notes:?}");
    }
}
