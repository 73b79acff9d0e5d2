//! Comparisons of whole runs: from records of blocks to what is found.

use std::collections::BTreeMap;

use super::super::fixture::{record, run};
use super::super::{Arm, Basis, Comparison, Finding, Metric, Summary, judge_together, summarize};
use super::{Options, PairedBlocks, compare_blocks};
use crate::record::{Block, Experiment, Record, Run};

const MS: u64 = 1_000_000;

/// An arm with a block per window, in which ten answers of four tokens end.
fn arm(place: u32, windows_ms: &[u64]) -> Run {
    let mut all: Vec<Record> = Vec::new();
    let mut blocks = Vec::new();
    let mut from_ns = MS;
    for (number, window_ms) in (0..).zip(windows_ms) {
        let window_ns = window_ms * MS;
        for nth in 0..10 {
            let gap_ns = window_ns / 40;
            let issued_ns = from_ns + u64::from(nth) * window_ns / 20;
            let mut one = record(nth, issued_ns, window_ns / 20, gap_ns, 4);
            one.block = number;
            all.push(one);
        }
        blocks.push(Block {
            number,
            turn: (number + place) % 2,
            start_ns: from_ns - MS,
            steady_from_ns: from_ns,
            steady_to_ns: from_ns + window_ns,
            end_ns: from_ns + window_ns + MS,
            ..Block::default()
        });
        from_ns += 3 * window_ns;
    }
    let mut run = run(all);
    run.blocks = blocks;
    run.header.backend = ["tis", "api_server", "tis-chatbot"]
        .get(place as usize)
        .map_or(String::new(), |name| (*name).to_owned());
    run.header.experiment = Some(Experiment {
        id: "one".to_owned(),
        arm: place,
        arms: 2,
        blocks: 6,
        block_requests: 10,
        margin: 0.02,
        ..Experiment::default()
    });
    run
}

fn with_arms<T>(runs: &[Run], then: impl Fn(&[Arm<'_>]) -> T) -> T {
    let summaries: Vec<Summary> = runs.iter().map(summarize).collect();
    let arms: Vec<Arm<'_>> = runs
        .iter()
        .zip(&summaries)
        .map(|(run, summary)| Arm { run, summary })
        .collect();
    then(&arms)
}

fn compare(runs: &[Run]) -> Comparison {
    with_arms(runs, |arms| compare_blocks(arms, &Options::of(arms[0].run)))
}

fn codes(runs: &[Run]) -> BTreeMap<&'static str, String> {
    let reasons = with_arms(runs, judge_together).reasons;
    reasons
        .into_iter()
        .map(|reason| (reason.code, reason.text))
        .collect()
}

#[test]
fn blocks_are_paired_by_number() {
    // Windows of the first are 1.25 times as long in every block: so is every
    // time, and the rate is 1.25 times as high on the other side.
    let first = arm(0, &[125, 250, 100, 500, 200, 150]);
    let mut other = arm(1, &[100, 200, 80, 400, 160, 120]);
    other.blocks.reverse();
    let found = compare(&[first.clone(), other.clone()]);
    assert_eq!(
        found.basis,
        Basis::Blocks {
            blocks: 6,
            requests: 10,
            duet: false,
            precision: None,
            wanted: None,
        }
    );
    let metrics = &found.pairs[0].metrics;
    assert_eq!(metrics[0].metric, Metric::OutputTokensPerS);
    assert_eq!(metrics.len(), 8);
    for of in metrics {
        let expected = if of.metric.is_rate() { 1.25 } else { 0.8 };
        let ratio = of.ratio.unwrap();
        assert!((ratio.point - expected).abs() < 1e-6, "{of:?}");
        assert_eq!(of.finding, Finding::Other, "{:?}", of.metric);
        assert_eq!(of.blocks.len(), 6);
        assert_eq!(of.primary, of.metric == Metric::OutputTokensPerS);
    }
    let turned = compare(&[other, first]);
    for (one, other) in metrics.iter().zip(&turned.pairs[0].metrics) {
        let product = one.ratio.unwrap().point * other.ratio.unwrap().point;
        assert!((product - 1.0).abs() < 1e-9);
        assert_eq!(other.finding, Finding::First);
    }
}

#[test]
fn only_blocks_that_all_arms_finished_count() {
    let first = arm(0, &[100; 6]);
    let mut other = arm(1, &[100; 5]);
    other.blocks[2].cut = true;
    let pairs = PairedBlocks::of(&[&first, &other]);
    assert_eq!(pairs.numbers, [0, 1, 3, 4]);
    assert_eq!(pairs.summaries.len(), 4);
    let runs = [first.clone(), other];
    let found = codes(&runs);
    let words = found.get("blocks_missing").unwrap();
    assert!(
        words.contains("api_server lacks 2, 5; 4 of 6 can be compared"),
        "{words}"
    );
    assert!(found.contains_key("interrupted"), "{found:?}");
    let mut apart = runs.clone();
    apart[1].header.experiment.as_mut().unwrap().id = "two".to_owned();
    assert!(with_arms(&runs, super::super::one_experiment));
    assert!(!with_arms(&apart, super::super::one_experiment));
    assert!(!codes(&apart).contains_key("blocks_missing"));
    // A time limit ends both alike: no objection.
    let both = [arm(0, &[100; 4]), arm(1, &[100; 4])];
    assert!(codes(&both).is_empty(), "{:?}", codes(&both));
    let one = compare(&[arm(0, &[100]), arm(1, &[100])]);
    assert_eq!(one.pairs[0].metrics[0].ratio, None);
    assert_eq!(one.pairs[0].metrics[0].finding, Finding::Unknown);
    let none = compare(&[run(Vec::new()), run(Vec::new())]);
    assert_eq!(none.pairs[0].metrics[0].finding, Finding::Unknown);
    assert_eq!(compare(&[first]).pairs, []);
}

#[test]
fn a_short_block_is_too_short() {
    let mut runs = [arm(0, &[100; 6]), arm(1, &[100; 6])];
    for run in &mut runs {
        run.header.concurrency = 5;
    }
    assert!(codes(&runs).is_empty(), "{:?}", codes(&runs));
    runs[1]
        .records
        .retain(|record| record.block != 3 || record.index > 1);
    let words = codes(&runs);
    let words = words.get("too_short").unwrap();
    assert_eq!(
        words,
        "1 of 6 blocks are too short: in block 3 only 8 requests finished, fewer than 2 x concurrency \
         = 10"
    );
}

#[test]
fn a_precision_rounds_to_whole_turns() {
    let swing = [100, 104, 96, 100, 105, 95];
    let (first, other) = (arm(0, &swing), arm(1, &[100; 6]));
    let pairs = PairedBlocks::of(&[&first, &other]);
    let needed = pairs.needed(&[Metric::OutputTokensPerS], 0.02).unwrap();
    let pilot: Vec<f64> = pairs
        .log_ratios(Metric::OutputTokensPerS, 1, 0)
        .into_iter()
        .flatten()
        .collect();
    let plain = super::blocks_needed(&pilot, 0.02).unwrap();
    assert!(plain > 6 && needed == plain.next_multiple_of(2), "{needed}");
    // Asked again with more blocks: the pilot decides, as before.
    let longer = arm(0, &[100, 104, 96, 100, 105, 95, 300, 10]);
    let again = PairedBlocks::of(&[&longer, &arm(1, &[100; 8])]);
    assert_eq!(
        again.needed(&[Metric::OutputTokensPerS], 0.02),
        Some(needed)
    );
    // Two primary metrics hold together: more blocks.
    let two = pairs.needed(&[Metric::OutputTokensPerS, Metric::FtlMean], 0.02);
    assert!(two > Some(needed), "{two:?}");
    let short = PairedBlocks::of(&[&arm(0, &[100; 5]), &arm(1, &[100; 5])]);
    assert_eq!(short.needed(&[Metric::OutputTokensPerS], 0.02), None);
}

#[test]
fn several_primary_metrics_widen_each_other() {
    let runs = [
        arm(0, &[100, 104, 96, 100, 105, 95]),
        arm(1, &[100; 6]),
        arm(2, &[110; 6]),
    ];
    let with = |primary: &[Metric]| {
        let options = Options {
            primary: primary.to_vec(),
            ..Options::default()
        };
        with_arms(&runs, |arms| compare_blocks(arms, &options))
    };
    let width = |found: &Comparison, metric| {
        let ratio = found.compared(1, metric).unwrap().ratio.unwrap();
        ratio.high / ratio.low
    };
    let one = with(&[Metric::OutputTokensPerS]);
    let two = with(&[Metric::FtlMean, Metric::OutputTokensPerS, Metric::FtlMean]);
    assert_eq!((one.joint_intervals(), two.joint_intervals()), (2, 4));
    assert_eq!(two.pairs[1].metrics[0].metric, Metric::FtlMean);
    let metric = Metric::OutputTokensPerS;
    assert!(width(&two, metric) > width(&one, metric));
    let metric = Metric::E2eMean;
    assert!((width(&two, metric) - width(&one, metric)).abs() < 1e-12);
    assert_eq!(with(&[]), one);
    let mut run = runs[0].clone();
    let experiment = run.header.experiment.as_mut().unwrap();
    experiment.primary = ["ttft", "no such", "rps", "ttft"]
        .map(str::to_owned)
        .to_vec();
    experiment.precision = Some(0.01);
    let options = Options::of(&run);
    assert_eq!(options.primary, [Metric::FtlMean, Metric::RequestsPerS]);
    assert_eq!((options.precision, options.margin), (Some(0.01), 0.02));
}

#[test]
fn a_floor_objects_to_what_blocks_show_and_to_nothing_else() {
    let floor = crate::record::ClientFloor {
        floor: crate::record::Delay {
            mean_ns: 1_000_000,
            ..crate::record::Delay::default()
        },
        ..crate::record::ClientFloor::default()
    };
    // Means 5 % apart in six blocks, alike in each or not at all.
    let steady = [arm(0, &[105; 6]), arm(1, &[100; 6])];
    let loose = [
        arm(0, &[105, 180, 90, 130, 60, 65]),
        arm(1, &[100, 100, 100, 100, 100, 100]),
    ];
    for (mut runs, objects) in [(steady, true), (loose, false)] {
        for run in &mut runs {
            run.header.client_floor = Some(floor.clone());
        }
        let found = codes(&runs);
        assert_eq!(found.contains_key("client_floor"), objects, "{found:?}");
    }
}
