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
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The condition as it was given, on one line.
    pub condition: String,
    /// Whether it holds.
    pub holds: Holds,
    /// Why, in a line with numbers.
    pub why: String,
    /// What the figures below are in.
    pub unit: Unit,
    /// What the figure was held against.
    pub threshold: f64,
    /// The figure and its bounds; `None` where blocks are too few for bounds.
    pub figure: Option<Bounded>,
}

/// What a condition's figures are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// None: one arm's figure divided by another's.
    Ratio,
    /// Nanoseconds.
    Ns,
    /// So many per second.
    PerS,
}

/// A ratio or a value and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounded {
    /// The geometric mean over the blocks.
    pub point: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// A figure with its bounds, and where they come from.
struct Known {
    figure: Bounded,
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
            condition: condition.to_string(),
            holds: Holds::Undecided,
            why: format!("not decided: '{condition}': {why}"),
            unit: unit(condition),
            threshold,
            figure: None,
        },
    })
}

fn unit(condition: &Condition) -> Unit {
    match &condition.against {
        Against::Arm { .. } => Unit::Ratio,
        Against::Value(_) if condition.metric.is_rate() => Unit::PerS,
        Against::Value(_) => Unit::Ns,
    }
}

fn decided(condition: &Condition, threshold: f64, known: &Known) -> Outcome {
    let Known { figure, source } = known;
    let at = |value: f64| match condition.relation {
        Relation::Less => value < threshold,
        Relation::AtMost => value <= threshold,
        Relation::More => value > threshold,
        Relation::AtLeast => value >= threshold,
    };
    let (holds, words) = match (at(figure.low), at(figure.high)) {
        (true, true) => (Holds::Yes, "holds"),
        (false, false) => (Holds::No, "does not hold"),
        _ => (Holds::Undecided, "is not decided"),
    };
    let unit = unit(condition);
    let shown = |value: f64| match unit {
        Unit::Ratio => grouped_decimal(value, 3),
        Unit::PerS => grouped_decimal(value, 2),
        Unit::Ns => format!("{} ms", grouped_decimal(value / 1e6, 3)),
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
        condition: condition.to_string(),
        holds,
        why: format!(
            "'{condition}' {words}: {what} is {} ({} to {}, {source}), the threshold {}",
            shown(figure.point),
            shown(figure.low),
            shown(figure.high),
            shown(threshold)
        ),
        unit,
        threshold,
        figure: Some(*figure),
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
        figure: Bounded {
            point: mean.exp(),
            low: low.exp(),
            high: high.exp(),
        },
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
        figure: Bounded { point, low, high },
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
    use super::{Holds, Unit, evaluate};
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
        assert_eq!(
            (found.condition.as_str(), found.unit, found.threshold),
            ("b.rps > 1.18 * a.rps", Unit::Ratio, 1.18)
        );
        let figure = found.figure.unwrap();
        for (value, expected) in [
            (figure.low, 1.1864),
            (figure.point, 1.2),
            (figure.high, 1.2138),
        ] {
            assert!((value - expected).abs() < 1e-4, "{figure:?}");
        }
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
            assert_eq!(found.figure, None);
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
