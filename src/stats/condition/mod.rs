//! A condition that a user sets for a comparison, as in
//! `tis.ttft_p99 > 1.05 * api_server.ttft_p99`: its grammar. Knows names of
//! metrics and units of time; what holds is for [`evaluate`] to say.

mod evaluate;

use std::fmt;

pub use evaluate::{Bounded, Holds, Outcome, Unit, evaluate};

use super::metric::Metric;
use super::words::one_line;

/// One side stands in this relation to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Relation {
    fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }

    /// As read from the right.
    fn turned(self) -> Self {
        match self {
            Self::Less => Self::More,
            Self::AtMost => Self::AtLeast,
            Self::More => Self::Less,
            Self::AtLeast => Self::AtMost,
        }
    }
}

/// What an arm's figure is held against.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Against {
    /// So many times the same metric of another arm.
    Arm { factor: f64, label: String },
    /// A value, in the metric's own unit (ns, or per second).
    Value(f64),
}

/// A figure of an arm, and what it is held against:
///
/// `ARM.METRIC > [FACTOR *] ARM.METRIC`, or `ARM.METRIC > VALUE`
///
/// with `<`, `<=`, `>` or `>=`, sides in either order, a factor before or after
/// either figure. Arms by their labels (as `labels` gives them), metrics by
/// [`Metric::of_name`]; both figures are of the same metric. Values of times have
/// a unit (`200ms`, `1.5 s`, `300 us`, `50 ns`), those per second none.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    pub(super) metric: Metric,
    pub(super) label: String,
    pub(super) relation: Relation,
    pub(super) against: Against,
}

impl fmt::Display for Condition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// A side as it was written.
enum Side {
    Figure {
        factor: f64,
        label: String,
        metric: Metric,
    },
    Value(f64, Option<f64>),
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what is known, when `text` is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shown = one_line(text, 120);
        let wrong = |what: String| format!("the condition '{shown}' is not understood: {what}");
        let (left, relation, right) = split(text).ok_or_else(|| {
            wrong(
                "it needs one of <, <=, > and >= between two sides, as in \
                   'tis.ttft_p99 > 1.05 * api_server.ttft_p99'"
                    .to_owned(),
            )
        })?;
        let (left, right) = (side(left).map_err(&wrong)?, side(right).map_err(&wrong)?);
        let (metric, label, relation, against) = match (left, right) {
            (
                Side::Figure {
                    factor,
                    label,
                    metric,
                },
                other,
            ) => (metric, label, relation, against(metric, factor, other)),
            (
                value @ Side::Value(..),
                Side::Figure {
                    factor,
                    label,
                    metric,
                },
            ) => (
                metric,
                label,
                relation.turned(),
                against(metric, factor, value),
            ),
            (Side::Value(..), Side::Value(..)) => {
                return Err(wrong("neither side names an arm's figure".to_owned()));
            }
        };
        let against = against.map_err(&wrong)?;
        if matches!(&against, Against::Arm { label: other, .. } if *other == label) {
            return Err(wrong(format!("both sides are of the arm {label}")));
        }
        Ok(Self {
            text: one_line(text, 400),
            metric,
            label,
            relation,
            against,
        })
    }

    /// Whether the arms that it names are among `arms`, so that a typing error is
    /// found before anything is measured.
    ///
    /// # Errors
    /// A sentence that names the arm and those that there are.
    pub fn check(&self, arms: &[String]) -> Result<(), String> {
        let other = match &self.against {
            Against::Arm { label, .. } => Some(label),
            Against::Value(_) => None,
        };
        for label in [Some(&self.label), other].into_iter().flatten() {
            if !arms.contains(label) {
                return Err(format!(
                    "the condition '{}' names the arm '{}', which is none of: {}",
                    one_line(&self.text, 120),
                    one_line(label, 40),
                    arms.join(", ")
                ));
            }
        }
        Ok(())
    }
}

/// The text around the first sign of a relation; `None` with none, or a second.
fn split(text: &str) -> Option<(&str, Relation, &str)> {
    let at = text.find(['<', '>'])?;
    let (left, rest) = text.split_at(at);
    let signs = [
        Relation::AtMost,
        Relation::AtLeast,
        Relation::Less,
        Relation::More,
    ];
    let relation = signs
        .into_iter()
        .find(|relation| rest.starts_with(relation.sign()))?;
    let right = rest.strip_prefix(relation.sign())?;
    (!right.contains(['<', '>', '='])).then_some((left, relation, right))
}

fn side(text: &str) -> Result<Side, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a side is empty".to_owned());
    }
    if let Some(value) = value(text) {
        return value;
    }
    let (factor, figure) = match text.split_once('*') {
        None => (1.0, text),
        Some((one, other)) => match (one.trim().parse(), other.trim().parse()) {
            (Ok(factor), _) => (factor, other),
            (_, Ok(factor)) => (factor, one),
            _ => {
                return Err(format!(
                    "'{}' is not a number times a figure",
                    one_line(text, 60)
                ));
            }
        },
    };
    if !(factor > 0.0 && f64::is_finite(factor)) {
        return Err(format!("the factor {factor} is not above 0"));
    }
    let (label, name) = figure.rsplit_once('.').ok_or_else(|| {
        format!(
            "'{}' is neither an arm's figure (ARM.METRIC) nor a value",
            one_line(figure.trim(), 60)
        )
    })?;
    let metric = Metric::of_name(name).ok_or_else(|| {
        format!(
            "there is no metric '{}'; known are {}",
            one_line(name.trim(), 40),
            Metric::names().join(", ")
        )
    })?;
    Ok(Side::Figure {
        factor,
        label: label.trim().to_owned(),
        metric,
    })
}

/// A number with a unit of time (nanoseconds of one), or with none. `None`: no
/// number begins here.
fn value(text: &str) -> Option<Result<Side, String>> {
    let digits = text.find(|letter: char| !(letter.is_ascii_digit() || letter == '.'));
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let number: f64 = number.parse().ok()?;
    let unit_ns = match unit.trim() {
        "" => None,
        "ns" => Some(1.0),
        "us" | "\u{b5}s" => Some(1e3),
        "ms" => Some(1e6),
        "s" => Some(1e9),
        other if other.starts_with('*') => return None,
        other => {
            return Some(Err(format!(
                "'{}' is no unit of time; known are ns, us, ms and s",
                one_line(other, 20)
            )));
        }
    };
    Some(if number > 0.0 && number.is_finite() {
        Ok(Side::Value(number, unit_ns))
    } else {
        Err(format!("the value {number} is not above 0"))
    })
}

/// What the figure of `metric`, taken `factor` times, is held against.
fn against(metric: Metric, factor: f64, other: Side) -> Result<Against, String> {
    match other {
        Side::Figure { metric: same, .. } if same != metric => Err(format!(
            "it sets {} against {}; a condition is on one metric",
            metric.name(),
            same.name()
        )),
        Side::Figure {
            factor: others,
            label,
            ..
        } => Ok(Against::Arm {
            factor: others / factor,
            label,
        }),
        Side::Value(number, None) if metric.is_rate() => Ok(Against::Value(number / factor)),
        Side::Value(number, Some(unit_ns)) if !metric.is_rate() => {
            Ok(Against::Value(number * unit_ns / factor))
        }
        Side::Value(number, None) => Err(format!(
            "{} is a time: give {number} a unit, as in {number}ms",
            metric.name()
        )),
        Side::Value(number, Some(_)) => Err(format!(
            "{} is no time but a number per second: give {number} no unit",
            metric.name()
        )),
    }
}

#[cfg(test)]
mod tests;
