//! Whole comparisons on embedded servers: what is played in which order, what
//! the records say of it, and how a comparison ends early.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use std::path::Path;
use std::process::{Child, Stdio};

use common::{Desk, Left, Server, dataset, left, tokenizer};
use serde_json::Value;

const TWO: [&str; 2] = ["tis-direct=sim", "api_server=sim"];

/// Three blocks of eight requests.
const LOAD: [&str; 8] = [
    "--num-prompts",
    "24",
    "--concurrency",
    "2",
    "--blocks",
    "3",
    "--csv",
    "x.csv",
];

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.lines().map(serde_json::from_str);
    whole.filter_map(Result::ok).collect()
}

/// What an arm left behind.
struct Run {
    header: Value,
    blocks: Vec<Value>,
    own: Vec<Value>,
    lead_in: Vec<Value>,
}

impl Run {
    fn of(folder: &Path) -> Self {
        let header = std::fs::read_to_string(folder.join("run.json")).unwrap();
        let requests = lines(&folder.join("requests.jsonl"));
        let (lead_in, own) = requests
            .into_iter()
            .partition(|request| request["lead_in"] == true);
        Self {
            header: serde_json::from_str(&header).unwrap(),
            blocks: lines(&folder.join("blocks.jsonl")),
            own,
            lead_in,
        }
    }

    fn all(desk: &Desk) -> Vec<Self> {
        desk.runs().iter().map(|folder| Self::of(folder)).collect()
    }

    fn experiment(&self) -> &Value {
        &self.header["experiment"]
    }

    fn blocks_of(&self, key: &str) -> Vec<u64> {
        let numbers = self.blocks.iter().map(|block| block[key].as_u64());
        numbers.map(Option::unwrap).collect()
    }
}

fn finished(run: &Left) {
    assert!(run.code <= 1, "{}{}", run.out, run.err);
    run.no_panic();
}

#[test]
fn a_comparison_is_played_in_blocks_by_turns() {
    let desk = Desk::new();
    finished(&desk.compare(&TWO, &LOAD));
    let runs = Run::all(&desk);
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[0].experiment()["id"], runs[1].experiment()["id"]);
    for (run, other) in runs.iter().zip(runs.iter().rev()) {
        assert_eq!(run.blocks_of("number"), [0, 1, 2]);
        assert_eq!((run.own.len(), run.lead_in.len()), (24, 6));
        assert_eq!(run.header["num_prompts"], 24);
        assert_eq!(run.experiment()["block_requests"], 8);
        let turns = run.blocks_of("turn");
        assert_eq!(turns, [turns[0], 1 - turns[0], turns[0]]);
        for (block, theirs) in run.blocks.iter().zip(&other.blocks) {
            let at = |key: &str| block[key].as_u64().unwrap();
            assert!(at("start_ns") < at("steady_from_ns"), "{block}");
            assert!(at("steady_from_ns") < at("steady_to_ns"), "{block}");
            assert!(at("steady_to_ns") <= at("end_ns"), "{block}");
            let first = block["turn"] == 0;
            let alone = at("end_ns") <= theirs["start_ns"].as_u64().unwrap();
            assert!(alone == first, "{block} {theirs}");
        }
    }
    // The order is the seed's.
    let again = Desk::new();
    finished(&again.compare(&TWO, &LOAD));
    for (run, again) in runs.iter().zip(Run::all(&again)) {
        assert_eq!(run.blocks_of("turn"), again.blocks_of("turn"));
    }
}

#[test]
fn what_does_not_divide_and_what_is_too_short_is_said() {
    let desk = Desk::new();
    let load = ["--num-prompts", "13", "--concurrency", "3", "--blocks", "4"];
    let run = desk.compare(&TWO, &load);
    finished(&run);
    for part in [
        "4 blocks of 3 requests",
        "1 of 13 prompts are left over",
        "raise --num-prompts to 24",
        "rule 5",
    ] {
        assert!(run.err.contains(part), "`{part}` is not in: {}", run.err);
    }
    let run = desk.compare(&TWO, &["--num-prompts", "3", "--blocks", "4"]);
    run.refused(&["3 prompts make no 4 blocks", "--blocks"]);
}

#[test]
fn a_typing_error_costs_nothing() {
    let desk = Desk::new();
    for (flags, parts) in [
        (["--primary", "speed"], ["speed", "ttft_p99"]),
        (["--fail-if", "api_server.rps 3"], ["--fail-if", "<="]),
        (["--fail-if", "tis.rps > 3"], ["'tis'", "tis-direct"]),
        (["--precision", "2"], ["--precision 2", "2%"]),
        (["--margin", "0"], ["--margin 0", "2%"]),
        (["--max-time", "0"], ["--max-time 0", "minutes"]),
        (["--blocks", "0"], ["--blocks 0", "1 to"]),
    ] {
        let run = desk.compare(&TWO, &[&["--num-prompts", "24"][..], &flags].concat());
        run.refused(&parts);
        assert!(!desk.path("pairbench-runs").exists(), "{flags:?}");
    }
    let both = desk.compare(&TWO, &["--blocks", "4", "--precision", "2%"]);
    both.refused(&["--precision", "--blocks"]);
}

#[test]
fn a_precision_plays_a_pilot_and_as_much_as_that_asks_for() {
    let desk = Desk::new();
    let load = [
        "--num-prompts",
        "48",
        "--concurrency",
        "2",
        "--csv",
        "x.csv",
    ];
    // So exact that a pilot of 6 is hardly enough, so coarse that it ends soon.
    let run = desk.compare(&TWO, &[&load[..], &["--precision", "4%"]].concat());
    finished(&run);
    assert!(run.err.contains("throughput to 4%"), "{}", run.err);
    for run in Run::all(&desk) {
        let wanted = run.experiment()["blocks_wanted"].as_u64().unwrap();
        assert!(wanted >= 6);
        let numbers: Vec<u64> = (0..wanted).collect();
        assert_eq!(run.blocks_of("number"), numbers);
        assert_eq!(run.header["num_prompts"], 8 * wanted);
        assert_eq!(run.own.len() as u64, 8 * wanted);
    }
}

#[test]
fn no_block_begins_when_the_time_is_up() {
    let desk = Desk::new();
    let load = ["--max-time", "0.00001"];
    let run = desk.compare(&TWO, &[&LOAD[..], &load].concat());
    finished(&run);
    assert!(run.err.contains("within --max-time; 1 was"), "{}", run.err);
    for run in Run::all(&desk) {
        assert_eq!(run.blocks_of("number"), [0]);
        assert_eq!(run.experiment()["out_of_time"], true);
        assert_eq!(run.header["num_prompts"], 8);
    }
}

#[test]
fn time_that_is_up_cuts_the_blocks_to_those_that_were_played() {
    let desk = Desk::new();
    let load = [
        "--num-prompts",
        "200",
        "--blocks",
        "100",
        "--concurrency",
        "1",
    ];
    let time = ["--max-time", "0.03", "--format", "json", "--csv", "x.csv"];
    let run = desk.compare(&TWO, &[load, time].concat());
    finished(&run);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    let basis = &report["comparison"]["basis"];
    let played = basis["blocks"].as_u64().unwrap();
    assert!((1..100).contains(&played), "{basis}");
    let said = format!("within --max-time; {played} w");
    assert!(run.err.contains(&said), "{}", run.err);
    for run in Run::all(&desk) {
        assert_eq!(run.blocks_of("number"), (0..played).collect::<Vec<_>>());
        assert_eq!(run.experiment()["out_of_time"], true);
        assert_eq!(run.header["num_prompts"], 2 * played);
        assert_eq!(run.own.len() as u64, 2 * played);
    }
}

#[test]
fn a_number_of_blocks_that_gives_unequal_turns_is_warned_of() {
    let desk = Desk::new();
    let load = |blocks| {
        [
            "--num-prompts",
            "12",
            "--concurrency",
            "1",
            "--blocks",
            blocks,
        ]
    };
    let odd = desk.compare(&TWO, &load("3"));
    finished(&odd);
    for part in ["3 blocks are no multiple of the 2 arms", "take --blocks 4"] {
        assert_eq!(odd.err.matches(part).count(), 1, "{}", odd.err);
    }
    let duet = desk.compare(&TWO, &[&load("3")[..], &["--duet"]].concat());
    finished(&duet);
    let even = desk.compare(&TWO, &load("4"));
    finished(&even);
    for run in [duet, even] {
        assert!(!run.err.contains("no multiple"), "{}", run.err);
    }
}

#[test]
fn blocks_that_nobody_counts_are_a_multiple_of_the_arms() {
    let desk = Desk::new();
    let (tokenizer, dataset) = (tokenizer(), dataset());
    let mut args = vec!["compare", &tokenizer, &dataset, "--sim-per-token-ms", "0.2"];
    for arm in [
        "tis-direct=sim",
        "tis=sim",
        "tis-ensemble=sim",
        "api_server=sim",
    ] {
        args.extend(["--backend", arm]);
    }
    args.extend(["--num-prompts", "16", "--concurrency", "1"]);
    let run = desk.run(&args);
    finished(&run);
    assert!(!run.err.contains("no multiple"), "{}", run.err);
    for run in Run::all(&desk) {
        assert_eq!(run.blocks_of("number"), (0..8).collect::<Vec<_>>());
        let turns = run.blocks_of("turn");
        for turn in 0..4 {
            assert_eq!(
                turns.iter().filter(|of| **of == turn).count(),
                2,
                "{turns:?}"
            );
        }
    }
}

#[test]
fn a_duet_is_played_at_one_moment_and_warned_of_on_one_host() {
    let desk = Desk::new();
    let run = desk.compare(&TWO, &[&LOAD[..], &["--duet"]].concat());
    finished(&run);
    let words = "tis-direct and api_server on this machine";
    assert!(run.err.contains(words), "{}", run.err);
    let runs = Run::all(&desk);
    for (one, other) in runs[0].blocks.iter().zip(&runs[1].blocks) {
        let at = |block: &Value, key: &str| block[key].as_u64().unwrap();
        assert!(at(one, "start_ns") < at(other, "steady_from_ns"));
        assert!(at(other, "start_ns") < at(one, "steady_from_ns"));
    }
    for run in runs {
        assert_eq!(run.experiment()["duet"], true);
        assert_eq!(run.experiment()["shared_host"], words);
    }
}

/// Starts a comparison of an embedded server and `arm` that takes a while, and
/// waits until two blocks are through.
fn begun(desk: &Desk, arm: &str) -> Child {
    let (tokenizer, dataset) = (tokenizer(), dataset());
    let mut args = vec!["compare", &tokenizer, &dataset, "--backend", TWO[0]];
    args.extend([
        "--backend",
        arm,
        "--num-prompts",
        "40",
        "--concurrency",
        "2",
    ]);
    args.extend([
        "--blocks",
        "10",
        "--csv",
        "x.csv",
        "--sim-per-token-ms",
        "1",
    ]);
    let mut command = desk.command(&args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let two_blocks = |folder: &std::path::PathBuf| lines(&folder.join("blocks.jsonl")).len() >= 2;
    loop {
        let there = desk.path("pairbench-runs").is_dir() && {
            let runs = desk.runs();
            runs.len() == 2 && runs.iter().all(two_blocks)
        };
        if there || child.try_wait().unwrap().is_some() {
            return child;
        }
        // Looks again soon, without taking a core from what it waits for.
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
#[cfg(unix)]
fn an_interrupted_comparison_says_what_its_whole_blocks_say() {
    let desk = Desk::new();
    let child = begun(&desk, TWO[1]);
    let id = child.id().to_string();
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-INT", &id]).status().unwrap().success());
    let run = left(child.wait_with_output().unwrap());
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    run.no_panic();
    assert!(run.out.contains("interrupted"), "{}", run.out);
    let runs = Run::all(&desk);
    let whole = |run: &Run| {
        run.blocks
            .iter()
            .filter(|block| block["cut"] == false)
            .count()
    };
    for run in &runs {
        assert!(whole(run) >= 2 && run.blocks.len() < 10);
    }
    let cut: usize = runs.iter().map(|run| run.blocks.len() - whole(run)).sum();
    assert!(cut <= 1, "one block is in play at a time");
    let folders = desk.runs();
    let folders: Vec<&str> = folders
        .iter()
        .filter_map(|folder| folder.to_str())
        .collect();
    let report = desk.run(&["report", folders[0], folders[1]]);
    assert_eq!(report.code, 1, "{}", report.err);
}

#[test]
fn a_server_that_dies_costs_its_own_requests_only() {
    let desk = Desk::new();
    let mut server = Server::start("api_server", &["--sim-per-token-ms", "1"]);
    let arm = format!("api_server={}", server.address);
    let child = begun(&desk, &arm);
    server.stop();
    let run = left(child.wait_with_output().unwrap());
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    run.no_panic();
    for run in Run::all(&desk) {
        assert_eq!(run.blocks_of("number"), (0..10).collect::<Vec<_>>());
        assert_eq!(run.own.len(), 40, "every request is accounted for");
        let failed = run.own.iter().filter(|request| request["outcome"] != "ok");
        let dead = run.header["backend"] == "api_server";
        assert_eq!(failed.count() > 0, dead);
    }
}
