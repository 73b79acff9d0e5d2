//! The fault matrix: everything that a server can do wrong, on every way that
//! it exists on, with one request in flight and with 64, in the middle of a run.
//! The whole program is run against it, and each run has to end in time, count
//! right, say what was wrong, and leave every other request alone.
//!
//! `FAULT=WORDS` plays the rows with these words in their names alone, `WAY=NAME`
//! one way alone; `WRITE_FAULTS=1` writes docs/faults.md anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]
#![allow(clippy::print_stdout, reason = "the table is what it is played for")]
#![allow(unreachable_pub, missing_docs, reason = "a test is nobody's library")]

mod check;
#[path = "../common/mod.rs"]
mod common;
mod door;
mod frame;
mod grpc_acts;
mod grpc_ends;
mod grpc_floods;
mod grpc_frames;
mod grpc_proxy;
mod http_floods;
mod http_proxy;
mod http_refusals;
mod http_says;
mod http_streams;
mod identity;
mod line_rows;
mod page;
mod play;
mod pump;
mod row;
mod start;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use backends::Clock;
use common::Server;
use identity::Identity;
use play::{Play, Played, Trial, Upstream};
use row::{Reach, Row};

/// Runs at once: those that work, and those that wait for a time limit.
const BUSY_AT_ONCE: usize = 3;
const PATIENT_AT_ONCE: usize = 8;

#[test]
fn every_fault_costs_its_own_request_alone() {
    let rows = Row::together(page::rows());
    let only = std::env::var("FAULT").unwrap_or_default();
    let only_way = std::env::var("WAY").unwrap_or_default();
    let rows: Vec<Row> = rows
        .into_iter()
        .filter(|row| row.cases.iter().any(|case| case.name.contains(&only)))
        .collect();
    let (tis, http) = servers();
    let upstream = Upstream {
        http: http.address.parse().unwrap(),
        grpc: tis.address.parse().unwrap(),
    };
    let identity = Identity::new();
    let clock = Clock::start();
    let plays = |patient: bool| {
        let rows = rows.iter().filter(move |row| row.patient == patient);
        let ways = rows.flat_map(|row| row.ways.iter().map(move |&way| (row, way)));
        let ways = ways.filter(|(_, way)| only_way.is_empty() || *way == only_way);
        let plays = ways.flat_map(|(row, way)| {
            [1, 64].map(|concurrency| Play {
                row,
                way,
                concurrency,
            })
        });
        Mutex::new(plays.collect::<VecDeque<_>>())
    };
    let (busy, patient) = (plays(false), plays(true));
    let played = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (plays, at_once) in [(&patient, PATIENT_AT_ONCE), (&busy, BUSY_AT_ONCE)] {
            for _ in 0..at_once {
                scope.spawn(|| work(plays, &played, upstream, &identity));
            }
        }
    });
    let played = played.into_inner().unwrap();
    let wrong = told(&played, Duration::from_nanos(clock.now_ns()));
    assert!(
        wrong.is_empty(),
        "{} runs are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(!played.is_empty(), "no row is called `{only}`");
}

/// The simulated servers: Triton and the api_server, both quick.
fn servers() -> (Server, Server) {
    let quick = ["--sim-first-token-ms", "2", "--sim-per-token-ms", "0.3"];
    let tis = [
        &quick[..],
        &["--sim-preprocess-ms", "0", "--sim-postprocess-ms", "0"],
    ]
    .concat();
    let tis = [
        &tis[..],
        &["--sim-trimmed-output-ids", "--sim-max-running", "256"],
    ]
    .concat();
    let http = [&quick[..], &["--sim-max-running", "256"]].concat();
    (
        Server::start("tis", &tis),
        Server::start("api_server", &http),
    )
}

type Ended<'a> = (Play<'a>, Played);

fn work<'a>(
    plays: &Mutex<VecDeque<Play<'a>>>,
    played: &Mutex<Vec<Ended<'a>>>,
    upstream: Upstream,
    identity: &Identity,
) {
    loop {
        let Some(play) = plays.lock().unwrap().pop_front() else {
            return;
        };
        let ended = played_to_the_point(&play, upstream, identity);
        println!("{}", line(&play, &ended));
        played.lock().unwrap().push((play, ended));
    }
}

/// Plays it. What a request takes on a busy machine is in no relation to a pause
/// or a time limit: a pause that fell between two requests or outlasted the run,
/// and a limit that others ran into, are played again, longer or shorter.
fn played_to_the_point(play: &Play<'_>, upstream: Upstream, identity: &Identity) -> Played {
    let trial = |pause_ms, limits_s| Trial {
        shut_for: Duration::from_millis(pause_ms),
        limits_s,
    };
    let none = ("60", "60");
    let trials = match play.row.reach {
        Reach::Window => [30, 8, 120, 30].map(|pause| trial(pause, none)).to_vec(),
        _ if play.row.patient => vec![trial(0, ("4", "3")), trial(0, ("20", "15"))],
        _ => vec![trial(0, none)],
    };
    let mut last = None;
    for trial in &trials {
        let ended = play.play(upstream, identity, trial);
        let good = ended.wrong.is_empty();
        last = Some(ended);
        if good {
            break;
        }
    }
    last.unwrap()
}

/// A run in one line, and what is wrong with it below.
fn line(play: &Play<'_>, ended: &Played) -> String {
    let verdict = match ended.wrong.is_empty() {
        true => "ok".to_owned(),
        false => format!("WRONG\n  {}", ended.wrong.join("\n  ")),
    };
    format!(
        "{:<64.64} {:<12} {:>2} {:>4} requests {:>3} failed {:>6.2} s {:>4} MB {verdict}",
        play.row.name(),
        play.way,
        play.concurrency,
        ended.requests,
        ended.failed,
        ended.took.as_secs_f64(),
        ended.memory >> 20,
    )
}

/// Says what was played; what is wrong with it.
fn told(played: &[Ended<'_>], took: Duration) -> Vec<String> {
    let wrong = played.iter().filter(|(_, ended)| !ended.wrong.is_empty());
    let wrong: Vec<String> = wrong.map(|(play, ended)| line(play, ended)).collect();
    let faults: usize = played.iter().map(|(play, _)| play.row.cases.len()).sum();
    let longest = played
        .iter()
        .map(|(_, ended)| ended.took)
        .max()
        .unwrap_or_default();
    let memory = played
        .iter()
        .map(|(_, ended)| ended.memory)
        .max()
        .unwrap_or_default();
    println!(
        "{faults} faults x ways x concurrencies in {} runs, {} wrong; all in {:.1} s, the longest \
         {:.2} s, most memory {} MB",
        played.len(),
        wrong.len(),
        took.as_secs_f64(),
        longest.as_secs_f64(),
        memory >> 20,
    );
    wrong
}
