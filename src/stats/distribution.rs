//! Exact distributions: every sample is kept and sorted, no buckets. Knows
//! numbers only; the unit is the caller's.

/// What a set of samples looks like, in the unit of the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution {
    /// Samples; at least 1.
    pub count: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Smallest sample.
    pub min: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest sample.
    pub max: f64,
}

impl Distribution {
    /// The distribution of `samples`, in any order; `None` when there are none.
    /// A sample that is no finite number is left out, so that one broken
    /// record cannot make a report of NaN.
    #[must_use]
    pub fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.retain(|sample| sample.is_finite());
        samples.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*samples.first()?, *samples.last()?);
        // Added up in sorted order: the same samples give the same bits,
        // whatever order the requests ended in.
        let mean = samples.iter().sum::<f64>() / samples.len() as f64;
        Some(Self {
            count: u64::try_from(samples.len()).unwrap_or(u64::MAX),
            mean: mean.clamp(min, max),
            min,
            p50: percentile(&samples, 50)?,
            p90: percentile(&samples, 90)?,
            p95: percentile(&samples, 95)?,
            p99: percentile(&samples, 99)?,
            max,
        })
    }
}

/// The percentile `percent` (0 to 100) of `sorted`, by linear interpolation:
/// with n samples x\[0\] <= ... <= x\[n-1\] and h = (n - 1) * percent / 100, it
/// is x\[j\] + (h - j) * (x\[j+1\] - x\[j\]), j = floor(h). This is numpy's
/// default method `linear`, definition 7 of Hyndman and Fan, "Sample Quantiles
/// in Statistical Packages" (The American Statistician 50(4), 1996); LMDeploy's
/// scripts take their percentiles with numpy.
///
/// `None` when there is no sample or `percent` is above 100.
pub(super) fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    // j and h - j in integers, in hundredths: no rounding decides which two
    // samples are looked at.
    let rank = sorted.len().checked_sub(1)?.checked_mul(percent)?;
    let low = *sorted.get(rank / 100)?;
    let part = (rank % 100) as f64 / 100.0;
    if part == 0.0 {
        return Some(low);
    }
    let high = *sorted.get(rank / 100 + 1)?;
    Some((low + part * (high - low)).min(high))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Distribution, percentile};

    #[test]
    fn percentiles_by_hand() {
        // (samples, percent, expected), worked out on paper from the formula.
        let table: &[(&[f64], usize, f64)] = &[
            (&[7.0], 0, 7.0),
            (&[7.0], 50, 7.0),
            (&[7.0], 99, 7.0),
            (&[1.0, 2.0], 50, 1.5),
            (&[1.0, 2.0], 90, 1.9),
            (&[1.0, 2.0, 3.0, 4.0], 50, 2.5),
            (&[1.0, 2.0, 3.0, 4.0], 90, 3.7),
            (&[10.0, 20.0, 30.0, 40.0, 50.0], 50, 30.0),
            (&[10.0, 20.0, 30.0, 40.0, 50.0], 95, 48.0),
            (&[10.0, 20.0, 30.0, 40.0, 50.0], 99, 49.6),
            (&[10.0, 20.0, 30.0, 40.0, 50.0], 100, 50.0),
        ];
        for (samples, percent, expected) in table {
            let found = percentile(samples, *percent).expect("samples");
            assert!(
                (found - expected).abs() < 1e-9,
                "{percent} % of {samples:?}"
            );
        }
        let hundred_and_one: Vec<f64> = (0..=100).map(f64::from).collect();
        for percent in 0..=100_u8 {
            let found = percentile(&hundred_and_one, usize::from(percent)).expect("samples");
            assert_eq!(found, f64::from(percent));
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(
            percentile(&[1.0], 101),
            Some(1.0),
            "one sample is all there is"
        );
        assert_eq!(percentile(&[1.0, 2.0], 101), None);
        assert_eq!(Distribution::of(Vec::new()), None);
        assert_eq!(Distribution::of(vec![f64::NAN, f64::INFINITY]), None);
    }

    #[test]
    fn every_field_by_hand() {
        let found = Distribution::of(vec![40.0, 10.0, 50.0, 20.0, 30.0]).expect("samples");
        assert_eq!((found.count, found.mean), (5, 30.0));
        assert_eq!((found.min, found.p50, found.max), (10.0, 30.0, 50.0));
        assert!((found.p90 - 46.0).abs() < 1e-9);
        assert!((found.p95 - 48.0).abs() < 1e-9);
        assert!((found.p99 - 49.6).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn percentiles_rise_and_stay_inside(samples in prop::collection::vec(0.0..1e15_f64, 1..200)) {
            let all = Distribution::of(samples.clone()).expect("samples");
            let ladder = [all.min, all.p50, all.p90, all.p95, all.p99, all.max];
            prop_assert!(ladder.is_sorted(), "{:?}", ladder);
            prop_assert!(all.min <= all.mean && all.mean <= all.max);
            let mut sorted = samples;
            sorted.sort_unstable_by(f64::total_cmp);
            let curve: Vec<f64> = (0..=100).filter_map(|p| percentile(&sorted, p)).collect();
            prop_assert_eq!(curve.len(), 101);
            prop_assert!(curve.is_sorted());
            prop_assert_eq!((curve[0], curve[100]), (all.min, all.max));
        }

        #[test]
        fn order_does_not_matter(samples in prop::collection::vec(0.0..1e12_f64, 1..50)) {
            let mut backwards = samples.clone();
            backwards.reverse();
            prop_assert_eq!(Distribution::of(samples), Distribution::of(backwards));
        }
    }
}
