//! What charts are drawn from: samples, pairs and courses over time, straight
//! from the records. No figure of a table of results is made here.

pub(super) mod course;

use std::collections::HashMap;

use super::chart::scatter::Point;
use crate::record::{Record, RequestKey, Run};

/// Samples of one arm, in ascending order.
pub(super) type Sorted = Vec<f64>;

fn sorted(samples: impl Iterator<Item = f64>) -> Sorted {
    let mut samples: Vec<f64> = samples.filter(|sample| sample.is_finite()).collect();
    samples.sort_unstable_by(f64::total_cmp);
    samples
}

fn finished(run: &Run) -> impl Iterator<Item = &Record> {
    run.records.iter().filter(|record| record.is_ok())
}

fn ms(later_ns: u64, earlier_ns: u64) -> f64 {
    later_ns.saturating_sub(earlier_ns) as f64 / 1e6
}

/// Milliseconds from issue to the first token; none where answers come whole.
fn ttft_ms(record: &Record) -> Option<f64> {
    Some(ms(record.marks.first()?.at_ns, record.issued_ns))
}

/// Milliseconds to the first token.
pub(super) fn ttft(run: &Run) -> Sorted {
    match run.header.stream {
        true => sorted(finished(run).filter_map(ttft_ms)),
        false => Vec::new(),
    }
}

/// Milliseconds between messages.
pub(super) fn itl(run: &Run) -> Sorted {
    if !run.header.stream {
        return Vec::new();
    }
    let gaps = finished(run).flat_map(|record| record.marks.windows(2));
    sorted(gaps.filter_map(|pair| match pair {
        [earlier, later] => Some(ms(later.at_ns, earlier.at_ns)),
        _ => None,
    }))
}

/// Tokens asked for.
pub(super) fn asked(run: &Run) -> Sorted {
    sorted(finished(run).map(|record| f64::from(record.requested_tokens)))
}

/// Tokens that came, where somebody counted them.
pub(super) fn generated(run: &Run) -> Sorted {
    let recounts = recounts(run);
    sorted(finished(run).filter_map(|record| tokens(record, &recounts).map(f64::from)))
}

/// Tokens of the answers' texts, by request: an index may be played again.
type Recounts = HashMap<RequestKey, u32>;

fn recounts(run: &Run) -> Recounts {
    let counts = run.recount.counts();
    counts.map(|(key, whole, _)| (key, whole)).collect()
}

fn tokens(record: &Record, recounts: &Recounts) -> Option<u32> {
    let text = || recounts.get(&record.key()).copied();
    record.completion_tokens.or_else(text)
}

/// A time of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Latency {
    /// To the first token.
    Ttft,
    /// To the end of the answer.
    E2e,
}

/// The requests that both runs finished, in the order of the plan; within
/// blocks where both runs have them, as a comparison may play a request twice.
pub(super) fn paired(first: &Run, other: &Run, of: Latency) -> Vec<Point> {
    let time = |record: &Record| match of {
        Latency::Ttft => ttft_ms(record),
        Latency::E2e => Some(ms(record.end_ns, record.issued_ns)),
    };
    if of == Latency::Ttft && !(first.header.stream && other.header.stream) {
        return Vec::new();
    }
    let both = !first.blocks.is_empty() && !other.blocks.is_empty();
    let place = |record: &Record| (if both { record.block } else { 0 }, record.index);
    let others: HashMap<(u32, u32), f64> = finished(other)
        .filter_map(|record| Some((place(record), time(record)?)))
        .collect();
    let pair = |record: &Record| {
        Some(Point {
            index: record.index,
            first_ms: time(record)?,
            other_ms: *others.get(&place(record))?,
        })
    };
    let mut points: Vec<Point> = finished(first).filter_map(pair).collect();
    points.sort_by_key(|point| point.index);
    points
}
