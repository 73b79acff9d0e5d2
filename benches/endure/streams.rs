//! Many streams at once: `profile` as users run it, against a simulated server in
//! a process of its own, with its memory looked at meanwhile.

use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pairbench::record::{self, Run};

use super::common::{Desk, Server, tokenizer};
use super::process::{Held, held};

/// Tokens of each answer, and how far apart: long enough that all streams are at
/// work at one time.
const TOKENS: &str = "40";
const GAP_MS: &str = "500";

/// Runs both protocols, or one; whether every request was answered.
///
/// # Errors
/// Whatever keeps a run from its end.
pub(crate) fn streams(streams: u32, only: Option<&str>) -> Result<bool> {
    let mut well = true;
    for (wire, backend) in [("http", "api_server"), ("grpc", "tis-ensemble")] {
        if only.is_none_or(|only| only == wire) {
            well &= one(backend, streams)?;
        }
    }
    Ok(well)
}

fn one(backend: &str, streams: u32) -> Result<bool> {
    let (desk, number) = (Desk::new(), streams.to_string());
    let serve = ["--sim-max-running", &number, "--sim-per-token-ms", GAP_MS];
    let serve = [
        &serve[..],
        &["--sim-first-token-ms", "1000", "--sim-trimmed-output-ids"],
    ];
    let server = Server::start(backend, &serve.concat());
    let tokenizer = tokenizer();
    let run = ["profile", "--backend", backend, &server.address, &tokenizer];
    let work = ["--dataset-format", "random", "--random-input-len", "16"];
    let lengths = ["--random-range-ratio", "1", "--random-output-len", TOKENS];
    let load = [
        "--num-prompts",
        &number,
        "--concurrency",
        &number,
        "--ramp",
        "5",
    ];
    let rest = ["--warmup", "0", "--stream_output", "--csv", "x.csv"];
    let mut command = desk.command(&[&run[..], &work, &lengths, &load, &rest].concat());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let (before, busiest) = watched(&mut child, &desk)?;
    let output = child.wait_with_output()?;
    let words = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.code().is_some_and(|code| code <= 1),
        "{words}"
    );
    let folder = desk.runs().pop().context("no records")?;
    let run = record::load(&folder)?;
    let well = told(backend, streams, &run, before, busiest)?;
    for line in words.lines().take_while(|line| !line.is_empty()) {
        println!("  {line}");
    }
    Ok(well)
}

/// What the process held before its first connection, and when it held most.
fn watched(child: &mut Child, desk: &Desk) -> Result<(Held, Held)> {
    let (mut before, mut busiest) = (Held::default(), Held::default());
    while child.try_wait()?.is_none() {
        let runs = match desk.path("pairbench-runs").is_dir() {
            true => desk.runs(),
            false => Vec::new(),
        };
        // What comes after the run, the report, is no stream's.
        let over = runs.iter().any(|folder| folder.join("end.json").is_file());
        if let Some(now) = held(child.id()).filter(|_| !over) {
            // Prompts are made before the first connection is opened.
            if runs.is_empty() && now.descriptors < 40 {
                before = now;
            }
            if now.resident_kb > busiest.resident_kb {
                busiest = now;
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok((before, busiest))
}

/// Prints what came of the run; whether all of it is there.
fn told(backend: &str, streams: u32, run: &Run, before: Held, busiest: Held) -> Result<bool> {
    let failed = run.records.iter().filter(|record| !record.is_ok()).count();
    let tokens: u64 = run
        .records
        .iter()
        .map(|record| u64::from(record.completion_tokens.unwrap_or_default()))
        .sum();
    let peak = pairbench::stats::summarize(run).client.in_flight_peak;
    let grown_kb = busiest.resident_kb.saturating_sub(before.resident_kb);
    println!(
        "{backend}: {streams} streams, {} records, {failed} failed, {tokens} tokens, at most {peak} \
         in flight; resident {} kB before, {} kB with {} descriptors in flight: {:.1} kB per \
         stream; span {:.1} s",
        run.records.len(),
        before.resident_kb,
        busiest.resident_kb,
        busiest.descriptors,
        grown_kb as f64 / f64::from(streams),
        run.end.as_ref().map_or(0.0, |end| end.span_ns as f64 / 1e9)
    );
    let all = run.records.len() == usize::try_from(streams)?;
    let wanted = u64::from(streams) * TOKENS.parse::<u64>()?;
    Ok(all && failed == 0 && tokens == wanted)
}
