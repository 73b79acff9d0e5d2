//! Student's t distribution, for any degrees of freedom: what the intervals of
//! paired rounds and blocks need. Knows numbers only.
//!
//! The distribution function is the regularized incomplete beta function of
//! NIST's Digital Library of Mathematical Functions (DLMF), chapter 8.17; the
//! quantile is found on it by Newton's method inside a shrinking bracket.

/// Terms after which a continued fraction that has not settled is given up. It
/// needs some tens of them; the square root of the degrees of freedom at worst.
const MOST_TERMS: u32 = 100_000;

/// Steps after which a bracket of doubles cannot shrink further.
const MOST_STEPS: u32 = 200;

/// The quantile of Student's t distribution with `freedom` degrees of freedom:
/// the value that is not exceeded with `probability`. 95 % intervals take
/// `quantile(0.975, n - 1)`. `freedom` may be a fraction; infinitely many give
/// the normal distribution's. Relative error below 1e-9.
///
/// `None` where `probability` is not between 0 and 1 or `freedom` is not above
/// 0.
#[must_use]
pub fn quantile(probability: f64, freedom: f64) -> Option<f64> {
    let possible = probability > 0.0 && probability < 1.0 && freedom > 0.0;
    if !possible {
        return None;
    }
    // Symmetric about 0: only the upper tail is looked at, so that no digits
    // are lost where the probability is close to 1.
    let tail = probability.min(1.0 - probability);
    let found = upper_quantile(tail, freedom);
    Some(if probability < 0.5 { -found } else { found })
}

/// The t whose upper tail is `tail`, from 0 to a half.
fn upper_quantile(tail: f64, freedom: f64) -> f64 {
    if tail == 0.5 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while upper_tail(high, freedom) > tail && high < 1e300 {
        low = high;
        high *= 2.0;
    }
    let mut at = f64::midpoint(low, high);
    for _ in 0..MOST_STEPS {
        let over = upper_tail(at, freedom) - tail;
        if over > 0.0 {
            low = at;
        } else {
            high = at;
        }
        let newton = at + over / density(at, freedom);
        let next = if newton > low && newton < high {
            newton
        } else {
            f64::midpoint(low, high)
        };
        let settled = (next - at).abs() <= 1e-15 * at.abs();
        at = next;
        if settled {
            break;
        }
    }
    at
}

/// Probability above `t`, which is not negative: half the regularized
/// incomplete beta function at freedom / (freedom + t^2), with freedom / 2 and
/// 1/2 (DLMF 8.17 and 7.2 for the limit).
fn upper_tail(t: f64, freedom: f64) -> f64 {
    let x = freedom / (freedom + t * t);
    // 1 - x without losing the digits of a small t.
    let rest = t * t / (freedom + t * t);
    0.5 * incomplete_beta(x, rest, freedom / 2.0, 0.5)
}

/// Density at `t`.
fn density(t: f64, freedom: f64) -> f64 {
    let height = gamma_ratio(freedom / 2.0) / (freedom * std::f64::consts::PI).sqrt();
    height * (-0.5 * (freedom + 1.0) * (t * t / freedom).ln_1p()).exp()
}

/// The regularized incomplete beta function I_x(a, b) for b = 1/2 or a = 1/2;
/// `rest` is 1 - x.
fn incomplete_beta(x: f64, rest: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if rest <= 0.0 {
        return 1.0;
    }
    // The fraction settles quickly below (a + 1) / (a + b + 2) only; above it
    // I_x(a, b) = 1 - I_(1-x)(b, a) (DLMF 8.17.4).
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(rest, x, b, a);
    }
    let other = if b == 0.5 { a } else { b };
    // x^a (1-x)^b / (a B(a, b)), where 1 / B(a, 1/2) is
    // gamma(a + 1/2) / (gamma(a) sqrt(pi)).
    let front = (a * ln_of(x, rest) + b * ln_of(rest, x)).exp() * gamma_ratio(other)
        / (std::f64::consts::PI.sqrt() * a);
    front * fraction(x, a, b)
}

/// ln(x), exact where x is close to 1 because `rest` is 1 - x.
fn ln_of(x: f64, rest: f64) -> f64 {
    if rest < 0.5 { (-rest).ln_1p() } else { x.ln() }
}

/// The continued fraction of DLMF 8.17.22, from the front, after Lentz
/// (W. J. Lentz, "Generating Bessel functions in Mie scattering calculations
/// using continued fractions", Applied Optics 15(3), 1976).
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let away_from_zero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    // After the first term, 1 / 1: the numerators' ratio is that to an empty
    // fraction.
    let (mut numerator, mut denominator, mut value) = (f64::INFINITY, 1.0, 1.0);
    for term in 1..MOST_TERMS {
        let m = f64::from(term / 2);
        let coefficient = if term % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        denominator = 1.0 / away_from_zero(1.0 + coefficient * denominator);
        numerator = away_from_zero(1.0 + coefficient / numerator);
        let step = numerator * denominator;
        value *= step;
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    value
}

/// gamma(x + 1/2) / gamma(x) for x above 0: the asymptotic series of the
/// logarithm in 1/x, which follows from DLMF 5.11.8, where x is large, and the
/// recurrence gamma(x + 1) = x gamma(x) down from there. No logarithms of large
/// gammas are subtracted, so large x lose no digits.
fn gamma_ratio(x: f64) -> f64 {
    let (mut large, mut factor) = (x, 1.0);
    while large < 20.0 {
        factor *= large / (large + 0.5);
        large += 1.0;
    }
    let inverse = 1.0 / large;
    let square = inverse * inverse;
    let series =
        -1.0 / 8.0 + square * (1.0 / 192.0 + square * (-1.0 / 640.0 + square * (17.0 / 14336.0)));
    factor * large.sqrt() * (inverse * series).exp()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{gamma_ratio, quantile, upper_tail};

    fn close(found: f64, expected: f64, within: f64) -> bool {
        (found - expected).abs() <= within * expected.abs()
    }

    #[test]
    fn published_quantiles() {
        // NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2
        // (three decimals), and the normal distribution's for infinity.
        for (freedom, expected) in [
            (1.0, [3.078, 6.314, 12.706, 31.821, 63.657]),
            (2.0, [1.886, 2.920, 4.303, 6.965, 9.925]),
            (3.0, [1.638, 2.353, 3.182, 4.541, 5.841]),
            (5.0, [1.476, 2.015, 2.571, 3.365, 4.032]),
            (9.0, [1.383, 1.833, 2.262, 2.821, 3.250]),
            (10.0, [1.372, 1.812, 2.228, 2.764, 3.169]),
            (30.0, [1.310, 1.697, 2.042, 2.457, 2.750]),
            (100.0, [1.290, 1.660, 1.984, 2.364, 2.626]),
            (1e12, [1.282, 1.645, 1.960, 2.326, 2.576]),
        ] {
            for (probability, expected) in
                [0.90, 0.95, 0.975, 0.99, 0.995].into_iter().zip(expected)
            {
                let found = quantile(probability, freedom).expect("possible");
                assert!(
                    (found - expected).abs() < 0.0006,
                    "t({probability}, {freedom}) = {found}, not {expected}"
                );
            }
        }
    }

    #[test]
    fn closed_forms() {
        for probability in [0.5001, 0.6, 0.75, 0.9, 0.975, 0.999, 0.999_999] {
            // One degree of freedom is Cauchy's distribution; two and four have
            // algebraic quantiles (W. T. Shaw, "Sampling Student's T
            // distribution", J. Computational Finance 9(4), 2006).
            let cauchy = (std::f64::consts::PI * (probability - 0.5)).tan();
            let spread = 4.0 * probability * (1.0 - probability);
            let two = 2.0 * (probability - 0.5) * (2.0 / spread).sqrt();
            let root = (spread.sqrt().acos() / 3.0).cos() / spread.sqrt();
            let four = 2.0 * (root - 1.0).sqrt();
            for (freedom, expected) in [(1.0, cauchy), (2.0, two), (4.0, four)] {
                let found = quantile(probability, freedom).expect("possible");
                assert!(
                    close(found, expected, 1e-8),
                    "t({probability}, {freedom}) = {found}, not {expected}"
                );
            }
        }
    }

    #[test]
    fn ratios_of_gammas() {
        // gamma(1) / gamma(1/2), gamma(3/2) / gamma(1), gamma(2) / gamma(3/2)
        let root = std::f64::consts::PI.sqrt();
        for (x, expected) in [(0.5, 1.0 / root), (1.0, root / 2.0), (1.5, 2.0 / root)] {
            assert!(close(gamma_ratio(x), expected, 1e-14), "{x}");
        }
    }

    #[test]
    fn the_impossible_is_refused() {
        for (probability, freedom) in [
            (0.0, 5.0),
            (1.0, 5.0),
            (-0.1, 5.0),
            (f64::NAN, 5.0),
            (0.9, 0.0),
            (0.9, -1.0),
            (0.9, f64::NAN),
        ] {
            assert_eq!(quantile(probability, freedom), None);
        }
        let median = quantile(0.5, 7.0).expect("possible");
        assert!(median.abs() < 1e-300);
    }

    proptest! {
        #[test]
        fn a_quantile_has_its_probability(
            probability in 0.501..0.999_999_f64,
            freedom in 0.3..1e5_f64,
        ) {
            let t = quantile(probability, freedom).expect("possible");
            let tail = upper_tail(t, freedom);
            prop_assert!(close(tail, 1.0 - probability, 1e-9), "{tail}");
            let mirrored = quantile(1.0 - probability, freedom).expect("possible");
            prop_assert!(close(-mirrored, t, 1e-7), "{mirrored} {t}");
        }

        #[test]
        fn more_freedom_is_a_narrower_interval(freedom in 1.0..1e4_f64) {
            let one = quantile(0.975, freedom).expect("possible");
            let more = quantile(0.975, freedom * 1.5).expect("possible");
            prop_assert!(one > more && more > 1.959_96, "{one} {more}");
        }
    }
}
