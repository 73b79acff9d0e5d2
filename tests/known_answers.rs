//! Whole runs against servers whose answers are known: counts exactly, times
//! from below (a busy machine may only be slower).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod common;

use std::collections::BTreeMap;

use common::Desk;

const ARMS: &[&str] = &[
    "tis",
    "tis-chatbot",
    "tis-direct",
    "tis-ensemble",
    "tis-python",
    "api_server",
];

fn number(row: &BTreeMap<String, String>, column: &str) -> f64 {
    row[column]
        .parse()
        .unwrap_or_else(|_| panic!("{column} is `{}`", row[column]))
}

/// A busy machine may make the client late; nothing else may be wrong.
fn sound(row: &BTreeMap<String, String>) {
    let excused = ["-", "client_slip", "client_cpu", "client_waits"];
    let sound = row["reasons"]
        .split("; ")
        .all(|reason| excused.contains(&reason));
    assert!(sound, "{}: {}", row["backend"], row["reasons"]);
    assert_eq!(row["valid"] == "yes", row["reasons"] == "-");
}

#[test]
fn every_backend_counts_what_was_asked_and_does_the_same_work() {
    let desk = Desk::new();
    let load = [
        "--num-prompts",
        "12",
        "--concurrency",
        "3",
        "--csv",
        "x.csv",
        "--stream_output",
    ];
    for stream in ["true", "false"] {
        for backend in ARMS {
            let run = desk.profile(backend, "sim", &[&load[..], &[stream]].concat());
            run.no_panic();
            assert!(run.code <= 1, "{backend}: {}", run.err);
            assert!(run.out.contains("simulated"), "{}", run.out);
        }
    }
    let rows = desk.rows("x.csv");
    assert_eq!(rows.len(), 12);
    for row in &rows {
        let backend = &row["backend"];
        sound(row);
        assert_eq!(row["failed"], "0", "{backend}");
        assert_eq!(
            row["completion_tokens"], row["requested_tokens"],
            "{backend}"
        );
        assert_eq!(row["workload"], rows[0]["workload"], "{backend}");
        assert_eq!(row["prompt_tokens"], rows[0]["prompt_tokens"], "{backend}");
        assert_eq!(row["in_flight_peak"], "3", "{backend}");
        assert!(number(row, "completion_tokens") > 12.0, "{backend}");
        let streaming = row["stream"] == "true";
        assert_eq!(row["FTL(ave)(s)"] == "-", !streaming, "{backend}");
    }
}

#[test]
fn times_are_the_engines_and_not_less() {
    for backend in ["tis-direct", "tis-ensemble", "api_server"] {
        let desk = Desk::new();
        let load = [
            "--num-prompts",
            "6",
            "--concurrency",
            "1",
            "--csv",
            "x.csv",
            "--stream_output",
        ];
        let engine = ["--sim-first-token-ms", "40", "--sim-per-token-ms", "4"];
        let run = desk.profile(backend, "sim", &[&load[..], &engine].concat());
        assert!(run.code <= 1, "{}", run.err);
        let row = &desk.rows("x.csv")[0];
        let first_s = number(row, "FTL(min)(s)");
        assert!(first_s >= 0.040, "{backend}: first token after {first_s} s");
        let tokens = number(row, "completion_tokens");
        let least_s = 6.0 * 0.040 + (tokens - 6.0) * 0.004;
        let elapsed_s = number(row, "elapsed(s)");
        assert!(
            elapsed_s >= least_s - 0.001,
            "{backend}: {elapsed_s} s, at least {least_s} s"
        );
        // LMDeploy's columns have three decimals.
        let rps = number(row, "RPS");
        assert!(
            (rps - 6.0 / elapsed_s).abs() < 0.002,
            "{backend}: {rps} in {elapsed_s} s"
        );
        let rate = number(row, "throughput(out tok/s)");
        assert!(
            (rate - tokens / elapsed_s).abs() < 0.002 * rate,
            "{backend}: {rate}"
        );
    }
}

#[test]
fn another_seed_is_other_work() {
    let desk = Desk::new();
    for seed in ["0", "1", "0"] {
        let load = [
            "--num-prompts",
            "4",
            "--concurrency",
            "4",
            "--csv",
            "x.csv",
            "--seed",
            seed,
        ];
        assert!(desk.profile("api_server", "sim", &load).code <= 1);
    }
    let digests: Vec<String> = desk
        .rows("x.csv")
        .iter()
        .map(|row| row["workload"].clone())
        .collect();
    assert_ne!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

#[test]
fn a_comparison_has_one_row_per_arm_and_says_what_it_is() {
    let desk = Desk::new();
    let load = [
        "--num-prompts",
        "16",
        "--concurrency",
        "2",
        "--csv",
        "x.csv",
    ];
    let run = desk.compare(&["tis=sim", "api_server=sim"], &load);
    assert!(run.code <= 1, "{}{}", run.out, run.err);
    let rows = desk.rows("x.csv");
    rows.iter().for_each(sound);
    let arms: Vec<&str> = rows.iter().map(|row| row["backend"].as_str()).collect();
    assert_eq!(arms, ["tis", "api_server"]);
    assert!(run.out.contains("simulated"), "{}", run.out);
    for row in &rows {
        assert!(run.out.contains(&row["workload"]), "{}", run.out);
    }
}

#[test]
fn a_template_on_one_side_is_found_and_named() {
    let desk = Desk::new();
    let server = common::Server::start("api_server", &["--sim-chat-template"]);
    let load = [
        "--num-prompts",
        "16",
        "--concurrency",
        "2",
        "--csv",
        "x.csv",
    ];
    let arm = format!("api_server={}", server.address);
    let run = desk.compare(&["tis=sim", &arm], &load);
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    assert!(
        run.out.contains("INVALID") && run.out.contains("chat template"),
        "{}",
        run.out
    );
}

#[test]
fn raw_and_chat_runs_are_not_comparable() {
    let desk = Desk::new();
    for mode in ["raw", "chat"] {
        let load = ["--num-prompts", "4", "--concurrency", "2", "--csv", "x.csv"];
        let run = desk.profile(
            "api_server",
            "sim",
            &[&load[..], &["--prompt", mode]].concat(),
        );
        assert!(run.code <= 1, "{}", run.err);
    }
    desk.rows("x.csv").iter().for_each(sound);
    let folders: Vec<String> = desk
        .runs()
        .iter()
        .map(|run| run.to_str().unwrap().to_owned())
        .collect();
    let report = desk.run(&["report", &folders[0], &folders[1], "--csv", "y.csv"]);
    assert_eq!(report.code, 1, "{}", report.err);
    for row in desk.rows("y.csv") {
        assert!(
            row["reasons"].contains("prompt_mode_differs"),
            "{}",
            row["reasons"]
        );
    }
}

#[test]
fn runs_of_other_work_are_refused_with_what_differs() {
    let desk = Desk::new();
    for seed in ["1", "2"] {
        let load = ["--num-prompts", "4", "--concurrency", "2", "--csv", "x.csv"];
        let run = desk.profile(
            "api_server",
            "sim",
            &[&load[..], &["--seed", seed]].concat(),
        );
        assert!(run.code <= 1, "{}", run.err);
    }
    let folders: Vec<String> = desk
        .runs()
        .iter()
        .map(|run| run.to_str().unwrap().to_owned())
        .collect();
    for format in ["text", "md", "json"] {
        let args = ["report", &folders[0], &folders[1], "--format", format];
        let report = desk.run(&[&args[..], &["--html", "page.html"]].concat());
        assert_eq!(report.code, 1, "{}", report.err);
        let page = std::fs::read_to_string(desk.path("page.html")).unwrap();
        for told in [&report.out, &page] {
            let words: Vec<&str> = told.split_whitespace().collect();
            let told = words.join(" ");
            assert!(told.contains("seed 1 and 2"), "{format}: {told}");
            // Nothing is worked out from unequal work.
            assert!(!told.contains("ratio to"), "{format}: {told}");
            assert!(!told.contains("waterfalls\": [ {"), "{told}");
        }
    }
}

#[test]
fn a_report_is_made_again_from_the_records() {
    let desk = Desk::new();
    let load = [
        "--num-prompts",
        "8",
        "--concurrency",
        "2",
        "--csv",
        "x.csv",
        "--stream_output",
    ];
    let run = desk.profile("tis", "sim", &load);
    let folder = desk.runs()[0].to_str().unwrap().to_owned();
    let again = desk.run(&["report", &folder, "--csv", "y.csv"]);
    assert_eq!(again.code, run.code);
    let page = |out: &str, end: &str| out.split_once(end).unwrap().0.to_owned();
    assert_eq!(
        page(&run.out, "\nrecords in"),
        page(&again.out, "\nrow appended")
    );
    assert_eq!(desk.rows("x.csv"), desk.rows("y.csv"));
}
