//! A server that fails, dies or hangs in the middle of a run costs the open
//! requests, not the run; nothing that had finished is lost.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::{Desk, Server, dataset, left, tokenizer};

const LOAD: &[&str] = &["--num-prompts", "24", "--concurrency", "4", "--warmup", "0"];

fn finished_and_failed(desk: &Desk, csv: &str) -> (u64, u64) {
    let rows = desk.rows(csv);
    let failed = rows[0]["failed"].parse().unwrap();
    let lines = std::fs::read_to_string(desk.runs()[0].join("requests.jsonl")).unwrap();
    let ok = lines
        .lines()
        .filter(|line| line.contains("\"outcome\":\"ok\""))
        .count();
    (ok as u64, failed)
}

#[test]
fn failures_are_counted_and_make_the_run_invalid() {
    for backend in [
        "tis",
        "tis-chatbot",
        "tis-direct",
        "tis-ensemble",
        "tis-python",
        "api_server",
    ] {
        for how in ["error", "cut", "refuse"] {
            let desk = Desk::new();
            let script = format!("fail={how} after=2 every=6");
            let script = if how == "refuse" {
                "fail=refuse every=6".to_owned()
            } else {
                script
            };
            let run = [
                LOAD,
                &["--stream_output", "--csv", "x.csv", "--sim-script", &script],
            ];
            let run = desk.profile(backend, "sim", &run.concat());
            assert_eq!(run.code, 1, "{backend} {how}: {}{}", run.out, run.err);
            run.no_panic();
            assert!(run.out.contains("INVALID"), "{backend} {how}: {}", run.out);
            assert_eq!(
                finished_and_failed(&desk, "x.csv"),
                (20, 4),
                "{backend} {how}"
            );
        }
    }
}

#[test]
fn a_silent_server_is_given_up_on() {
    for backend in ["tis", "api_server"] {
        let desk = Desk::new();
        let script = [
            "--sim-script",
            "fail=stall after=2 every=12",
            "--token-timeout",
            "0.5",
        ];
        let run = [LOAD, &["--stream_output", "--csv", "x.csv"], &script].concat();
        let run = desk.profile(backend, "sim", &run);
        assert_eq!(run.code, 1, "{}", run.err);
        assert!(run.out.contains("timeout_between_tokens"), "{}", run.out);
        assert_eq!(finished_and_failed(&desk, "x.csv"), (22, 2), "{backend}");
    }
}

#[test]
fn a_server_that_dies_costs_the_open_requests() {
    for backend in ["tis", "tis-ensemble", "api_server"] {
        let desk = Desk::new();
        let mut server = Server::start(backend, &["--sim-per-token-ms", "5"]);
        let (tokenizer, dataset) = (tokenizer(), dataset());
        let mut args = vec![
            "profile",
            "--backend",
            backend,
            &server.address,
            &tokenizer,
            &dataset,
        ];
        args.extend(LOAD);
        args.extend(["--stream_output", "--csv", "x.csv"]);
        let run = desk.command(&args);
        let run = spawn_and(run, &desk, || server.stop());
        assert_eq!(run.code, 1, "{backend}: {}{}", run.out, run.err);
        run.no_panic();
        let (finished, failed) = finished_and_failed(&desk, "x.csv");
        assert!(
            finished >= 1 && failed >= 1,
            "{backend}: {finished} {failed}"
        );
        assert_eq!(
            finished + failed,
            24,
            "{backend}: every request is accounted for"
        );
    }
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_keeps_what_had_finished() {
    let desk = Desk::new();
    let (tokenizer, dataset) = (tokenizer(), dataset());
    let mut args = vec![
        "profile",
        "--backend",
        "api_server",
        "sim",
        &tokenizer,
        &dataset,
    ];
    args.extend([
        "--num-prompts",
        "200",
        "--concurrency",
        "2",
        "--csv",
        "x.csv",
    ]);
    args.extend(["--sim-per-token-ms", "10"]);
    let mut child = desk
        .command(&args)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_a_record(&desk, &mut child);
    let id = child.id().to_string();
    let kill = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status()
        .unwrap();
    assert!(kill.success());
    let run = left(child.wait_with_output().unwrap());
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    assert!(run.out.contains("INVALID"), "{}", run.out);
    let (finished, failed) = finished_and_failed(&desk, "x.csv");
    assert!(
        finished >= 1 && finished + failed < 200,
        "{finished} {failed}"
    );
    let folder = desk.runs()[0].to_str().unwrap().to_owned();
    assert_eq!(desk.run(&["report", &folder]).code, 1);
}

#[test]
fn an_arm_that_cannot_start_is_found_out_before_any_is_measured() {
    let desk = Desk::new();
    let refusing = Server::start("api_server", &["--sim-script", "fail=refuse"]);
    let arm = format!("api_server={}", refusing.address);
    let load = ["--num-prompts", "8", "--concurrency", "2", "--csv", "x.csv"];
    let run = desk.compare(&["tis=sim", &arm], &load);
    run.refused(&["--backend api_server at", "warm-up"]);
    assert!(run.out.is_empty(), "{}", run.out);
    assert!(!desk.path("x.csv").exists() && !desk.path("pairbench-runs").exists());
}

#[test]
#[cfg(unix)]
fn a_full_disk_is_called_so() {
    let desk = Desk::new();
    let (tokenizer, dataset) = (tokenizer(), dataset());
    let binary = env!("CARGO_BIN_EXE_pairbench");
    // The shell's limit on file sizes stands for the disk: blocks of 512 or
    // 1,024 bytes, and SIGXFSZ ignored so that the write fails instead.
    let script = format!(
        "trap '' XFSZ; ulimit -f 16; exec {binary} profile --backend api_server sim {tokenizer} \
         {dataset} --num-prompts 40 --concurrency 8 --warmup 0 --sim-per-token-ms 0.2"
    );
    let mut shell = std::process::Command::new("sh");
    let run = shell
        .args(["-c", &script])
        .current_dir(desk.path(""))
        .output()
        .unwrap();
    let run = left(run);
    run.refused(&["cannot write", "requests.jsonl"]);
}

/// Starts a run, does `then` when its first request has finished, and waits
/// for its end.
fn spawn_and(mut run: std::process::Command, desk: &Desk, then: impl FnOnce()) -> common::Left {
    let mut child = run
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_a_record(desk, &mut child);
    then();
    left(child.wait_with_output().unwrap())
}

fn wait_for_a_record(desk: &Desk, child: &mut std::process::Child) {
    loop {
        let written = desk.path("pairbench-runs").is_dir()
            && desk.runs().iter().any(|folder| {
                std::fs::metadata(folder.join("requests.jsonl")).is_ok_and(|file| file.len() > 0)
            });
        if written || child.try_wait().unwrap().is_some() {
            return;
        }
        // Looks again soon, without taking a core from what it waits for.
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
