//! Kills runs at random moments (`kill -9`) and looks at what is left: whether
//! `report` makes something of it, which requests are missing that had been
//! answered, and whether what was kept is what an uninterrupted run keeps.
//!
//! Answers are made by a simulated engine in this process, whose ledger says when
//! it had handed over the last token of each. Equal prompts get equal answers, so
//! a kept line has to be the uninterrupted run's to the byte, once the times and
//! the slot, which differ from run to run, are put to zero in both.

#![allow(dead_code, unreachable_pub, reason = "a test and a benchmark share it")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use backends::engine::{Engine, EngineConfig, Timing};
use backends::{Clock, ServeOptions, find};
use pairbench::record::{HopRecord, Record, RequestKey};
use pairbench::sim::codec_of;
use pairbench::workload::Tokenizer;

use crate::common::{Desk, dataset, tokenizer};

/// A kind of run.
#[derive(Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    arms: &'static [&'static str],
}

/// Both protocols by themselves, and one against the other in blocks.
pub const KINDS: [Kind; 3] = [
    Kind {
        name: "profile tis-ensemble",
        arms: &["tis-ensemble"],
    },
    Kind {
        name: "profile api_server",
        arms: &["api_server"],
    },
    Kind {
        name: "compare tis-ensemble api_server",
        arms: &["tis-ensemble", "api_server"],
    },
];

/// Tokens of each answer; those of shortened requests that lead blocks in are
/// fewer.
const TOKENS: u32 = 12;

/// The longest for which an answered request may be without a record.
const MISSING_NS_MAX: u64 = 1_000_000_000;

/// What was seen over all kills of a kind.
pub struct Found {
    kind: Kind,
    kills: u32,
    /// Runs that were killed before they had made a folder.
    before: u32,
    /// Runs that were at their end before the kill.
    after: u32,
    kept: usize,
    torn: u32,
    /// Requests that had been answered and have no record.
    missing: usize,
    /// How long before the kill the oldest of them had been answered.
    missing_ns: u64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} kills, {} before the folder was made, {} after the end; {} records kept, all \
             as in the uninterrupted run; {} torn lines; {} answered requests without a record, \
             the oldest answered {:.1} ms before the kill; report worked each time",
            self.kind.name,
            self.kills,
            self.before,
            self.after,
            self.kept,
            self.torn,
            self.missing,
            self.missing_ns as f64 / 1e6
        )
    }
}

/// A simulated server of this process.
struct Sim {
    arm: &'static str,
    address: String,
    engine: Engine,
    _runtime: tokio::runtime::Runtime,
}

impl Sim {
    fn start(arm: &'static str, clock: Clock) -> Self {
        let config = EngineConfig {
            timing: Timing::Exact {
                first_token: Duration::from_millis(15),
                per_token: Duration::from_millis(3),
            },
            ..EngineConfig::default()
        };
        let tokenizer = Arc::new(Tokenizer::bundled().unwrap());
        let engine = Engine::new(config, codec_of(tokenizer, None).unwrap(), clock);
        engine.ledger().listen();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let entry = find(arm).unwrap();
        let served = {
            let _entered = runtime.enter();
            (entry.serve)(listener, engine.clone(), ServeOptions::default())
        };
        runtime.spawn(served);
        Self {
            arm,
            address,
            engine,
            _runtime: runtime,
        }
    }

    /// When each whole answer had been handed over, oldest first, up to `to_ns`.
    fn answered_ns(&self, to_ns: u64) -> Vec<u64> {
        let entries = self.engine.ledger().take();
        let whole = entries.iter().filter(|entry| entry.total_tokens == TOKENS);
        let times: BTreeMap<&str, u64> = whole
            .map(|entry| (entry.request.as_str(), entry.at_ns))
            .collect();
        let mut times: Vec<u64> = times.into_values().filter(|&at_ns| at_ns < to_ns).collect();
        times.sort_unstable();
        times
    }
}

/// Starts a run of this kind on a desk.
fn start(desk: &Desk, kind: Kind, sims: &[Sim]) -> Child {
    let (tokenizer, dataset) = (tokenizer(), dataset());
    let tokens = TOKENS.to_string();
    let addresses: Vec<String> = sims
        .iter()
        .map(|sim| format!("{}={}", sim.arm, sim.address))
        .collect();
    let mut args: Vec<&str> = match (sims, addresses.as_slice()) {
        ([sim], _) => vec!["profile", "--backend", sim.arm, &sim.address],
        (_, [one, other]) => vec!["compare", "--backend", one, "--backend", other],
        _ => panic!("one or two arms"),
    };
    args.extend([tokenizer.as_str(), &dataset, "--num-prompts", "96"]);
    args.extend(["--concurrency", "4", "--warmup", "0", "--csv", "x.csv"]);
    args.extend(["--output-len", &tokens]);
    match kind.arms {
        [_] => args.push("--stream_output"),
        _ => args.extend(["--blocks", "3"]),
    }
    let mut command = desk.command(&args);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// A record without what differs from run to run.
fn masked(mut record: Record) -> String {
    record.slot = 0;
    record.scheduled_ns = 0;
    record.issued_ns = 0;
    record.first_event_ns = record.first_event_ns.map(|_| 0);
    record.end_ns = 0;
    record.other_until_first_ns = 0;
    for mark in record.marks.iter_mut().chain(&mut record.engine_marks) {
        mark.at_ns = 0;
    }
    // A connection may have to be opened in one run and not in the other.
    record.hops.remove("connect");
    for hop in record.hops.values_mut() {
        *hop = HopRecord {
            calls: hop.calls,
            ..HopRecord::default()
        };
    }
    serde_json::to_string(&record).unwrap()
}

/// The whole lines of a folder, each with its key; and whether the last is torn.
/// Every whole line is a record, to the byte as this program writes it.
fn kept(folder: &Path) -> (Vec<(RequestKey, Record)>, bool) {
    let text = std::fs::read(folder.join("requests.jsonl")).unwrap_or_default();
    let whole = text
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    let lines = String::from_utf8(text[..whole].to_vec()).unwrap();
    let record = |line: &str| {
        let record: Record = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), line);
        (record.key(), record)
    };
    (lines.lines().map(record).collect(), whole < text.len())
}

/// What the uninterrupted run kept of each arm, by the arm's name.
type Reference = BTreeMap<String, BTreeMap<RequestOrder, String>>;

/// A key that can be sorted.
type RequestOrder = (u32, bool, u32);

fn order(key: RequestKey) -> RequestOrder {
    (key.block, key.lead_in, key.index)
}

/// The arm that a folder is of: its name ends with it.
fn arm(folder: &Path) -> String {
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    name.split_once('-').unwrap().1.to_owned()
}

/// Kills `kills` runs of this kind at random moments.
pub fn kill(kind: Kind, kills: u32, seed: u64) -> Found {
    let clock = Clock::start();
    let sims: Vec<Sim> = kind.arms.iter().map(|arm| Sim::start(arm, clock)).collect();
    let desk = Desk::new();
    let began_ns = clock.now_ns();
    let status = start(&desk, kind, &sims).wait().unwrap();
    let took_ns = clock.now_ns() - began_ns;
    assert!(status.code().is_some_and(|code| code <= 1), "{status}");
    let mut reference = Reference::new();
    for folder in desk.runs() {
        let (records, torn) = kept(&folder);
        assert!(!torn && records.iter().filter(|(key, _)| !key.lead_in).count() == 96);
        let records = records
            .into_iter()
            .map(|(key, it)| (order(key), masked(it)));
        reference.insert(arm(&folder), records.collect());
    }
    assert_eq!(reference.len(), kind.arms.len());
    let mut found = Found {
        kind,
        kills,
        before: 0,
        after: 0,
        kept: 0,
        torn: 0,
        missing: 0,
        missing_ns: 0,
    };
    let mut state = seed;
    for _ in 0..kills {
        let wait_ns = random(&mut state) % took_ns;
        one(
            &mut found,
            &sims,
            &reference,
            Duration::from_nanos(wait_ns),
            clock,
        );
    }
    found
}

fn one(found: &mut Found, sims: &[Sim], reference: &Reference, wait: Duration, clock: Clock) {
    for sim in sims {
        drop(sim.engine.ledger().take());
    }
    let desk = Desk::new();
    let mut child = start(&desk, found.kind, sims);
    std::thread::sleep(wait);
    let killed_ns = clock.now_ns();
    let ended = child.try_wait().unwrap().is_some();
    found.after += u32::from(ended);
    let _ = child.kill();
    child.wait().unwrap();
    let folders = match desk.path("pairbench-runs").is_dir() {
        true => desk.runs(),
        false => Vec::new(),
    };
    let folders: Vec<_> = folders
        .into_iter()
        .filter(|folder| folder.join("run.json").is_file())
        .collect();
    found.before += u32::from(folders.is_empty());
    for folder in &folders {
        let (records, torn) = kept(folder);
        found.torn += u32::from(torn);
        found.kept += records.len();
        let arm = arm(folder);
        let expected = &reference[&arm];
        // Those that lead blocks in are shortened, most of them.
        let whole = |record: &Record| record.requested_tokens == TOKENS;
        let own = records.iter().filter(|(_, record)| whole(record)).count();
        for (key, record) in records {
            let line = expected.get(&order(key));
            assert_eq!(Some(&masked(record)), line, "{arm} {key:?}");
        }
        let sim = sims.iter().find(|sim| sim.arm == arm).unwrap();
        let answered_ns = sim.answered_ns(killed_ns);
        if let Some(oldest_ns) = answered_ns.get(own) {
            found.missing += answered_ns.len() - own;
            found.missing_ns = found.missing_ns.max(killed_ns - oldest_ns);
            let words = format!("{own} of {} answered requests kept", answered_ns.len());
            assert!(killed_ns - oldest_ns <= MISSING_NS_MAX, "{arm}: {words}");
        }
    }
    reported(&desk, &folders);
}

/// Every folder by itself, and all together, make a report that says what there
/// is.
fn reported(desk: &Desk, folders: &[PathBuf]) {
    let mut asked: Vec<Vec<&PathBuf>> = folders.iter().map(|of| vec![of]).collect();
    if folders.len() > 1 {
        asked.push(folders.iter().collect());
    }
    for folders in asked {
        let mut args = vec!["report"];
        args.extend(folders.iter().map(|of| of.to_str().unwrap()));
        args.extend(["--html", "page.html"]);
        let report = desk.run(&args);
        let code = report.code;
        assert!(code == 0 || code == 1, "{args:?}: {}", report.err);
        report.no_panic();
        if folders.iter().any(|of| !of.join("end.json").is_file()) {
            assert_eq!(code, 1, "{}", report.out);
            assert!(report.out.contains("died before its end"), "{}", report.out);
        }
        std::fs::remove_file(desk.path("page.html")).unwrap();
    }
}

/// The next of a row of numbers that look random (splitmix64, after Steele, Lea
/// and Flood, "Fast splittable pseudorandom number generators", 2014).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
