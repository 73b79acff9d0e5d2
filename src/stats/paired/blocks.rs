//! The figures of each block that all arms finished, side by side. Pairs what
//! was played close in time; draws no conclusion.

use super::super::metric::Metric;
use super::super::summary::{Summary, summarize};
use super::stein::{self, PILOT_BLOCKS};
use crate::record::Run;

/// Figures by block and arm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairedBlocks {
    /// Numbers of the blocks that every arm finished uncut, rising.
    pub numbers: Vec<u32>,
    /// For each of these blocks the figures of every arm, in their order.
    pub summaries: Vec<Vec<Summary>>,
}

impl PairedBlocks {
    /// The figures of `runs`, one per arm of one experiment.
    #[must_use]
    pub fn of(runs: &[&Run]) -> Self {
        let numbers = common(runs);
        let figures = |number: &u32| {
            let of_arm = |run: &&Run| run.of_block(*number).as_ref().map(summarize);
            runs.iter().filter_map(of_arm).collect()
        };
        Self {
            summaries: numbers.iter().map(figures).collect(),
            numbers,
        }
    }

    /// The natural logarithm of `over` divided by `under` (places of arms), block
    /// by block; `None` where a side lacks the figure or it is not above 0.
    #[must_use]
    pub fn log_ratios(&self, metric: Metric, over: usize, under: usize) -> Vec<Option<f64>> {
        let of_block = |arms: &Vec<Summary>| log_ratio(metric, arms.get(under)?, arms.get(over)?);
        self.summaries.iter().map(of_block).collect()
    }

    /// The natural logarithm of one arm's figure, block by block; `None` where it
    /// lacks it or it is not above 0.
    #[must_use]
    pub fn logs(&self, metric: Metric, arm: usize) -> Vec<Option<f64>> {
        let of_block = |arms: &Vec<Summary>| log_of(metric, arms.get(arm)?);
        self.summaries.iter().map(of_block).collect()
    }

    /// Arms.
    #[must_use]
    pub fn arms(&self) -> usize {
        self.summaries.first().map_or(0, Vec::len)
    }

    /// Blocks in all that bring every other arm's ratio to the first, in every
    /// primary metric, to `precision` (a share): the most that
    /// [`stein::blocks_needed`] asks for any of them, rounded up so that every
    /// arm is first equally often. Looks at the pilot alone, so that asking
    /// again later gives the same answer. `None`: the pilot is not through, or a
    /// figure is missing in it.
    #[must_use]
    pub fn needed(&self, primary: &[Metric], precision: f64) -> Option<u32> {
        let others = self.arms().checked_sub(1).filter(|others| *others > 0)?;
        let pilot_blocks = usize::try_from(PILOT_BLOCKS).ok()?;
        let mut needed = None;
        for other in 1..=others {
            for metric in primary {
                let ratios = self.log_ratios(*metric, other, 0);
                let pilot: Option<Vec<f64>> = ratios.get(..pilot_blocks)?.iter().copied().collect();
                let intervals = others * primary.len();
                let blocks = stein::blocks_needed_for(&pilot?, precision, intervals)?;
                needed = needed.max(Some(blocks));
            }
        }
        let arms = u32::try_from(self.arms()).ok()?;
        Some(needed?.div_ceil(arms).saturating_mul(arms))
    }
}

/// Natural logarithm of other divided by first.
pub(super) fn log_ratio(metric: Metric, first: &Summary, other: &Summary) -> Option<f64> {
    Some(log_of(metric, other)? - log_of(metric, first)?)
}

fn log_of(metric: Metric, summary: &Summary) -> Option<f64> {
    let figure = metric.of(summary)?;
    (figure > 0.0 && figure.is_finite()).then(|| figure.ln())
}

/// Blocks that every run has whole.
fn common(runs: &[&Run]) -> Vec<u32> {
    let Some((first, others)) = runs.split_first() else {
        return Vec::new();
    };
    let whole = |run: &Run, number: u32| {
        let mut blocks = run.blocks.iter();
        blocks.any(|block| block.number == number && !block.cut)
    };
    let blocks = first.blocks.iter().filter(|block| !block.cut);
    let mut numbers: Vec<u32> = blocks
        .map(|block| block.number)
        .filter(|number| others.iter().all(|run| whole(run, *number)))
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
