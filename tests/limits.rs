//! What the system does not give is said, with the number or the name and the
//! cure; and no more is asked of it than is needed.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use std::process::Command;

use common::{Desk, Left, dataset, left, tokenizer};

/// Runs `profile` with at most so many open files.
fn with_files(desk: &Desk, files: u32, args: &str) -> Left {
    let binary = env!("CARGO_BIN_EXE_pairbench");
    let (tokenizer, dataset) = (tokenizer(), dataset());
    let script = format!(
        "ulimit -n {files}; exec {binary} profile {args} {tokenizer} {dataset} --warmup 0 \
         --output-len 4 --sim-max-running 1000 --sim-first-token-ms 700 --csv x.csv"
    );
    let mut shell = Command::new("sh");
    let run = shell.args(["-c", &script]).current_dir(desk.path(""));
    left(run.output().unwrap())
}

#[test]
fn too_few_open_files_are_named_before_the_run() {
    let desk = Desk::new();
    let load = "--num-prompts 400 --concurrency 400";
    let run = with_files(&desk, 300, &format!("--backend api_server sim {load}"));
    run.refused(&["open files", "300", "--concurrency", "ulimit -n"]);
    assert!(!desk.path("pairbench-runs").exists());
}

#[test]
fn calls_that_share_a_connection_need_few_files() {
    let desk = Desk::new();
    let load = "--num-prompts 400 --concurrency 400";
    let run = with_files(&desk, 200, &format!("--backend tis-ensemble sim {load}"));
    assert!(run.code <= 1, "{}", run.err);
    let row = &desk.rows("x.csv")[0];
    assert_eq!(
        (row["failed"].as_str(), row["in_flight_peak"].as_str()),
        ("0", "400")
    );
}

/// A label longer than the 63 bytes that a name's may have (RFC 1035): no
/// resolver knows it, and none has to be asked.
#[test]
fn a_name_without_an_address_is_named() {
    for backend in ["tis", "api_server"] {
        let desk = Desk::new();
        let address = format!("{}.invalid:23333", "long".repeat(16));
        let run = desk.profile(backend, &address, &["--num-prompts", "4"]);
        run.refused(&["name of the host is not known", "longlong"]);
        assert!(!run.err.contains("is the server running"), "{}", run.err);
    }
}
