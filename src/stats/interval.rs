//! A mean and how sure it is, from a few independent values such as the
//! differences of paired rounds. Knows numbers only.

use super::student;

/// A mean with its 95 % interval, in the unit of the values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Values; at least 2.
    pub count: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Interval {
    /// The mean of `values` and Student's interval about it: mean +- t s /
    /// sqrt(n), with the sample's standard deviation s (n - 1 in the
    /// denominator) and t the 97.5 % quantile for n - 1 degrees of freedom
    /// ("Student", "The Probable Error of a Mean", Biometrika 6(1), 1908). It
    /// covers the true mean in 95 % of all cases where the values are
    /// independent and normal.
    ///
    /// `None` for fewer than two values, or one that is no finite number.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count < 2 || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let n = count as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / (n - 1.0)).sqrt();
        let half = student::quantile(0.975, n - 1.0)? * deviation / n.sqrt();
        Some(Self {
            count,
            mean,
            low: mean - half,
            high: mean + half,
        })
    }

    /// Whether zero lies inside: no difference shown.
    #[must_use]
    pub fn holds_zero(&self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Interval;

    #[test]
    fn an_interval_by_hand() {
        // mean 3, s = sqrt(10/4), t(0.975, 4) = 2.776445, s / sqrt(5) = 0.707107
        let found = Interval::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).expect("values");
        assert!((found.mean - 3.0).abs() < 1e-12 && found.count == 5);
        assert!((found.high - 3.0 - 1.963_243).abs() < 1e-5, "{found:?}");
        assert!((3.0 - found.low - 1.963_243).abs() < 1e-5, "{found:?}");
        assert!(!found.holds_zero());
    }

    #[test]
    fn too_little_is_no_interval() {
        for values in [&[][..], &[1.0], &[1.0, f64::NAN]] {
            assert_eq!(Interval::of(values), None);
        }
        let same = Interval::of(&[2.0, 2.0]).expect("values");
        assert_eq!((same.low, same.mean, same.high), (2.0, 2.0, 2.0));
    }

    proptest! {
        #[test]
        fn a_shift_moves_the_interval(values in prop::collection::vec(-1e6..1e6_f64, 2..20), by in -1e6..1e6_f64) {
            let one = Interval::of(&values).expect("values");
            let moved: Vec<f64> = values.iter().map(|value| value + by).collect();
            let other = Interval::of(&moved).expect("values");
            prop_assert!(one.low <= one.mean && one.mean <= one.high);
            prop_assert!((other.low - one.low - by).abs() < 1e-3);
            prop_assert!((other.high - one.high - by).abs() < 1e-3);
        }
    }
}
