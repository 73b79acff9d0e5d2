//! How many blocks a precision takes: Stein's rule of two stages. Knows
//! log-ratios; no block, no server and no clock.

use super::super::student;

/// Blocks of the first stage, and the fewest of all.
pub const PILOT_BLOCKS: u32 = 6;

/// More blocks than that are no plan.
const MOST_BLOCKS: f64 = 1e6;

/// Half width, as a log-ratio, of an interval that reaches `precision` (a
/// share; 0.02: 2 %) up: ln(1 + precision). Its lower bound is a little less
/// than `precision` below.
#[must_use]
pub(super) fn half_width(precision: f64) -> Option<f64> {
    let half = precision.ln_1p();
    (half.is_finite() && half > 0.0).then_some(half)
}

/// Blocks in all that give an interval of the half width `half_width`, from
/// the log-ratios of the pilot's blocks: n = max(pilot, ceil((t s / h)^2)),
/// with s the pilot's standard deviation and t Student's 97.5 % quantile for
/// the pilot's degrees of freedom (C. Stein, "A Two-Sample Test for a Linear
/// Hypothesis Whose Power is Independent of the Variance", Annals of
/// Mathematical Statistics 16(3), 1945). The interval mean +- t s / sqrt(n),
/// with the pilot's s and the mean of all n, then covers the truth in exactly
/// 95 % of all cases where the values are independent and normal: s says
/// nothing about the mean.
///
/// `None` for fewer than two values, one that is no number, or a precision
/// that is not above 0.
#[must_use]
pub fn blocks_needed(pilot: &[f64], precision: f64) -> Option<u32> {
    blocks_needed_for(pilot, precision, 1)
}

/// The same for each of `intervals` that are to hold together (see
/// [`confidence`]).
pub(super) fn blocks_needed_for(pilot: &[f64], precision: f64, intervals: usize) -> Option<u32> {
    let half = half_width(precision)?;
    let freedom = pilot.len().checked_sub(1).filter(|freedom| *freedom > 0)?;
    let (_, deviation) = moments(pilot)?;
    let t = student::quantile(confidence(intervals), freedom as f64)?;
    let wanted = (t * deviation / half).powi(2).ceil().min(MOST_BLOCKS);
    let least = u32::try_from(pilot.len()).ok()?;
    Some(least.max(whole(wanted)))
}

/// The quantile that each of so many intervals takes so that all of them hold
/// in 95 % of all cases: 1 - 0.05 / (2 m), after Bonferroni (O. J. Dunn,
/// "Multiple Comparisons Among Means", Journal of the American Statistical
/// Association 56, 1961). Holm's procedure rejects a little more, but makes
/// tests without intervals, and what is shown here are intervals.
pub(super) fn confidence(intervals: usize) -> f64 {
    1.0 - 0.025 / intervals.max(1) as f64
}

/// Mean and standard deviation (n - 1 in the denominator) of at least two
/// finite values.
pub(super) fn moments(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, (squares / (n - 1.0)).sqrt()))
}

/// A count that was worked out in floating point: at least 0, at most
/// [`MOST_BLOCKS`].
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what both types hold"
)]
pub(super) fn whole(number: f64) -> u32 {
    number.clamp(0.0, MOST_BLOCKS) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{blocks_needed, blocks_needed_for, half_width};

    #[test]
    fn blocks_by_hand() {
        // mean 0, s = sqrt(6 x 0.0004 / 5) = 0.0219089.
        // t(0.975, 5) = 2.570582; h = ln 1.02 = 0.0198026: (2.84397)^2 = 8.09.
        let pilot = [0.02, -0.02, 0.02, -0.02, 0.02, -0.02];
        for (precision, blocks) in [
            (0.02, Some(9)),
            // h = 0.00995033: (5.66001)^2 = 32.04
            (0.01, Some(33)),
            (0.05, Some(6)),
            (0.0, None),
            (-0.1, None),
            (f64::NAN, None),
            (1e-9, Some(1_000_000)),
        ] {
            assert_eq!(blocks_needed(&pilot, precision), blocks, "{precision}");
        }
        assert_eq!(blocks_needed(&[0.1; 6], 0.02), Some(6), "no spread");
        assert_eq!(blocks_needed(&[0.1], 0.02), None);
        assert_eq!(blocks_needed(&[0.1, f64::NAN], 0.02), None);
        assert!((half_width(0.02).unwrap() - 0.019_802_627).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn finer_takes_more(pilot in prop::collection::vec(-0.2..0.2_f64, 2..12), precision in 0.001..0.2_f64) {
            let one = blocks_needed(&pilot, precision).unwrap();
            let finer = blocks_needed(&pilot, precision / 2.0).unwrap();
            let several = blocks_needed_for(&pilot, precision, 3).unwrap();
            prop_assert!(finer >= one && several >= one);
            prop_assert!(one as usize >= pilot.len());
        }
    }
}
