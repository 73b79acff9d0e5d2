//! Rule 4 of the page "What is measured": whether the instrument itself spoils
//! the figures. Its own delays (slip), its busiest thread, and its floor against
//! what is claimed. Every objection carries its numbers and a cure.

use super::comparison::{Comparison, Finding};
use super::interval::Interval;
use super::metric::Metric;
use super::paired::{Options, compare_blocks};
use super::reason::{Reason, reason};
use super::summary::Summary;
use super::together::{Arm, one_experiment};
use super::words::{counted, grouped_decimal};
use crate::record::{ClientFloor, Run, RunHeader};

/// Most that the busiest thread may be busy, in percent of a core.
const MOST_BUSY_PERCENT: f64 = 80.0;

/// Largest share of the first-token latency (or the end-to-end latency of an
/// answer in one piece) that waiting for a core may make up on average.
const MOST_WAIT_SHARE: f64 = 0.01;

/// Most of the time that the busiest thread may wait for a core, in percent.
const MOST_WAIT_PERCENT: f64 = 10.0;

/// Largest share of the time in which it has something to do that a thread may
/// wait for a core. One that shares its core with a program that never rests
/// waits for as long as it runs: 45 to 60 % were seen, from 1 to 64 requests in
/// flight. Where servers of the same machine have the core now and then it was
/// at most 26 % (the demo, two cores).
const MOST_WAIT_OF_BUSY: f64 = 1.0 / 3.0;

/// Waits of less than this share of the run are nothing, in percent.
const LEAST_WAIT_PERCENT: f64 = 0.3;

/// Waits below this are what any machine has: interrupts, a writer of records.
const ORDINARY_WAIT_NS: f64 = 200_000.0;

/// Two means that differ by less than this share of the smaller are claimed to
/// be no different.
const CLAIMED_SHARE: f64 = 0.02;

/// Largest share of a claimed difference that the larger floor may be.
const MOST_FLOOR_SHARE: f64 = 0.05;

/// The client issued its requests in time.
pub(super) fn slip(run: &Run, summary: &Summary) -> Option<Reason> {
    let (slip_ns, e2e_ns) = (summary.latencies.slip?.p99, summary.latencies.e2e?.p50);
    let waited = run.end.as_ref().map_or(0, |end| end.waited_for_disk);
    let (disk, cure) = match waited {
        0 => (
            String::new(),
            "take a client machine with idle cores, or lower --concurrency",
        ),
        _ => (
            format!(
                "; {} waited as the disk did not follow with the records",
                counted(waited.into(), "request", "requests")
            ),
            "choose a folder on a faster disk with --records",
        ),
    };
    (slip_ns * 100.0 > e2e_ns).then(|| {
        reason(
            4,
            "client_slip",
            format!(
                "the client was late: p99 of its own delay is {} ms, above 1 % of the median \
                 end-to-end latency of {} ms{disk}",
                grouped_decimal(slip_ns / 1e6, 3),
                grouped_decimal(e2e_ns / 1e6, 3)
            ),
            cure,
        )
    })
}

/// No thread of the client was near its limit. A thread that is ready and waits
/// for a core is as good as busy: something else has the core.
pub(super) fn busiest_thread(summary: &Summary) -> Option<Reason> {
    let percent = summary.client.busiest_thread_percent?;
    let waited = summary.client.busiest_thread_wait_percent;
    (percent > MOST_BUSY_PERCENT).then(|| {
        let hindered = waited > Some(MOST_BUSY_PERCENT / 4.0);
        let parts = waited.map_or(String::new(), |waited| {
            format!(
                " ({} % on a core, {} % ready and waiting for one)",
                grouped_decimal(percent - waited, 1),
                grouped_decimal(waited, 1)
            )
        });
        reason(
            4,
            "client_cpu",
            format!(
                "the client's busiest thread was busy for {} % of the time, above 80 % of a core\
                 {parts}",
                grouped_decimal(percent, 1)
            ),
            if hindered {
                "end what else runs on the client's cores, or take a client machine of its own"
            } else {
                "take a client machine with faster or idle cores, give --client-threads, or lower \
                 --concurrency"
            },
        )
    })
}

/// The client's threads got a core when they had something to do: else every
/// time that was taken is late by the wait. Few waits are long where few
/// messages come; many are short, but stand in the way of each other.
///
/// An embedded server has the cores that the client has, in steps that the client
/// waits for: short waits are then no sign of somebody else.
pub(super) fn waits(run: &Run, summary: &Summary) -> Option<Reason> {
    let wait_ns = summary.client.wait_per_turn_ns?;
    let waited = summary.client.busiest_thread_wait_percent?;
    let latencies = &summary.latencies;
    let (latency, words) = match (latencies.ftl, latencies.e2e) {
        (Some(ftl), _) => (ftl, "first-token latency"),
        (None, Some(e2e)) => (e2e, "end-to-end latency"),
        (None, None) => return None,
    };
    let long = wait_ns > latency.mean * MOST_WAIT_SHARE && wait_ns > ORDINARY_WAIT_NS;
    let busy = summary.client.busiest_thread_percent.unwrap_or(100.0);
    let shared = waited > LEAST_WAIT_PERCENT && waited > busy * MOST_WAIT_OF_BUSY;
    let shared = shared && run.header.address != RunHeader::EMBEDDED;
    // With more than that the busiest thread's clause has spoken.
    let spoken = busiest_thread(summary).is_some();
    // Only what was broken, as shares that need no dividing.
    let broken = [
        (waited > MOST_WAIT_PERCENT).then(|| {
            format!(
                "for {} % of the time (limit: 10 %)",
                grouped_decimal(waited, 1)
            )
        }),
        shared.then(|| {
            format!(
                "for {} % of the time in which it had something to do (limit: {} %)",
                grouped_decimal(waited / busy * 100.0, 1),
                grouped_decimal(MOST_WAIT_OF_BUSY * 100.0, 1)
            )
        }),
        long.then(|| {
            format!(
                "for {} ms each time on average, {} % of the mean {words} of {} ms (limit: 1 %)",
                grouped_decimal(wait_ns / 1e6, 3),
                grouped_decimal(wait_ns / latency.mean * 100.0, 1),
                grouped_decimal(latency.mean / 1e6, 3)
            )
        }),
    ];
    let broken: Vec<String> = broken.into_iter().flatten().collect();
    (!broken.is_empty() && !spoken).then(|| {
        reason(
            4,
            "client_waits",
            format!(
                "something else ran on the client's cores: its busiest thread waited for a core {}",
                broken.join("; ")
            ),
            "end what else runs on the client's machine, or take a client machine of its own",
        )
    })
}

/// What the client's own delay is known to be at this load.
fn floor<'a>(arm: &Arm<'a>) -> Option<&'a ClientFloor> {
    arm.run.header.client_floor.as_ref()
}

/// The larger mean floor of the first arm and each other one is small against
/// the difference between them, wherever the page claims one. Arms without a
/// calibration are not judged.
pub(super) fn floors(arms: &[Arm<'_>], names: &[String]) -> Vec<Reason> {
    let Some((first, others)) = arms.split_first() else {
        return Vec::new();
    };
    let metrics = [
        (Metric::FtlMean, "first-token latency"),
        (Metric::E2eMean, "end-to-end latency"),
    ];
    let mut found = Vec::new();
    // What blocks show, their intervals say; else the page's ratios do.
    let by_blocks = one_experiment(arms) && arms.iter().any(|arm| floor(arm).is_some());
    let shown = by_blocks.then(|| compare_blocks(arms, &Options::of(first.run)));
    for (place, other) in (1..).zip(others) {
        let known = [(0, first), (place, other)];
        let larger = known
            .iter()
            .filter_map(|(place, arm)| Some((*place, floor(arm)?.floor.mean_ns as f64)))
            .max_by(|one, other| one.1.total_cmp(&other.1));
        let Some((of, floor_ns)) = larger else {
            continue;
        };
        for (metric, words) in metrics {
            let claimed_ns = match &shown {
                Some(shown) => apart(metric, first.summary, other.summary)
                    .filter(|_| is_shown(shown, place, metric)),
                None => claimed(metric, first.summary, other.summary),
            };
            let Some(claimed_ns) = claimed_ns else {
                continue;
            };
            if floor_ns > claimed_ns * MOST_FLOOR_SHARE {
                let name = |place: usize| names.get(place).map_or("", String::as_str);
                found.push(Reason {
                    arm: Some(place),
                    ..reason(
                        4,
                        "client_floor",
                        format!(
                            "its mean {words} differs from {}'s by {} ms, and the client's own \
                             mean delay ({}, from the calibration) is {} ms: above 5 % of that \
                             difference",
                            name(0),
                            grouped_decimal(claimed_ns / 1e6, 3),
                            name(of),
                            grouped_decimal(floor_ns / 1e6, 3)
                        ),
                        "take a faster or less loaded client machine, or lower --concurrency, and \
                         calibrate again; so small a difference cannot be claimed with this client",
                    )
                });
            }
        }
    }
    found
}

/// The difference of two means that a page claims, without its sign.
fn claimed(metric: Metric, one: &Summary, other: &Summary) -> Option<f64> {
    let difference = apart(metric, one, other)?;
    let less = metric.of(one)?.min(metric.of(other)?);
    (difference > less * CLAIMED_SHARE).then_some(difference)
}

/// Blocks show that the arms differ.
fn is_shown(comparison: &Comparison, other: usize, metric: Metric) -> bool {
    let of = comparison.compared(other, metric);
    of.is_some_and(|of| matches!(of.finding, Finding::First | Finding::Other))
}

/// The difference of two figures without its sign.
fn apart(metric: Metric, one: &Summary, other: &Summary) -> Option<f64> {
    Some((metric.of(one)? - metric.of(other)?).abs())
}

/// How much longer the client takes for a token of `other` than for one of
/// `first`, in nanoseconds, from the paired rounds of their calibration. `None`
/// where they were not calibrated together.
#[must_use]
pub fn floor_difference(first: &ClientFloor, other: &ClientFloor) -> Option<Interval> {
    let together = first.calibrated_utc == other.calibrated_utc
        && first.round_means_ns.len() == other.round_means_ns.len();
    let means = |of: &ClientFloor| of.round_means_ns.clone();
    together.then(|| paired(&means(first), &means(other)))?
}

/// The mean of `other` minus `first`, place by place, with its interval.
pub(super) fn paired(first: &[i64], other: &[i64]) -> Option<Interval> {
    let pairs = first.iter().zip(other);
    let differences: Vec<f64> = pairs
        .map(|(first, other)| other.saturating_sub(*first) as f64)
        .collect();
    Interval::of(&differences)
}

#[cfg(test)]
#[path = "instrument_tests.rs"]
mod tests;
