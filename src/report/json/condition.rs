//! What became of a condition of `--fail-if`, for machines.

use serde::Serialize;

use crate::stats::{Holds, Outcome, Unit};

#[derive(Serialize)]
pub(super) struct Shown<'a> {
    condition: &'a str,
    outcome: &'static str,
    unit: &'static str,
    threshold: f64,
    estimate: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    sentence: &'a str,
}

impl<'a> Shown<'a> {
    pub(super) fn of(outcome: &'a Outcome) -> Self {
        let figure = outcome.figure;
        Self {
            condition: &outcome.condition,
            outcome: match outcome.holds {
                Holds::Yes => "holds",
                Holds::No => "does_not_hold",
                Holds::Undecided => "undecided",
            },
            unit: match outcome.unit {
                Unit::Ratio => "ratio",
                Unit::Ns => "ns",
                Unit::PerS => "per_s",
            },
            threshold: outcome.threshold,
            estimate: figure.map(|of| of.point),
            low: figure.map(|of| of.low),
            high: figure.map(|of| of.high),
            sentence: &outcome.why,
        }
    }
}
