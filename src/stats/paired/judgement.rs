//! From log-ratios to a ratio with its interval, and to one of the four
//! sentences. Knows numbers and which way is better; not where they come from.

use super::super::comparison::{Finding, Ratio};
use super::super::metric::Metric;
use super::super::student;
use super::stein::{PILOT_BLOCKS, confidence, moments};

/// More blocks than that nobody plays: the forecast is left out.
const MOST_FORECAST: u32 = 100_000;

/// A mean of log-ratios and how it would narrow with more of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::stats) struct Spread {
    /// Values.
    pub(in crate::stats) count: u32,
    /// Their mean.
    pub(in crate::stats) mean: f64,
    /// Standard deviation of one value.
    deviation: f64,
    /// Probability of the t quantile.
    confidence: f64,
    /// Degrees of freedom of `deviation` where it is the pilot's and stays so.
    pilot_freedom: Option<f64>,
}

impl Spread {
    /// Of values of which each is one block's. With a precision asked for, the
    /// standard deviation is that of the pilot (the first
    /// [`PILOT_BLOCKS`] values): the number of blocks hangs on the spread that
    /// was seen in the pilot, so that only an interval with the pilot's own
    /// spread covers what it says. For other metrics than the one that the number
    /// was chosen for this holds as well: no pilot spread says anything about any
    /// mean. `None` for fewer than two values.
    pub(in crate::stats) fn of(values: &[f64], staged: bool, intervals: usize) -> Option<Self> {
        let (mean, mut deviation) = moments(values)?;
        let mut pilot_freedom = None;
        if staged {
            let pilot = values.iter().take(usize::try_from(PILOT_BLOCKS).ok()?);
            let pilot: Vec<f64> = pilot.copied().collect();
            deviation = moments(&pilot)?.1;
            pilot_freedom = Some(pilot.len() as f64 - 1.0);
        }
        Some(Self {
            count: u32::try_from(values.len()).ok()?,
            mean,
            deviation,
            confidence: confidence(intervals),
            pilot_freedom,
        })
    }

    /// Half width of the interval about the mean of so many values.
    fn half_of(&self, count: u32) -> Option<f64> {
        let n = f64::from(count);
        let freedom = self.pilot_freedom.unwrap_or(n - 1.0);
        Some(student::quantile(self.confidence, freedom)? * self.deviation / n.sqrt())
    }

    /// The interval.
    pub(in crate::stats) fn bounds(&self) -> Option<(f64, f64)> {
        let half = self.half_of(self.count)?;
        Some((self.mean - half, self.mean + half))
    }

    /// Values beyond those there are that would bring the interval to exclude 0
    /// or to lie within `margin` of it, if mean and spread stay what they are.
    /// Looked for between doubled and halved counts: the half width falls with
    /// every value.
    fn more_for(&self, margin: f64) -> Option<u32> {
        let target = self.mean.abs().max(margin - self.mean.abs());
        let enough = |count: u32| self.half_of(count).is_some_and(|half| half < target);
        let mut low = self.count;
        let mut high = low.saturating_mul(2);
        while !enough(high) {
            low = high;
            high = high.saturating_mul(2);
            if low > MOST_FORECAST {
                return None;
            }
        }
        while high - low > 1 {
            let middle = low.midpoint(high);
            if enough(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high - self.count)
    }
}

/// As people read it: no logarithms.
pub(super) fn ratio_of(mean: f64, (low, high): (f64, f64)) -> Option<Ratio> {
    let ratio = Ratio {
        point: mean.exp(),
        low: low.exp(),
        high: high.exp(),
    };
    (ratio.low > 0.0 && ratio.high.is_finite()).then_some(ratio)
}

/// What follows from the interval of a log-ratio (other to first), where
/// `margin` is the largest share that counts as no difference.
///
/// Equivalence comes first: a difference that is there but no larger than the
/// margin counts as none, and the sentence still tells it. It is shown by two
/// one-sided tests (D. J. Schuirmann, "A Comparison of the Two One-Sided Tests
/// Procedure and the Power Approach for Assessing the Equivalence of Average
/// Bioavailability", Journal of Pharmacokinetics and Biopharmaceutics 15,
/// 1987), each at 2.5 %: both bounds of the 95 % interval lie within the margin.
/// Usual are 5 % each, the 90 % interval. One interval for all sentences is
/// stricter, and what is printed is what decided. The margin reaches from
/// 1 / (1 + margin) to 1 + margin, so that it does not matter which arm is first.
pub(super) fn finding(metric: Metric, (low, high): (f64, f64), margin: f64) -> Option<Finding> {
    let margin = margin.ln_1p();
    let of = |other_is_more: bool| match other_is_more == metric.is_rate() {
        true => Finding::Other,
        false => Finding::First,
    };
    if -margin < low && high < margin {
        Some(Finding::Same)
    } else if low > 0.0 {
        Some(of(true))
    } else if high < 0.0 {
        Some(of(false))
    } else {
        None
    }
}

/// The finding, or how far it is from one. Blocks come in groups of `arms`: an
/// order in which every arm is first equally often.
pub(super) fn judged(metric: Metric, spread: &Spread, margin: f64, arms: usize) -> Finding {
    let Some(bounds) = spread.bounds() else {
        return Finding::Unknown;
    };
    finding(metric, bounds, margin).unwrap_or_else(|| {
        let arms = u32::try_from(arms).unwrap_or(1).max(1);
        let more = spread.more_for(margin.ln_1p());
        Finding::Undecided {
            more_blocks: more.map(|more| {
                let whole = (spread.count + more).div_ceil(arms).saturating_mul(arms);
                whole.saturating_sub(spread.count)
            }),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Spread, finding, judged, ratio_of};
    use crate::stats::{Finding, Metric};

    #[test]
    fn the_four_sentences_by_hand() {
        let (rate, latency) = (Metric::OutputTokensPerS, Metric::FtlMean);
        // ln 1.02 = 0.0198
        let table = [
            ((0.05, 0.07), Some(Finding::Other), Some(Finding::First)),
            ((-0.07, -0.05), Some(Finding::First), Some(Finding::Other)),
            ((-0.019, 0.019), Some(Finding::Same), Some(Finding::Same)),
            ((0.001, 0.019), Some(Finding::Same), Some(Finding::Same)),
            ((0.001, 0.021), Some(Finding::Other), Some(Finding::First)),
            ((-0.021, 0.019), None, None),
            ((0.0, 0.05), None, None),
        ];
        for (bounds, of_rate, of_latency) in table {
            assert_eq!(finding(rate, bounds, 0.02), of_rate, "{bounds:?}");
            assert_eq!(finding(latency, bounds, 0.02), of_latency, "{bounds:?}");
        }
    }

    #[test]
    fn a_forecast_by_hand() {
        // Mean 0.03, s = 0.04: with 2 values t = 12.7; half < 0.03 needs
        // t(0.975, n - 1) x 0.04 / sqrt(n) < 0.03: n = 10: 2.262 x 0.012649 =
        // 0.02861 yes; n = 9: 2.306 x 0.013333 = 0.03075 no.
        let deviation = 0.04 / 2.0_f64.sqrt();
        let values = [0.03 - deviation, 0.03 + deviation];
        let spread = Spread::of(&values, false, 1).unwrap();
        let undecided = |more| Finding::Undecided {
            more_blocks: Some(more),
        };
        let found = |arms| judged(Metric::RequestsPerS, &spread, 0.02, arms);
        assert_eq!(found(1), undecided(8));
        assert_eq!(found(2), undecided(8));
        assert_eq!(found(3), undecided(10), "in groups of three: 12 in all");
        assert_eq!(Spread::of(&[0.1], false, 1), None);
        // Three intervals together: t(1 - 0.025 / 3, 1) = 38.19, x 0.04 / sqrt 2.
        let (low, _) = Spread::of(&values, false, 3).unwrap().bounds().unwrap();
        assert!((0.03 - low - 1.080_2).abs() < 1e-3, "{low}");
    }

    #[test]
    fn a_pilot_lends_its_spread() {
        let pilot = [0.02, -0.02, 0.02, -0.02, 0.02, -0.02];
        let mut values = pilot.to_vec();
        values.extend([0.5, 0.5, 0.5]);
        let (low, high) = Spread::of(&values, true, 1).unwrap().bounds().unwrap();
        // Mean 1.5 / 9; half 2.570582 x 0.0219089 / 3 = 0.0187729.
        assert!((high - 1.5 / 9.0 - 0.018_772_9).abs() < 1e-6, "{high}");
        assert!((1.5 / 9.0 - low - 0.018_772_9).abs() < 1e-6, "{low}");
    }

    proptest! {
        #[test]
        fn the_forecast_decides(values in prop::collection::vec(-0.1..0.1_f64, 2..9), staged: bool) {
            let spread = Spread::of(&values, staged, 1).unwrap();
            if let Finding::Undecided { more_blocks: Some(more) } =
                judged(Metric::RequestsPerS, &spread, 0.02, 1)
            {
                let then = Spread { count: spread.count + more, ..spread };
                let before = Spread { count: spread.count + more - 1, ..spread };
                let decided = |spread: Spread| {
                    finding(Metric::RequestsPerS, spread.bounds().unwrap(), 0.02).is_some()
                };
                prop_assert!(more > 0 && decided(then) && !decided(before));
            }
        }

        #[test]
        fn a_faster_machine_changes_no_width(values in prop::collection::vec(-0.2..0.2_f64, 2..9), by in -1.0..1.0_f64, staged: bool) {
            let scaled: Vec<f64> = values.iter().map(|value| value + by).collect();
            let ratio = |values: &[f64]| {
                let spread = Spread::of(values, staged, 1).unwrap();
                ratio_of(spread.mean, spread.bounds().unwrap())
            };
            if let (Some(one), Some(other)) = (ratio(&values), ratio(&scaled)) {
                for (one, other) in [(one.point, other.point), (one.low, other.low), (one.high, other.high)] {
                    prop_assert!((other / one / by.exp() - 1.0).abs() < 1e-9);
                }
            }
        }

        #[test]
        fn a_swap_of_the_arms_turns_everything_round(values in prop::collection::vec(-0.2..0.2_f64, 2..9), staged: bool) {
            let turned: Vec<f64> = values.iter().map(|value| -value).collect();
            let (one, other) = (Spread::of(&values, staged, 2).unwrap(), Spread::of(&turned, staged, 2).unwrap());
            let ratio = |of: Spread| ratio_of(of.mean, of.bounds().unwrap());
            if let (Some(one), Some(other)) = (ratio(one), ratio(other)) {
                prop_assert!((one.point * other.point - 1.0).abs() < 1e-9);
                prop_assert!((one.low * other.high - 1.0).abs() < 1e-9);
            }
            let expected = match judged(Metric::RequestsPerS, &one, 0.02, 2) {
                Finding::First => Finding::Other,
                Finding::Other => Finding::First,
                same => same,
            };
            prop_assert_eq!(judged(Metric::RequestsPerS, &other, 0.02, 2), expected);
        }
    }
}
