//! Whether a condition holds: decided by the whole interval, never by its point.
//! Knows the blocks of a comparison and, of runs made apart, what was found.

use super::super::comparison::{Basis, Comparison};
use super::super::paired::{PairedBlocks, Spread};
use super::super::words::{counted, grouped_decimal};
use super::{Against, Condition, Relation};

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Everywhere in the interval.
    Yes,
    /// Nowhere in it.
    No,
    /// In a part of it, or there is none.
    Undecided,
}

/// What became of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it holds.
    pub holds: Holds,
    /// Why, in a line with numbers.
    pub why: String,
}

/// A ratio or a value with its bounds, and where they come from.
struct Known {
    point: f64,
    low: f64,
    high: f64,
    source: String,
}

/// Whether `condition` holds in `comparison`, whose blocks are `blocks` (none
/// where runs were made apart). The interval is the 95 % one of the paired
/// log-ratios of the two arms, or of the logarithms of one arm's figures: of
/// conditions that lie exactly at their threshold, 2.5 % seem to hold. It is not
/// widened for the number of conditions or of primary metrics.
///
/// # Errors
/// When the condition names an arm that there is not ([`Condition::check`]).
pub fn evaluate(
    condition: &Condition,
    comparison: &Comparison,
    blocks: &PairedBlocks,
) -> Result<Outcome, String> {
    condition.check(&comparison.arms)?;
    let (threshold, known) = match &condition.against {
        Against::Arm { factor, label } => (*factor, ratio(condition, label, comparison, blocks)),
        Against::Value(value) => (*value, absolute(condition, comparison, blocks)),
    };
    Ok(match known {
        Ok(known) => decided(condition, threshold, &known),
        Err(why) => Outcome {
            holds: Holds::Undecided,
            why: format!("not decided: '{condition}': {why}"),
        },
    })
}

fn decided(condition: &Condition, threshold: f64, known: &Known) -> Outcome {
    let at = |value: f64| match condition.relation {
        Relation::Less => value < threshold,
        Relation::AtMost => value <= threshold,
        Relation::More => value > threshold,
        Relation::AtLeast => value >= threshold,
    };
    let (holds, words) = match (at(known.low), at(known.high)) {
        (true, true) => (Holds::Yes, "holds"),
        (false, false) => (Holds::No, "does not hold"),
        _ => (Holds::Undecided, "is not decided"),
    };
    let shown = |value: f64| match &condition.against {
        Against::Arm { .. } => grouped_decimal(value, 3),
        Against::Value(_) if condition.metric.is_rate() => grouped_decimal(value, 2),
        Against::Value(_) => format!("{} ms", grouped_decimal(value / 1e6, 3)),
    };
    let what = match &condition.against {
        Against::Arm { label, .. } => format!(
            "{} of {} divided by {label}'s",
            condition.metric.name(),
            condition.label
        ),
        Against::Value(_) => format!("{} of {}", condition.metric.name(), condition.label),
    };
    Outcome {
        holds,
        why: format!(
            "'{condition}' {words}: {what} is {} ({} to {}, {}), the threshold {}",
            shown(known.point),
            shown(known.low),
            shown(known.high),
            known.source,
            shown(threshold)
        ),
    }
}

/// The condition's arm over `label`.
fn ratio(
    condition: &Condition,
    label: &str,
    comparison: &Comparison,
    blocks: &PairedBlocks,
) -> Result<Known, String> {
    let (over, under) = (
        place(comparison, &condition.label)?,
        place(comparison, label)?,
    );
    match comparison.basis {
        Basis::Blocks { precision, .. } => {
            let ratios = blocks.log_ratios(condition.metric, over, under);
            of_blocks(&ratios, precision.is_some())
        }
        Basis::BlocksApart { .. } => apart(condition, over, comparison),
        Basis::Requests { .. } => Err(APART.to_owned()),
    }
}

/// One arm's own figure, over its blocks.
fn absolute(
    condition: &Condition,
    comparison: &Comparison,
    blocks: &PairedBlocks,
) -> Result<Known, String> {
    let Basis::Blocks { precision, .. } = comparison.basis else {
        return Err(APART.to_owned());
    };
    let logs = blocks.logs(condition.metric, place(comparison, &condition.label)?);
    of_blocks(&logs, precision.is_some())
}

fn of_blocks(logs: &[Option<f64>], staged: bool) -> Result<Known, String> {
    let values: Vec<f64> = logs.iter().copied().flatten().collect();
    let spread = Spread::of(&values, staged, 1);
    let bounds = spread.and_then(|spread| Some((spread.mean, spread.bounds()?)));
    let number = u64::try_from(values.len()).unwrap_or(u64::MAX);
    let blocks = counted(number, "block", "blocks");
    let (mean, (low, high)) = bounds.ok_or_else(|| {
        format!("{blocks} with this figure on both sides; two are the least, six are usual")
    })?;
    Ok(Known {
        point: mean.exp(),
        low: low.exp(),
        high: high.exp(),
        source: format!("95 % interval of {blocks}"),
    })
}

const APART: &str = "the runs were made apart, and how much a run differs from the next is not \
                     known; decide with `pairbench compare`";

/// Of runs made apart only those with blocks on both sides decide.
fn apart(condition: &Condition, over: usize, comparison: &Comparison) -> Result<Known, String> {
    let of = comparison
        .compared(1, condition.metric)
        .ok_or_else(|| format!("{} was not compared", condition.metric.name()))?;
    let ratio = of.ratio.ok_or(APART)?;
    let (point, low, high) = match over {
        0 => (1.0 / ratio.point, 1.0 / ratio.high, 1.0 / ratio.low),
        _ => (ratio.point, ratio.low, ratio.high),
    };
    Ok(Known {
        point,
        low,
        high,
        source: "95 % interval of the blocks of two runs made apart".to_owned(),
    })
}

fn place(comparison: &Comparison, label: &str) -> Result<usize, String> {
    let mut names = comparison.arms.iter();
    names
        .position(|name| name == label)
        .ok_or_else(|| format!("there is no arm {label}"))
}

#[cfg(test)]
mod tests {
    use super::{Holds, evaluate};
    use crate::stats::paired::{Options, PairedBlocks, compare_figures};
    use crate::stats::{Basis, Comparison, Condition, Summary};

    /// Three arms; requests per second of the first are 10, of the second 12 (by
    /// a factor that swings by 1 % about it), of the third 5.
    fn blocks() -> PairedBlocks {
        let arms = |swing: f64| {
            let arm = |requests_per_s| Summary {
                requests_per_s: Some(requests_per_s),
                ..Summary::default()
            };
            vec![arm(10.0), arm(12.0 * swing), arm(5.0)]
        };
        PairedBlocks {
            numbers: (0..6).collect(),
            summaries: (0..6)
                .map(|number| arms(if number % 2 == 0 { 1.01 } else { 1.0 / 1.01 }))
                .collect(),
        }
    }

    fn comparison(blocks: &PairedBlocks) -> Comparison {
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let basis = Basis::Blocks {
            blocks: 6,
            requests: 10,
            duet: false,
            precision: None,
            wanted: None,
        };
        compare_figures(names, blocks, basis, &Options::default())
    }

    #[test]
    fn the_whole_interval_decides() {
        // b / a: 1.2; s of the logs 0.0109, half 0.01144: 1.1864 to 1.2138.
        let table = [
            ("b.rps > 1.18 * a.rps", Holds::Yes),
            ("b.rps > 1.19 * a.rps", Holds::Undecided),
            ("b.rps > 1.2 * a.rps", Holds::Undecided),
            ("b.rps > 1.22 * a.rps", Holds::No),
            ("b.rps < 1.22 * a.rps", Holds::Yes),
            ("a.rps < 0.85 * b.rps", Holds::Yes),
            ("2.01 * c.rps >= a.rps", Holds::Yes),
            ("1.99 * c.rps > a.rps", Holds::No),
            ("b.rps > 2.3 * c.rps", Holds::Yes),
            ("b.rps > 11.5", Holds::Yes),
            ("b.rps > 12", Holds::Undecided),
            ("c.rps < 5.01", Holds::Yes),
            ("b.ttft > 2 * a.ttft", Holds::Undecided),
        ];
        let blocks = blocks();
        let comparison = comparison(&blocks);
        for (text, holds) in table {
            let condition = Condition::parse(text).unwrap();
            let found = evaluate(&condition, &comparison, &blocks).unwrap();
            assert_eq!(found.holds, holds, "{}", found.why);
        }
        let condition = Condition::parse("b.rps > 1.18 * a.rps").unwrap();
        let found = evaluate(&condition, &comparison, &blocks).unwrap();
        assert_eq!(
            found.why,
            "'b.rps > 1.18 * a.rps' holds: rps of b divided by a's is 1.200 (1.186 to 1.214, 95 % \
             interval of 6 blocks), the threshold 1.180"
        );
        let missing = Condition::parse("d.rps > a.rps").unwrap();
        assert!(evaluate(&missing, &comparison, &blocks).is_err());
    }

    #[test]
    fn runs_made_apart_decide_nothing_by_requests() {
        let mut comparison = comparison(&blocks());
        assert!(
            comparison
                .compared(1, crate::stats::Metric::RequestsPerS)
                .is_some()
        );
        comparison.basis = Basis::Requests {
            pairs: 100,
            batch: 10,
        };
        for text in ["b.rps > 1.1 * a.rps", "b.rps > 1"] {
            let condition = Condition::parse(text).unwrap();
            let found = evaluate(&condition, &comparison, &PairedBlocks::default()).unwrap();
            assert_eq!(found.holds, Holds::Undecided);
            assert!(found.why.contains("made apart"), "{}", found.why);
        }
        comparison.basis = Basis::BlocksApart {
            first_blocks: 6,
            other_blocks: 6,
            least_requests: 10,
        };
        let condition = Condition::parse("b.rps > 1.1 * a.rps").unwrap();
        let found = evaluate(&condition, &comparison, &PairedBlocks::default()).unwrap();
        assert!(found.why.contains("of the blocks of two runs"), "{found:?}");
        let condition = Condition::parse("b.rps > 1").unwrap();
        let found = evaluate(&condition, &comparison, &PairedBlocks::default()).unwrap();
        assert_eq!(found.holds, Holds::Undecided);
    }
}
