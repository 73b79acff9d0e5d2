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
