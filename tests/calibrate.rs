//! `calibrate`, and what the runs after it make of its result. Nothing here
//! asserts a time: a busy machine delays whom it will.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::{Desk, Left};
use serde_json::{Value, json};

/// A load that is over in a second.
const SMALL: &[&str] = &[
    "calibrate",
    "--concurrency",
    "4",
    "--first-token-ms",
    "10",
    "--per-token-ms",
    "2",
    "--output-tokens",
    "6",
    "--requests-per-slot",
    "2",
    "--rounds",
    "2",
];

const FILE: &str = "pairbench-runs/calibration.json";

fn stored(desk: &Desk) -> Value {
    serde_json::from_slice(&std::fs::read(desk.path(FILE)).unwrap()).unwrap()
}

fn store(desk: &Desk, calibration: &Value) {
    std::fs::write(desk.path(FILE), calibration.to_string()).unwrap();
}

/// Makes a small calibration, without its ladder.
fn calibrated(desk: &Desk) -> Left {
    let left = desk.run(&[SMALL, &["--no-ladder"]].concat());
    assert_eq!(left.code, 0, "{}{}", left.out, left.err);
    left
}

/// The engines of the two arms are a millisecond apart from token to token.
fn compared(desk: &Desk, concurrency: &str) -> Left {
    let load = ["--concurrency", concurrency, "--num-prompts", "8"];
    let arms = ["tis-direct=sim", "api_server=sim"];
    let left = desk.compare(&arms, &[&load[..], &["--csv", "x.csv"]].concat());
    assert!(left.code <= 1, "{}{}", left.out, left.err);
    left.no_panic();
    left
}

#[test]
fn every_figure_is_on_the_page_and_in_the_file() {
    let desk = Desk::new();
    let left = calibrated(&desk);
    for part in [
        "hand-over to mark (floor)",
        "issue to arrival of a request",
        "first token: error",
        "slip",
        "CPU per token, us",
        "api_server - tis-direct",
        "tis-direct   tis-ensemble   api_server",
        "stored in ./pairbench-runs/calibration.json",
    ] {
        assert!(left.out.contains(part), "`{part}` is not in: {}", left.out);
    }
    let file = stored(&desk);
    assert_eq!(file["format"], 2);
    assert_eq!(file["load"]["concurrency"], 4);
    let backends = file["backends"].as_array().unwrap();
    assert_eq!(backends.len(), 3);
    for backend in backends {
        // 2 rounds or, where they leave the floors little known, up to 6; of each 4
        // slots, 2 requests each, 6 tokens
        let rounds = backend["rounds"].as_array().unwrap().len();
        assert!((2..=6).contains(&rounds), "{rounds} rounds");
        assert_eq!(file["load"]["rounds"], rounds);
        assert_eq!(backend["floor"]["count"], rounds * 48);
        assert_eq!(backend["request"]["count"], rounds * 8);
        assert_eq!(backend["first_token_error"]["count"], rounds * 8);
        assert_eq!(backend["gap_error"]["count"], rounds * 40);
        let floor = &backend["floor"];
        let figure = |name: &str| floor[name].as_i64().unwrap();
        assert!(figure("mean_ns") > 0, "no mark comes before its hand-over");
        assert!(figure("p50_ns") <= figure("p99_ns") && figure("p99_ns") <= figure("max_ns"));
    }
    // Forward, then backward, whatever was played again in between.
    let places: Vec<Vec<i64>> = backends
        .iter()
        .map(|backend| {
            let rounds = backend["rounds"].as_array().unwrap().iter();
            rounds
                .map(|round| round["place"].as_i64().unwrap())
                .collect()
        })
        .collect();
    let mut in_turn = Vec::new();
    for pass in 0..places[0].len() {
        let mut of_pass: Vec<i64> = places.iter().map(|of| of[pass]).collect();
        if pass % 2 == 1 {
            of_pass.reverse();
        }
        in_turn.extend(of_pass);
    }
    assert!(in_turn.is_sorted_by(|one, next| one < next), "{places:?}");
    // Nothing but the result is left behind.
    assert_eq!(desk.runs().len(), 1);
}

#[test]
fn the_chained_models_and_a_ladder_can_be_calibrated() {
    let desk = Desk::new();
    let load = ["--backend", "tis", "--concurrency", "1024"];
    let quick = ["--per-token-ms", "200", "--output-tokens", "2"];
    let rounds = ["--rounds", "2", "--requests-per-slot", "1"];
    let left = desk.run(&[&["calibrate"], &load[..], &quick, &rounds].concat());
    assert_eq!(left.code, 0, "{}{}", left.out, left.err);
    assert!(left.out.contains("ladder of tis:"), "{}", left.out);
    let file = stored(&desk);
    let ladder = file["backends"][0]["ladder"].as_array().unwrap();
    assert_eq!(ladder[0]["streams"], 1024);
    let words = ["none", "client", "server", "machine", "host"];
    for rung in ladder {
        assert!(words.contains(&rung["limit"].as_str().unwrap()), "{rung}");
    }
}

#[test]
fn a_run_carries_what_its_calibration_says() {
    let desk = Desk::new();
    calibrated(&desk);
    let run = compared(&desk, "4");
    for part in [
        "floor mean, ms",
        "floor p99, ms",
        "Client floor of api_server",
    ] {
        assert!(run.out.contains(part), "`{part}` is not in: {}", run.out);
    }
    assert!(!run.err.contains("pairbench calibrate"), "{}", run.err);
    // The report is made from the runs' own folders.
    std::fs::remove_file(desk.path(FILE)).unwrap();
    let folders = desk.runs();
    let folders: Vec<&str> = folders.iter().map(|path| path.to_str().unwrap()).collect();
    let report = desk.run(&[&["report"], &folders[..]].concat());
    assert!(report.out.contains("Client floor of"), "{}", report.out);
    let report = desk.run(&["report", folders[0]]);
    assert!(report.out.contains("client floor "), "{}", report.out);
}

#[test]
fn a_floor_too_high_for_the_claim_makes_a_comparison_invalid() {
    let desk = Desk::new();
    calibrated(&desk);
    let mut file = stored(&desk);
    // A second and more: above 5 % of any difference that these runs can show.
    for backend in file["backends"].as_array_mut().unwrap() {
        backend["floor"]["mean_ns"] = json!(60_000_000_000_i64);
    }
    store(&desk, &file);
    let (tokenizer, dataset) = (common::tokenizer(), common::dataset());
    // One arm asks another engine, so that a difference is claimed.
    let slow = common::Server::start("api_server", &["--sim-first-token-ms", "400"]);
    let arm = format!("api_server={}", slow.address);
    let arms = ["--backend", "tis-direct=sim", "--backend", &arm];
    let load = ["--concurrency", "4", "--num-prompts", "8", "--csv", "x.csv"];
    let load = [&load[..], &["--blocks", "2"]].concat();
    let line = [&["compare", &tokenizer, &dataset], &arms[..], &load].concat();
    let run = desk.run(&line);
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    let page = run.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "INVALID",
        "above 5 % of that difference (rule 4)",
        "60,000.000 ms",
    ] {
        assert!(page.contains(part), "`{part}` is not in: {page}");
    }
    let rows = desk.rows("x.csv");
    assert!(rows[1]["reasons"].contains("client_floor"), "{:?}", rows[1]);
}

#[test]
fn a_calibration_that_does_not_fit_is_named_and_not_used() {
    let desk = Desk::new();
    calibrated(&desk);
    let run = compared(&desk, "1");
    let why = "made with 4 requests in flight, this run has 1";
    assert!(run.err.contains(why), "{}", run.err);
    let page = run.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(why), "{page}");
    assert!(!run.out.contains("floor mean"), "{}", run.out);
    let mut file = stored(&desk);
    file["host"]["cpu"] = json!("another processor");
    store(&desk, &file);
    let run = compared(&desk, "4");
    assert!(run.err.contains("another machine"), "{}", run.err);
}

#[test]
fn a_broken_calibration_is_named_and_ignored() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("pairbench-runs")).unwrap();
    for (content, words) in [
        ("{\"format\": 1", "damaged"),
        ("{\"format\": 7}", "format 7"),
    ] {
        std::fs::write(desk.path(FILE), content).unwrap();
        let run = compared(&desk, "4");
        assert!(run.err.contains(words), "{}", run.err);
        assert!(run.err.contains("pairbench calibrate"), "{}", run.err);
        assert!(!run.out.contains("floor mean"), "{}", run.out);
    }
}

#[test]
fn without_a_calibration_one_line_says_how_to_make_one() {
    let desk = Desk::new();
    let run = compared(&desk, "4");
    let lines = run.err.matches("pairbench calibrate").count();
    assert_eq!(lines, 1, "{}", run.err);
    assert!(run.err.contains("--concurrency 4"), "{}", run.err);
    let demo = desk.run(&["demo", "--num-prompts", "8", "--concurrency", "2"]);
    assert!(!demo.err.contains("calibrate"), "{}", demo.err);
}

#[test]
fn what_cannot_be_calibrated_is_refused() {
    let desk = Desk::new();
    for (words, parts) in [
        (
            &["--backend", "tis-python"][..],
            &["tis-python", "tis-direct"][..],
        ),
        (&["--backend", "nobody"], &["nobody", "api_server"]),
        (&["--rounds", "1"], &["--rounds 1"]),
        (&["--records", "file/below"], &["--records"]),
    ] {
        desk.write("file", "");
        desk.run(&[&["calibrate"], words].concat()).refused(parts);
    }
    assert!(!desk.path("pairbench-runs").exists(), "nothing was made");
}
