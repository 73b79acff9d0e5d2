//! Two stored runs that were made apart: what they say of each other, and how
//! little. Knows two runs of the same work; that they were equally lucky it does
//! not assume, and how much a run differs from the next it cannot know.

use std::collections::BTreeMap;

use super::super::comparison::{ArmPair, Basis, Compared, Comparison, Finding, Ratio};
use super::super::metric::Metric;
use super::super::steady;
use super::super::student;
use super::super::summary::{Summary, summarize};
use super::super::together::{Arm, labels};
use super::super::work::work_differs;
use super::blocks::PairedBlocks;
use super::judgement::{finding, ratio_of};
use super::stein::{confidence, moments};
use super::together::{Asked, Options, compared, ordered};
use crate::record::{Record, Run};

/// Batches that a run without blocks is cut into. Ten to thirty are advised: B.
/// Schmeiser, "Batch Size Effects in the Analysis of Simulation Output",
/// Operations Research 30(3), 1982.
const BATCHES: usize = 10;

/// Fewest requests of a batch.
const BATCH_REQUESTS: usize = 10;

/// Compares two runs that are not arms of one experiment.
///
/// Where both have two blocks or more: by B. L. Welch's interval for the
/// difference of two means ("The Generalization of 'Student's' Problem when
/// Several Different Population Variances are Involved", Biometrika 34, 1947)
/// over the logarithms of the blocks' figures, unpaired. That is wider than
/// paired blocks would be, and a sentence follows from it; what changed on the
/// machine between the runs is in it all the same.
///
/// Else latencies by the same requests of both, in ten batches in the order of
/// the plan (requests close in time share their luck; batch means, as in R. W.
/// Conway, "Some Tactical Problems in Digital Simulation", Management Science
/// 10(1), 1963), and throughput by tenths of the time in which requests were
/// issued, with Welch's interval about the ratio of the runs' own figures. One
/// run a side is no replication: the ratio and the spread are told, and no
/// finding follows.
///
/// # Errors
/// When the runs did not get the same work: what differs, in a sentence.
pub fn compare_apart(
    first: &Arm<'_>,
    other: &Arm<'_>,
    options: &Options,
) -> Result<Comparison, String> {
    let names = labels(&[*first, *other]);
    if let Some(why) = work_differs(&[*first, *other]) {
        return Err(why);
    }
    let primary = options.primary();
    let sides = [first.run, other.run];
    let by_blocks = sides.map(|run| PairedBlocks::of(&[run]));
    let replicated = by_blocks.iter().all(|side| side.numbers.len() > 1);
    let requests = Requests::of(&sides);
    let metrics = ordered(&primary).into_iter().map(|metric| {
        let is_primary = primary.contains(&metric);
        let of = Asked {
            metric,
            primary: is_primary,
            intervals: if is_primary { primary.len() } else { 1 },
        };
        if replicated {
            by_welch(&of, &by_blocks, options.margin)
        } else if metric.is_rate() {
            by_time(&of, first, other)
        } else {
            by_requests(&of, &requests, options)
        }
    });
    let pair = ArmPair {
        other: 1,
        metrics: metrics.collect(),
    };
    Ok(Comparison {
        arms: names,
        basis: if replicated {
            blocks_apart(&sides, &by_blocks)
        } else {
            requests.basis()
        },
        margin: options.margin,
        pairs: vec![pair],
    })
}

/// What a metric was found to be, if anything was.
fn found(of: &Asked, ratio: Option<Ratio>, finding: Finding) -> Compared {
    Compared {
        metric: of.metric,
        primary: of.primary,
        ratio,
        blocks: Vec::new(),
        finding,
    }
}

/// What unpaired blocks of two runs are: how many of each, and how large.
fn blocks_apart(sides: &[&Run; 2], blocks: &[PairedBlocks; 2]) -> Basis {
    let count = |side: &PairedBlocks| u32::try_from(side.numbers.len()).unwrap_or(u32::MAX);
    let experiments = sides
        .iter()
        .filter_map(|run| run.header.experiment.as_ref());
    let least = experiments.map(|of| of.block_requests).min();
    Basis::BlocksApart {
        first_blocks: count(&blocks[0]),
        other_blocks: count(&blocks[1]),
        least_requests: least.unwrap_or(0),
    }
}

/// Over the blocks of either side, unpaired.
fn by_welch(of: &Asked, sides: &[PairedBlocks; 2], margin: f64) -> Compared {
    let [first, other] = sides;
    let known = |side: &PairedBlocks| -> Vec<f64> {
        let logs = side.logs(of.metric, 0);
        logs.into_iter().flatten().collect()
    };
    let welch = welch(&known(first), &known(other), of.intervals);
    let ratio = welch.and_then(|(mean, half)| ratio_of(mean, (mean - half, mean + half)));
    let finding = match welch.filter(|_| ratio.is_some()) {
        // How many blocks would decide is not told: they would be other runs.
        Some((mean, half)) => finding(of.metric, (mean - half, mean + half), margin)
            .unwrap_or(Finding::Undecided { more_blocks: None }),
        None => Finding::Unknown,
    };
    // Blocks of the same number may hold other requests, and were never a pair.
    found(of, ratio, finding)
}

/// Mean of `other` minus mean of `first`, and the half width of Welch's interval
/// with Satterthwaite's degrees of freedom (F. E. Satterthwaite, "An Approximate
/// Distribution of Estimates of Variance Components", Biometrics Bulletin 2(6),
/// 1946). `None` with fewer than two values on a side.
fn welch(first: &[f64], other: &[f64], intervals: usize) -> Option<(f64, f64)> {
    let part = |values: &[f64]| {
        let (mean, deviation) = moments(values)?;
        let n = values.len() as f64;
        Some((mean, deviation * deviation / n, n - 1.0))
    };
    let ((first, first_part, first_freedom), (other, other_part, other_freedom)) =
        (part(first)?, part(other)?);
    let variance = first_part + other_part;
    if variance <= 0.0 {
        return Some((other - first, 0.0));
    }
    let freedom = variance.powi(2)
        / (first_part.powi(2) / first_freedom + other_part.powi(2) / other_freedom);
    let half = student::quantile(confidence(intervals), freedom)? * variance.sqrt();
    Some((other - first, half))
}

/// The requests that both runs finished, in batches.
struct Requests {
    pairs: usize,
    /// The figures of each batch, of both runs.
    batches: PairedBlocks,
}

impl Requests {
    fn of(sides: &[&Run; 2]) -> Self {
        let [first, other] = sides.map(finished);
        let both: Vec<u32> = first
            .keys()
            .filter(|index| other.contains_key(index))
            .copied()
            .collect();
        let batches = (both.len() / BATCH_REQUESTS).min(BATCHES);
        let mut figures = PairedBlocks::default();
        for batch in 0..batches {
            let (from, to) = (
                both.len() * batch / batches,
                both.len() * (batch + 1) / batches,
            );
            let indexes = both.get(from..to).unwrap_or_default();
            let summaries = sides.iter().zip([&first, &other]);
            let summaries = summaries.map(|(run, records)| batch_of(run, records, indexes));
            figures.summaries.push(summaries.collect());
            figures
                .numbers
                .push(u32::try_from(batch).unwrap_or(u32::MAX));
        }
        Self {
            pairs: both.len(),
            batches: figures,
        }
    }

    fn basis(&self) -> Basis {
        let number = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
        let batches = self.batches.numbers.len();
        Basis::Requests {
            pairs: number(self.pairs),
            batch: number(self.pairs.checked_div(batches).unwrap_or(0)),
        }
    }
}

/// Finished requests by index; where one was played in several blocks, its first.
fn finished(run: &Run) -> BTreeMap<u32, &Record> {
    let mut records = BTreeMap::new();
    for record in run.records.iter().filter(|record| record.is_ok()) {
        records.entry(record.index).or_insert(record);
    }
    records
}

/// Some requests of a run as if they were a run by themselves.
fn batch_of(run: &Run, records: &BTreeMap<u32, &Record>, indexes: &[u32]) -> Summary {
    let records = indexes.iter().filter_map(|index| records.get(index));
    summarize(&Run {
        header: run.header.clone(),
        records: records.map(|record| (*record).clone()).collect(),
        recount: run.recount.clone(),
        ..Run::default()
    })
}

fn by_requests(of: &Asked, requests: &Requests, options: &Options) -> Compared {
    let options = Options {
        precision: None,
        ..options.clone()
    };
    let ratios = requests.batches.log_ratios(of.metric, 1, 0);
    let spread = compared(of, &ratios, 1, &options);
    found(of, spread.ratio, Finding::Unknown)
}

/// Throughput: the ratio of the runs' own figures, and how far it may be off by
/// the spread of each run's tenths.
fn by_time(of: &Asked, first: &Arm<'_>, other: &Arm<'_>) -> Compared {
    let ratio = || {
        let figure = |arm: &Arm<'_>| of.metric.of(arm.summary).filter(|figure| *figure > 0.0);
        let mean = (figure(other)? / figure(first)?).ln();
        let rates = |arm: &Arm<'_>| tenths(of.metric, arm.run);
        let (_, half) = welch(&rates(first), &rates(other), of.intervals)?;
        ratio_of(mean, (mean - half, mean + half))
    };
    found(of, ratio(), Finding::Unknown)
}

/// Logarithms of a run's throughput in each tenth of the time from its first
/// message to its last issue: all slots are busy there. Tenths in which nothing
/// came are left out.
fn tenths(metric: Metric, run: &Run) -> Vec<f64> {
    let records = run.records.iter().filter(|record| record.is_ok());
    let from = records
        .clone()
        .filter_map(|record| record.marks.first().map(|mark| mark.at_ns))
        .min();
    let to = records.map(|record| record.issued_ns).max();
    let (Some(from), Some(to)) = (from, to) else {
        return Vec::new();
    };
    let parts = u64::try_from(BATCHES).unwrap_or(1);
    let width_ns = to.saturating_sub(from) / parts;
    let rate = |part: u64| {
        let window_from = from.saturating_add(width_ns.saturating_mul(part));
        let steady = steady::of_window(run, (window_from, window_from.saturating_add(width_ns)));
        let amount = match metric {
            Metric::RequestsPerS => steady.requests as f64,
            Metric::TotalTokensPerS => steady.output_tokens? + steady.prompt_tokens as f64,
            _ => steady.output_tokens?,
        };
        steady.per_s(amount).filter(|rate| *rate > 0.0).map(f64::ln)
    };
    (0..parts).filter_map(rate).collect()
}

#[cfg(test)]
#[path = "apart_tests.rs"]
mod tests;
