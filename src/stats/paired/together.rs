//! A comparison of arms that played the same blocks close in time: the paired
//! ratios block by block, and what follows for each metric.

use super::super::comparison::{ArmPair, Basis, Compared, Comparison, Finding};
use super::super::metric::{COMPARED, Metric};
use super::super::together::{Arm, labels};
use super::blocks::PairedBlocks;
use super::judgement::{Spread, judged, ratio_of};
use crate::record::Run;

/// Largest difference that counts as none, as a share, where nobody says.
pub const DEFAULT_MARGIN: f64 = 0.02;

/// What the user decided before the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Metrics that decide, the most important first; output throughput where
    /// none is named. Their intervals hold together in 95 %.
    pub primary: Vec<Metric>,
    /// Largest difference that counts as none, as a share.
    pub margin: f64,
    /// Half width asked for, as a share: the number of blocks was chosen by
    /// Stein's rule.
    pub precision: Option<f64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            primary: vec![Metric::OutputTokensPerS],
            margin: DEFAULT_MARGIN,
            precision: None,
        }
    }
}

impl Options {
    /// As the experiment says that `run` is an arm of; a metric that this version
    /// does not know is left out.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let experiment = run.header.experiment.as_ref();
        experiment.map_or_else(Self::default, |of| {
            let names = of.primary.iter();
            let mut options = Self {
                margin: of.margin,
                precision: of.precision,
                primary: names.filter_map(|name| Metric::of_name(name)).collect(),
            };
            options.primary = options.primary();
            options
        })
    }

    /// The metrics that decide: at least one, none twice.
    #[must_use]
    pub fn primary(&self) -> Vec<Metric> {
        let mut primary: Vec<Metric> = Vec::new();
        for metric in &self.primary {
            if !primary.contains(metric) {
                primary.push(*metric);
            }
        }
        if primary.is_empty() {
            primary.push(Metric::OutputTokensPerS);
        }
        primary
    }
}

impl Comparison {
    /// Intervals of primary metrics, over all pairs of arms, that hold together
    /// in 95 %. With more than one each is wider than a 95 % interval of its own;
    /// those of other metrics are not widened.
    #[must_use]
    pub fn joint_intervals(&self) -> usize {
        let metrics = self.pairs.iter().flat_map(|pair| &pair.metrics);
        metrics.filter(|metric| metric.primary).count()
    }

    /// One metric of one pair, by the other arm's place.
    #[must_use]
    pub fn compared(&self, other: usize, metric: Metric) -> Option<&Compared> {
        let pair = self.pairs.iter().find(|pair| pair.other == other)?;
        pair.metrics.iter().find(|of| of.metric == metric)
    }
}

/// Compares arms of one experiment by the blocks that all of them finished.
/// Runs without blocks leave every finding unknown.
#[must_use]
pub fn compare_blocks(arms: &[Arm<'_>], options: &Options) -> Comparison {
    let runs: Vec<&Run> = arms.iter().map(|arm| arm.run).collect();
    let experiment = runs.first().and_then(|run| run.header.experiment.as_ref());
    let blocks = PairedBlocks::of(&runs);
    let basis = Basis::Blocks {
        blocks: u32::try_from(blocks.numbers.len()).unwrap_or(u32::MAX),
        requests: experiment.map_or(0, |of| of.block_requests),
        duet: experiment.is_some_and(|of| of.duet),
        precision: options.precision,
        wanted: experiment.and_then(|of| of.blocks_wanted),
    };
    compare_figures(labels(arms), &blocks, basis, options)
}

/// The same from the figures of the blocks.
pub(in crate::stats) fn compare_figures(
    names: Vec<String>,
    blocks: &PairedBlocks,
    basis: Basis,
    options: &Options,
) -> Comparison {
    let primary = options.primary();
    let others = names.len().saturating_sub(1);
    let intervals = others * primary.len();
    let pair = |other: usize| ArmPair {
        other,
        metrics: ordered(&primary)
            .into_iter()
            .map(|metric| {
                let is_primary = primary.contains(&metric);
                let of = Asked {
                    metric,
                    primary: is_primary,
                    intervals: if is_primary { intervals } else { 1 },
                };
                compared(
                    &of,
                    &blocks.log_ratios(metric, other, 0),
                    names.len(),
                    options,
                )
            })
            .collect(),
    };
    Comparison {
        pairs: (1..=others).map(pair).collect(),
        arms: names,
        basis,
        margin: options.margin,
    }
}

/// The primary metrics, then the others of the contract.
pub(super) fn ordered(primary: &[Metric]) -> Vec<Metric> {
    let rest = COMPARED.iter().filter(|metric| !primary.contains(metric));
    primary.iter().chain(rest).copied().collect()
}

/// What is asked of a metric.
pub(super) struct Asked {
    pub(super) metric: Metric,
    pub(super) primary: bool,
    /// Intervals that are to hold together with this one.
    pub(super) intervals: usize,
}

/// One metric of one pair from its log-ratios by block.
pub(super) fn compared(
    of: &Asked,
    log_ratios: &[Option<f64>],
    arms: usize,
    options: &Options,
) -> Compared {
    let known: Vec<f64> = log_ratios.iter().copied().flatten().collect();
    let spread = Spread::of(&known, options.precision.is_some(), of.intervals);
    let ratio = spread.and_then(|spread| ratio_of(spread.mean, spread.bounds()?));
    let finding = match (spread, ratio) {
        (Some(spread), Some(_)) => judged(of.metric, &spread, options.margin, arms),
        _ => Finding::Unknown,
    };
    Compared {
        metric: of.metric,
        primary: of.primary,
        ratio,
        blocks: log_ratios.iter().map(|ratio| ratio.map(f64::exp)).collect(),
        finding,
    }
}
