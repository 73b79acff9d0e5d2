//! What the tool tells its user to do can be done, and what the user asked for
//! is done or refused: advice on calibrating, reports of one run, places that do
//! not exist yet.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::{Desk, Left};
use serde_json::Value;

const LOAD: [&str; 4] = ["--num-prompts", "8", "--concurrency", "2"];

/// The folder of one run that is there, and what made it.
fn profiled(desk: &Desk, more: &[&str]) -> (String, Left) {
    let left = desk.profile("api_server", "sim", &[&LOAD, more].concat());
    assert!(left.code <= 1, "{}", left.err);
    let folder = desk.runs().into_iter().find(|path| path.is_dir()).unwrap();
    (folder.to_str().unwrap().to_owned(), left)
}

/// A calibration of this machine for the load of these tests, of backends that
/// no arm of theirs is.
fn calibrate_others(desk: &Desk) {
    let words = "calibrate --backend tis-direct --concurrency 2 --first-token-ms 1 \
                 --per-token-ms 1 --output-tokens 2 --rounds 2 --no-ladder";
    let left = desk.run(&words.split_whitespace().collect::<Vec<_>>());
    assert_eq!(left.code, 0, "{}", left.err);
}

#[test]
fn a_report_of_one_run_takes_every_form() {
    let desk = Desk::new();
    let (folder, run) = profiled(&desk, &["--stream_output"]);
    let report = |more: &[&str]| {
        let left = desk.run(&[&["report", &folder], more].concat());
        assert_eq!(left.code, run.code, "{}", left.err);
        left
    };
    let json = report(&["--format", "json", "--csv", "y.csv"]);
    let found: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(found["arms"].as_array().unwrap().len(), 1);
    assert_eq!(found["valid"], run.code == 0);
    assert_eq!(found["comparison"], Value::Null);
    assert!(json.err.contains("row appended to y.csv"), "{}", json.err);
    let figure = found["arms"][0]["figures"]["requests"]["finished"].as_u64();
    assert_eq!(figure, Some(8));
    assert_eq!(desk.rows("y.csv").len(), 1);
    let markdown = report(&["--format", "md"]);
    assert!(
        markdown.out.contains(r"| backend | api\_server |"),
        "{}",
        markdown.out
    );
    assert!(!markdown.out.contains("ratio to"), "{}", markdown.out);
    let text = report(&["--html", "x.html"]);
    assert!(text.out.contains("page written to x.html"), "{}", text.out);
    let plain = report(&[]).out;
    assert!(text.out.starts_with(&plain), "{}\n{plain}", text.out);
    let page = std::fs::read_to_string(desk.path("x.html")).unwrap();
    assert!(page.contains("</html>") && page.contains("api_server"));
}

#[test]
fn what_takes_two_runs_is_refused_for_one() {
    let desk = Desk::new();
    let (folder, _) = profiled(&desk, &[]);
    for words in [
        ["--fail-if", "api_server.ttft_p99 > 1"],
        ["--fail-if", "api_server.ttft_p99 > 2 * api_server.ttft_p99"],
        ["--margin", "3%"],
        ["--primary", "ttft"],
    ] {
        let left = desk.run(&[&["report", &folder], &words[..]].concat());
        left.refused(&[words[0], "two or more"]);
        assert_eq!(left.out, "", "nothing is shown that was not asked for");
    }
}

#[test]
fn advice_on_calibrating_names_the_arms_of_the_comparison() {
    let desk = Desk::new();
    let arms = ["tis-chatbot=sim", "tis=sim", "api_server=sim"];
    let command = "`pairbench calibrate --backend tis --backend api_server --concurrency 2 \
                   --records ./pairbench-runs`";
    let without = desk.compare(&arms, &LOAD);
    assert!(without.err.contains(command), "{}", without.err);
    calibrate_others(&desk);
    let with = desk.compare(&arms, &LOAD);
    for name in ["tis", "api_server"] {
        let lacks = format!("it has nothing on {name}; make one that fits with {command}");
        assert!(with.err.contains(&lacks), "{}", with.err);
    }
}

#[test]
fn an_arm_that_cannot_be_calibrated_gets_no_such_advice() {
    let desk = Desk::new();
    calibrate_others(&desk);
    let left = desk.profile("tis-chatbot", "sim", &LOAD);
    assert!(left.err.contains("cannot be calibrated"), "{}", left.err);
    assert!(!left.err.contains("pairbench calibrate"), "{}", left.err);
    assert!(left.out.contains("cannot be calibrated"), "{}", left.out);
    // Nor where there is no calibration at all.
    let bare = Desk::new().profile("tis-python", "sim", &LOAD);
    assert!(!bare.err.contains("calibrate"), "{}", bare.err);
}

#[test]
fn the_calibration_that_is_advised_can_be_made() {
    let desk = Desk::new();
    let left = desk.compare(&["tis=sim", "api_server=sim"], &LOAD);
    let (_, advised) = left.err.split_once("`pairbench ").unwrap();
    let (advised, _) = advised.split_once('`').unwrap();
    let quick = ["--output-tokens", "2", "--rounds", "2", "--no-ladder"];
    let words: Vec<&str> = advised.split(' ').chain(quick).collect();
    let made = desk.run(&words);
    assert_eq!(made.code, 0, "{}", made.err);
    let with = desk.compare(&["tis=sim", "api_server=sim"], &LOAD);
    assert!(!with.err.contains("calibrat"), "{}", with.err);
    assert!(with.out.contains("floor mean, ms"), "{}", with.out);
}

#[test]
fn files_may_lie_in_the_folder_that_the_records_make() {
    let desk = Desk::new();
    let places = ["--records", "new/runs", "--csv", "new/runs/rows.csv"];
    let left = desk.profile("api_server", "sim", &[&LOAD, &places[..]].concat());
    assert!(left.code <= 1, "{}", left.err);
    assert_eq!(desk.rows("new/runs/rows.csv").len(), 1);
    let places = [
        "--records",
        "./other/",
        "--csv",
        "other/rows.csv",
        "--html",
        "other/page.html",
    ];
    let left = desk.compare(
        &["tis=sim", "api_server=sim"],
        &[&LOAD, &places[..]].concat(),
    );
    assert!(left.code <= 1, "{}", left.err);
    assert_eq!(desk.rows("other/rows.csv").len(), 2);
    assert!(desk.path("other/page.html").is_file());
    let above = ["--records", "up/runs", "--csv", "up/rows.csv"];
    let left = desk.profile("api_server", "sim", &[&LOAD, &above[..]].concat());
    assert!(left.code <= 1, "{}", left.err);
    assert_eq!(desk.rows("up/rows.csv").len(), 1);
    // Any other folder is a slip of the pen.
    let slip = ["--records", "third", "--csv", "thrid/rows.csv"];
    let left = desk.profile("api_server", "sim", &[&LOAD, &slip[..]].concat());
    left.refused(&["thrid", "does not exist"]);
    assert!(!desk.path("third").exists() && !desk.path("thrid").exists());
}
