//! The sample arms as one experiment played them: in blocks, in turn.

use std::collections::BTreeMap;

use crate::record::{Block, Experiment, Record, Run};
use crate::stats::{Estimate, Part, PartKind, Time, Waterfall};

const BLOCKS: u32 = 6;
const REQUESTS: u32 = 160;

/// These of the sample arms, in six blocks of 160 requests.
pub(in super::super) fn experiment(places: &[usize]) -> Vec<Run> {
    let all = super::arms();
    let mut runs: Vec<Run> = places.iter().map(|place| all[*place].clone()).collect();
    let arms = u32::try_from(runs.len()).expect("few");
    let mut now_ns = 1_000_000;
    for run in &mut runs {
        run.records.truncate((BLOCKS * REQUESTS) as usize);
        run.header.num_prompts = BLOCKS * REQUESTS;
        run.header.command = ["pairbench", "compare", "--blocks", "6", "--seed", "0"]
            .map(str::to_owned)
            .to_vec();
    }
    for number in 0..BLOCKS {
        for turn in 0..arms {
            let arm = (number + turn) % arms;
            let run = &mut runs[arm as usize];
            let records = run.records.iter_mut();
            let of_block = records.skip((number * REQUESTS) as usize);
            let mut block = play(of_block.take(REQUESTS as usize), number, turn, now_ns);
            block.server_counters = counters(&run.header.backend, number);
            now_ns = block.end_ns + 50_000_000;
            run.blocks.push(block);
        }
    }
    for (arm, run) in (0..).zip(&mut runs) {
        run.header.experiment = Some(Experiment {
            id: "sample".to_owned(),
            arm,
            arms,
            blocks: BLOCKS,
            block_requests: REQUESTS,
            margin: 0.02,
            ..Experiment::default()
        });
    }
    runs
}

/// What a server counts of itself in a block.
fn counters(backend: &str, number: u32) -> BTreeMap<String, f64> {
    let calls = f64::from(REQUESTS);
    let mut counted = BTreeMap::new();
    let mut model = |name: &str, calls: f64, us: [f64; 5]| {
        counted.insert(format!("{name}.success_count"), calls);
        let parts = [
            "success",
            "queue",
            "compute_input",
            "compute_infer",
            "compute_output",
        ];
        for (part, us) in parts.into_iter().zip(us) {
            // No two blocks alike.
            let ns = us * 1e3 * calls * (1.0 + f64::from(number) / 37.0);
            counted.insert(format!("{name}.{part}_ns"), ns);
        }
    };
    if backend == "api_server" {
        for (name, sum) in [
            ("request_queue_time_seconds", 0.0013),
            ("request_prefill_time_seconds", 0.0411),
            ("request_prompt_tokens", 169.5),
        ] {
            let sum = sum * calls * (1.0 + f64::from(number) / 41.0);
            counted.insert(format!("lmdeploy:{name}_sum"), sum);
            counted.insert(format!("lmdeploy:{name}_count"), calls);
            counted.insert(format!("lmdeploy:{name}_bucket"), calls * 7.0);
        }
        counted.insert("lmdeploy:generation_tokens_total".to_owned(), 5_696.0);
        counted.insert("process_cpu_seconds_total".to_owned(), 3.17);
        counted.insert("lmdeploy:num_requests_running".to_owned(), -1.0);
        return counted;
    }
    model("turbomind", calls, [1_420.0, 12.5, 31.0, 1_350.0, 4.0]);
    model(
        "preprocessing",
        calls,
        [2_010.0, 420.0, 55.0, 1_490.0, 21.5],
    );
    model(
        "postprocessing",
        calls * 35.0,
        [1_830.0, 210.0, 49.0, 1_530.0, 17.0],
    );
    counted.insert(
        "postprocessing.fail_count".to_owned(),
        f64::from(number % 2),
    );
    counted
}

/// Moves a slice of records to where a block begins, slot by slot.
fn play<'a>(
    records: impl Iterator<Item = &'a mut Record>,
    number: u32,
    turn: u32,
    start_ns: u64,
) -> Block {
    let mut slots_ns = [start_ns; 32];
    for record in records {
        let slot = &mut slots_ns[record.slot as usize];
        let from_ns = record.scheduled_ns;
        let moved = |at_ns: u64| at_ns - from_ns + *slot;
        record.block = number;
        record.issued_ns = moved(record.issued_ns);
        record.end_ns = moved(record.end_ns);
        record.first_event_ns = record.first_event_ns.map(moved);
        for mark in &mut record.marks {
            mark.at_ns = moved(mark.at_ns);
        }
        record.scheduled_ns = *slot;
        *slot = record.end_ns + 120_000;
    }
    Block {
        number,
        turn,
        start_ns,
        steady_from_ns: start_ns,
        steady_to_ns: slots_ns.iter().min().copied().unwrap_or(start_ns),
        end_ns: slots_ns.iter().max().copied().unwrap_or(start_ns),
        ..Block::default()
    }
}

fn estimate(mean_ns: f64, half_ns: f64) -> Estimate {
    Estimate {
        mean_ns,
        interval: (half_ns > 0.0).then_some((mean_ns - half_ns, mean_ns + half_ns)),
    }
}

fn part(kind: PartKind, mean_ns: f64, half_ns: f64, source: &str) -> Part {
    Part {
        kind,
        estimate: estimate(mean_ns, half_ns),
        source: source.to_owned(),
    }
}

/// Where the first arm's time beyond the second's comes from: parts of both
/// signs and a rest, which add up.
pub(in super::super) fn waterfalls() -> Vec<Waterfall> {
    let (pre, post) = ("hop preprocess", "hop postprocess");
    let (front, engine) = (
        "what is left of the hop engine",
        "ModelStatistics of turbomind",
    );
    let ttft = Waterfall {
        of: Time::Ttft,
        slow: 0,
        fast: 1,
        slow_ns: estimate(46_693_217.0, 211_000.0),
        fast_ns: estimate(43_951_004.0, 198_000.0),
        gap: estimate(2_742_213.0, 143_000.0),
        parts: vec![
            part(PartKind::ClientFloor, 12_450.0, 1_100.0, "by calibration"),
            part(PartKind::Connect, 1_104_321.0, 23_000.0, "hop connect"),
            part(PartKind::Preprocess, 2_298_770.0, 41_000.0, pre),
            part(PartKind::FrontEnd, -3_011_220.0, 230_000.0, front),
            part(PartKind::Engine, 120_300.0, 0.0, engine),
            part(PartKind::Postprocess, 2_101_592.0, 38_000.0, post),
        ],
        rest: estimate(116_000.0, 150_000.0),
    };
    let per_request = Waterfall {
        of: Time::PerRequest,
        slow: 0,
        fast: 1,
        slow_ns: estimate(956_380_000.0, 3_100_000.0),
        fast_ns: estimate(901_760_000.0, 2_900_000.0),
        gap: estimate(54_620_000.0, 1_700_000.0),
        parts: vec![
            part(PartKind::Preprocess, 2_300_000.0, 40_000.0, pre),
            part(PartKind::Postprocess, 51_200_000.0, 1_600_000.0, post),
        ],
        rest: estimate(1_120_000.0, 300_000.0),
    };
    vec![ttft, per_request]
}
