//! What had finished is kept, and read, whatever ends a run: a kill, a full disk,
//! a server that is unplugged, the user; and files that are shared are whole.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;
#[path = "common/kills.rs"]
mod kills;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use backends::Clock;
use common::{Desk, Left, Server, dataset, left, tokenizer};

/// A hundred of each: `cargo bench --bench endure -- --kills 100`.
#[test]
fn a_kill_costs_no_request_that_was_answered_a_second_before() {
    for kind in kills::KINDS {
        println!("{}", kills::kill(kind, 3, 7));
    }
}

const TWO: [&str; 2] = ["tis-ensemble=sim", "api_server=sim"];

/// Starts `profile` or `compare` with the bundled data.
fn start(desk: &Desk, verb: &str, arms: &[&str], more: &[&str]) -> Child {
    let (tokenizer, dataset) = (tokenizer(), dataset());
    let mut args = vec![verb];
    match arms {
        [arm] => {
            let (backend, address) = arm.split_once('=').unwrap();
            args.extend(["--backend", backend, address]);
        }
        _ => arms.iter().for_each(|arm| args.extend(["--backend", arm])),
    }
    args.extend([
        tokenizer.as_str(),
        &dataset,
        "--csv",
        "x.csv",
        "--warmup",
        "0",
    ]);
    args.extend(more);
    let mut command = desk.command(&args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits until some run's file has so many lines.
fn wait_for(desk: &Desk, child: &mut Child, file: &str, lines: usize) {
    let has = |folder: &PathBuf| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        text.lines().count() >= lines
    };
    while !(desk.path("pairbench-runs").is_dir() && desk.runs().iter().any(has)) {
        assert!(child.try_wait().unwrap().is_none(), "ended too early");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: u32, name: &str) {
    let status = Command::new("kill")
        .args([name, &child.to_string()])
        .status();
    assert!(status.unwrap().success());
}

fn words(paths: &[PathBuf]) -> Vec<&str> {
    paths.iter().map(|path| path.to_str().unwrap()).collect()
}

/// One line, however the report was wrapped.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_comparison_that_was_killed_says_which_blocks_are_whole() {
    let desk = Desk::new();
    let load = ["--num-prompts", "48", "--concurrency", "4", "--blocks", "4"];
    let mut child = start(&desk, "compare", &TWO, &load);
    wait_for(&desk, &mut child, "blocks.jsonl", 2);
    child.kill().unwrap();
    child.wait().unwrap();
    let runs = desk.runs();
    let args = [&["report"][..], &words(&runs), &["--html", "x.html"]].concat();
    let report = desk.run(&args);
    assert_eq!(report.code, 1, "{}", report.err);
    report.no_panic();
    let text = flat(&report.out);
    for part in [
        "tis-ensemble: the run died before its end",
        "of 48 requests have a record",
    ] {
        assert!(text.contains(part), "{part} is not in {}", report.out);
    }
    assert!(text.contains("of 4 blocks"), "{}", report.out);
    assert!(
        text.contains("are whole") || text.contains("is whole"),
        "{}",
        report.out
    );
    assert!(
        std::fs::read_to_string(desk.path("x.html"))
            .unwrap()
            .contains("</html>")
    );
    for format in ["md", "json"] {
        let args = [&["report"][..], &words(&runs), &["--format", format]].concat();
        assert_eq!(desk.run(&args).code, 1);
    }
}

#[test]
fn a_last_line_that_is_torn_anywhere_costs_itself_only() {
    let desk = Desk::new();
    let load = ["--num-prompts", "8", "--concurrency", "2", "--warmup", "0"];
    let run = desk.profile(
        "api_server",
        "sim",
        &[&load[..], &["--csv", "x.csv"]].concat(),
    );
    assert!(run.code <= 1, "{}", run.err);
    let folder = desk.runs().pop().unwrap();
    let requests = folder.join("requests.jsonl");
    let text = std::fs::read(&requests).unwrap();
    let last = text[..text.len() - 1]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .unwrap()
        + 1;
    let length = text.len() - last;
    std::fs::remove_file(folder.join("end.json")).unwrap();
    for kept in [0, 1, length / 3, length - 2, length - 1] {
        std::fs::write(&requests, &text[..last + kept]).unwrap();
        let report = desk.run(&["report", folder.to_str().unwrap()]);
        assert_eq!(report.code, 1, "{}", report.err);
        let words = flat(&report.out);
        // Without its line feed, the last line is whole all the same.
        let (there, torn) = (
            if kept == length - 1 { 8 } else { 7 },
            kept > 0 && kept < length - 1,
        );
        assert!(
            words.contains(&format!("{there} of 8 requests have a record")),
            "{words}"
        );
        assert_eq!(
            words.contains("1 line could not be read"),
            torn,
            "{kept}: {words}"
        );
    }
}

/// The shell's limit on file sizes stands for the disk: blocks of 512 or 1,024
/// bytes, and SIGXFSZ ignored so that the write fails instead.
fn on_a_small_disk(desk: &Desk, args: &str) -> Left {
    let binary = env!("CARGO_BIN_EXE_pairbench");
    let (tokenizer, dataset) = (tokenizer(), dataset());
    let script = format!(
        "trap '' XFSZ; ulimit -f 16; exec {binary} {args} {tokenizer} {dataset} --warmup 0 \
         --num-prompts 80 --concurrency 8 --output-len 16 --sim-per-token-ms 0.2"
    );
    let mut shell = Command::new("sh");
    let run = shell.args(["-c", &script]).current_dir(desk.path(""));
    left(run.output().unwrap())
}

#[test]
fn a_full_disk_keeps_what_fitted_and_shows_it() {
    for args in [
        "profile --backend api_server sim",
        "profile --backend tis-ensemble sim",
        "compare --backend api_server=sim --backend tis-ensemble=sim --blocks 2",
    ] {
        let desk = Desk::new();
        let run = on_a_small_disk(&desk, args);
        run.refused(&["cannot write", "requests.jsonl", "too large"]);
        let kept: usize = desk
            .runs()
            .iter()
            .map(|folder| std::fs::read_to_string(folder.join("requests.jsonl")).unwrap())
            .map(|text| text.lines().filter(|line| line.ends_with('}')).count())
            .sum();
        assert!(kept >= 2, "{kept}");
        // Of a comparison nothing is shown before the first block has ended.
        if args.starts_with("profile") {
            assert!(
                flat(&run.out).contains("of 80 requests have a record"),
                "{}",
                run.out
            );
        }
        let runs = desk.runs();
        let report = desk.run(&[&["report"][..], &words(&runs)].concat());
        assert_eq!(report.code, 1, "{}", report.err);
        report.no_panic();
    }
}

#[test]
fn an_unplugged_server_costs_the_requests_that_it_had() {
    for backend in ["tis-ensemble", "api_server"] {
        let desk = Desk::new();
        // A server that is stopped keeps its connections and says nothing, as one
        // whose cable was pulled.
        let server = Server::start(backend, &["--sim-per-token-ms", "2"]);
        let arm = format!("{backend}={}", server.address);
        let load = [
            "--num-prompts",
            "40",
            "--concurrency",
            "4",
            "--stream_output",
        ];
        let limits = ["--token-timeout", "0.4", "--first-token-timeout", "0.4"];
        let more = [&load[..], &limits, &["--connect-timeout", "0.4"]].concat();
        let mut child = start(&desk, "profile", &[&arm], &more);
        wait_for(&desk, &mut child, "requests.jsonl", 8);
        signal(server.id(), "-STOP");
        let run = left(child.wait_with_output().unwrap());
        signal(server.id(), "-CONT");
        assert_eq!(run.code, 1, "{backend}: {}{}", run.out, run.err);
        run.no_panic();
        let row = &desk.rows("x.csv")[0];
        let failed: usize = row["failed"].parse().unwrap();
        let folder = desk.runs().pop().unwrap();
        let text = std::fs::read_to_string(folder.join("requests.jsonl")).unwrap();
        let finished = text.matches("\"outcome\":\"ok\"").count();
        assert!(
            finished >= 8 && failed >= 1,
            "{backend}: {finished} {failed}"
        );
        assert_eq!(
            (text.lines().count(), finished + failed),
            (40, 40),
            "{backend}"
        );
        assert!(run.out.contains("timeout"), "{}", run.out);
    }
}

#[test]
fn the_second_ctrl_c_quits_at_once_and_loses_nothing() {
    for arms in [&["api_server=sim"][..], &TWO] {
        let desk = Desk::new();
        let verb = if arms.len() == 1 {
            "profile"
        } else {
            "compare"
        };
        let slow = [
            "--num-prompts",
            "80",
            "--concurrency",
            "4",
            "--sim-per-token-ms",
            "30",
        ];
        let short = ["--output-len", "4"];
        let mut child = start(&desk, verb, arms, &[&slow[..], &short].concat());
        wait_for(&desk, &mut child, "requests.jsonl", 6);
        let clock = Clock::start();
        signal(child.id(), "-INT");
        std::thread::sleep(Duration::from_millis(50));
        signal(child.id(), "-INT");
        let run = left(child.wait_with_output().unwrap());
        let took_ms = clock.now_ns() / 1_000_000;
        assert!(took_ms < 2_500, "{took_ms}");
        // A fast machine may have come to the good end of the first one.
        if run.code == 2 {
            run.refused(&["quit by the user"]);
        }
        run.no_panic();
        let runs = desk.runs();
        let report = desk.run(&[&["report"][..], &words(&runs)].concat());
        assert_eq!(report.code, 1, "{}", report.err);
        let kept = |folder: &PathBuf| {
            let text = std::fs::read_to_string(folder.join("requests.jsonl")).unwrap();
            assert!(text.is_empty() || text.ends_with('\n'), "no torn line");
            text.lines().count()
        };
        assert!(runs.iter().map(kept).max().unwrap() >= 6);
    }
}

#[test]
fn processes_that_append_to_one_csv_do_not_mix() {
    let desk = Desk::new();
    let load = ["--num-prompts", "8", "--concurrency", "2", "--csv", "x.csv"];
    desk.profile("api_server", "sim", &load);
    let folder = desk.runs().pop().unwrap();
    let shared = desk.write("shared.csv", "");
    let append = |_| {
        let mut command = desk.command(&["report", folder.to_str().unwrap(), "--csv", &shared]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let children: Vec<Child> = (0..12).map(append).collect();
    for child in children {
        let run = left(child.wait_with_output().unwrap());
        assert!(run.code <= 1, "{}", run.err);
    }
    let text = std::fs::read_to_string(Path::new(&shared)).unwrap();
    assert_eq!(text.lines().count(), 13, "{text}");
    assert_eq!(text.matches("batch,num_prompts").count(), 1);
    let rows = desk.rows("shared.csv");
    assert!(rows.len() == 12 && rows.iter().all(|row| *row == rows[0]));
}
