//! Runs made apart: what is claimed, and what is not.

use super::super::super::fixture::{record, run};
use super::super::super::{Arm, Basis, Comparison, Finding, Metric, summarize};
use super::super::{Options, compare_apart};
use super::welch;
use crate::record::{Block, Experiment, Record, Run};

const MS: u64 = 1_000_000;

/// Two slots, one request after the other; the time to the first token is
/// `ftl_ms` and swings by 10 % with the index, which is the same on both sides.
fn plain(requests: u32, ftl_ms: u64) -> Run {
    let records = (0..requests).map(|index| {
        let ftl_ns = ftl_ms * MS * (90 + u64::from(index * 7 % 21)) / 100;
        record(index, u64::from(index / 2) * 20 * MS, ftl_ns, MS, 4)
    });
    run(records.collect())
}

fn compare(first: &Run, other: &Run) -> Result<Comparison, String> {
    let (one, two) = (summarize(first), summarize(other));
    let arm = |run, summary| Arm { run, summary };
    compare_apart(&arm(first, &one), &arm(other, &two), &Options::default())
}

#[test]
fn requests_are_paired_and_nothing_is_claimed() {
    let (first, other) = (plain(200, 10), plain(200, 12));
    let found = compare(&first, &other).unwrap();
    assert_eq!(
        found.basis,
        Basis::Requests {
            pairs: 200,
            batch: 20
        }
    );
    let ttft = found.compared(1, Metric::FtlMean).unwrap();
    let ratio = ttft.ratio.unwrap();
    assert!((ratio.point - 1.2).abs() < 1e-9, "{ratio:?}");
    assert!(ratio.low <= ratio.point && ratio.point <= ratio.high);
    for of in &found.pairs[0].metrics {
        assert_eq!(of.finding, Finding::Unknown, "{:?}", of.metric);
        assert_eq!(of.blocks, []);
    }
    let rps = found.compared(1, Metric::RequestsPerS).unwrap();
    let ratio = rps.ratio.unwrap();
    assert!(
        ratio.low < 1.0 && ratio.high > 1.0 || ratio.low < ratio.high,
        "{ratio:?}"
    );
    // A request that only one side finished pairs with nothing.
    let mut fewer = other.clone();
    fewer.records.truncate(150);
    let found = compare(&first, &fewer).unwrap();
    assert_eq!(
        found.basis,
        Basis::Requests {
            pairs: 150,
            batch: 15
        }
    );
}

#[test]
fn a_handful_of_requests_says_nothing() {
    let found = compare(&plain(12, 10), &plain(12, 12)).unwrap();
    assert_eq!(found.compared(1, Metric::FtlMean).unwrap().ratio, None);
    let none = compare(&run(Vec::new()), &run(Vec::new())).unwrap();
    assert!(none.pairs[0].metrics.iter().all(|of| of.ratio.is_none()));
}

#[test]
fn other_work_is_refused_and_named() {
    let first = plain(20, 10);
    let mut other = plain(20, 10);
    other.header.workload = "ffff0000".to_owned();
    other.header.seed = 7;
    let words = compare(&first, &other).unwrap_err();
    assert!(
        words.contains("workload digest a1b2c3d4 and ffff0000"),
        "{words}"
    );
    assert!(words.contains("seed 0 and 7"), "{words}");
    assert!(!words.contains("dataset sharegpt"), "{words}");
    let mut whole = plain(20, 10);
    whole.header.stream = false;
    assert!(
        compare(&first, &whole)
            .unwrap_err()
            .contains("streaming true and false")
    );
}

/// Blocks of ten answers that end evenly over a window; each of its own length.
fn of_blocks(windows_ms: &[u64]) -> Run {
    let mut all: Vec<Record> = Vec::new();
    let mut blocks = Vec::new();
    let mut from_ns = 0;
    for (number, window_ms) in (0..).zip(windows_ms) {
        let window_ns = window_ms * MS;
        for place in 0..10 {
            let mut one = record(number * 10 + place, from_ns, window_ns / 2, 1, 2);
            one.end_ns = from_ns + window_ns * u64::from(place + 1) / 10;
            one.block = number;
            all.push(one);
        }
        blocks.push(Block {
            number,
            start_ns: from_ns,
            steady_from_ns: from_ns,
            steady_to_ns: from_ns + window_ns,
            end_ns: from_ns + window_ns,
            ..Block::default()
        });
        from_ns += window_ns;
    }
    let mut run = run(all);
    run.blocks = blocks;
    run.header.experiment = Some(Experiment {
        block_requests: 10,
        ..Experiment::default()
    });
    run
}

#[test]
fn blocks_of_both_sides_are_compared_unpaired() {
    // Requests per second of a block: 10 / window.
    let first = of_blocks(&[100, 110, 90, 100, 105, 95]);
    let other = of_blocks(&[50, 55, 45, 50]);
    let found = compare(&first, &other).unwrap();
    let rps = found.compared(1, Metric::RequestsPerS).unwrap();
    let ratio = rps.ratio.unwrap();
    assert!((ratio.point - 2.0).abs() < 0.02, "{ratio:?}");
    assert_eq!(rps.finding, Finding::Other);
    assert!(rps.blocks.is_empty(), "no pairs");
    let basis = Basis::BlocksApart {
        first_blocks: 6,
        other_blocks: 4,
        least_requests: 10,
    };
    assert_eq!(found.basis, basis);
    let near = compare(&first, &of_blocks(&[100, 95, 110, 93])).unwrap();
    let near = near.compared(1, Metric::RequestsPerS).unwrap();
    assert_eq!(near.finding, Finding::Undecided { more_blocks: None });
    let swapped = compare(&other, &first).unwrap();
    let swapped = swapped.compared(1, Metric::RequestsPerS).unwrap();
    assert!((swapped.ratio.unwrap().low * ratio.high - 1.0).abs() < 1e-9);
}

#[test]
fn welch_by_hand() {
    // 1 2 3 against 2 4 6 8: means 2 and 5; s^2 / n = 1 / 3 and 6.66667 / 4 =
    // 1.66667; freedom 4 / (0.111111 / 2 + 2.777778 / 3) = 4.07547; t = 2.7566.
    let (mean, half) = welch(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0, 8.0], 1).unwrap();
    assert!((mean - 3.0).abs() < 1e-12);
    assert!((half / 2.0_f64.sqrt() - 2.757).abs() < 5e-3, "{half}");
    assert_eq!(welch(&[1.0], &[2.0, 3.0], 1), None);
    assert_eq!(welch(&[1.0, 1.0], &[3.0, 3.0], 1), Some((2.0, 0.0)));
}
