//! From figures to places on a picture, and the round figures that an axis is
//! marked with.

use crate::stats::words::grouped_decimal;

/// An axis: figures from `low` to `high` laid out from `from` to `to`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
    /// Smallest step between marks of a linear axis.
    least_step: f64,
}

impl Scale {
    /// Equal steps for equal differences. Figures that are all the same get
    /// some room around them.
    pub(super) fn linear(low: f64, high: f64, from: f64, to: f64) -> Self {
        let (low, high) = ordered(low, high);
        let (low, high) = match high - low > low.abs().max(high.abs()) * 1e-9 {
            true => (low, high),
            false => {
                let room = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
                (low - room, high + room)
            }
        };
        Self {
            low,
            high,
            from,
            to,
            log: false,
            least_step: 0.0,
        }
    }

    /// Equal steps for equal ratios; `low` and `high` must be above zero, and
    /// the axis is linear if they are not.
    pub(super) fn log(low: f64, high: f64, from: f64, to: f64) -> Self {
        let (low, high) = ordered(low, high);
        if low <= 0.0 {
            return Self::linear(low, high, from, to);
        }
        let (low, high) = match high / low > 1.02 {
            true => (low, high),
            false => (low * 0.9, (high * 1.1).min(f64::MAX)),
        };
        Self {
            low,
            high,
            from,
            to,
            log: true,
            least_step: 0.0,
        }
    }

    /// The same axis, of things that are counted: marked with whole numbers only.
    pub(super) fn counting(self) -> Self {
        Self {
            least_step: 1.0,
            ..self
        }
    }

    /// Its length on the picture.
    pub(super) fn length(&self) -> f64 {
        (self.to - self.from).abs()
    }

    /// The place in the middle of it.
    pub(super) fn middle(&self) -> f64 {
        f64::midpoint(self.from, self.to)
    }

    /// What it is called: that it is no linear one is to be read on it.
    pub(super) fn named(&self, name: &str) -> String {
        match self.log {
            true => format!("{name}, log scale"),
            false => name.to_owned(),
        }
    }

    /// The place of a figure; figures beyond the ends lie at the ends.
    pub(super) fn at(&self, figure: f64) -> f64 {
        let figure = match figure.is_finite() {
            true => figure.clamp(self.low, self.high),
            false => self.low,
        };
        let share = match self.log {
            // Not the logarithm of a ratio, which may be too large for a number.
            true => (figure.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
            false => (figure - self.low) / (self.high - self.low),
        };
        // Two ends that no number lies between have one place.
        let share = if share.is_finite() {
            share.clamp(0.0, 1.0)
        } else {
            0.5
        };
        self.from + share * (self.to - self.from)
    }

    /// Round figures on the axis with their words, about `wanted` of them.
    pub(super) fn ticks(&self, wanted: u32) -> Vec<(f64, String)> {
        let decades = self.high.log10() - self.low.log10();
        if self.log && decades >= 1.0 {
            return self.log_ticks(decades, wanted);
        }
        let step = round_step((self.high - self.low) / f64::from(wanted.max(1)));
        let step = step.max(self.least_step);
        let first = (self.low / step).ceil();
        let decimals = decimals(step);
        (0..=wanted * 3)
            .map(|place| (first + f64::from(place)) * step)
            .take_while(|figure| *figure <= self.high + step * 1e-9)
            .map(|figure| {
                // -0.0 is printed as such.
                let figure = if figure == 0.0 { 0.0 } else { figure };
                (figure, grouped_decimal(figure, decimals))
            })
            .collect()
    }

    fn log_ticks(&self, decades: f64, wanted: u32) -> Vec<(f64, String)> {
        let within: &[f64] = if decades * 3.0 <= f64::from(wanted) + 1.5 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let mut found = Vec::new();
        // Below the least number of full precision a power of ten may be 0.
        let mut power = 10_f64.powf(self.low.log10().floor()).max(1e-307);
        while power <= self.high {
            for &digit in within {
                let figure = power * digit;
                if figure >= self.low * (1.0 - 1e-9) && figure <= self.high * (1.0 + 1e-9) {
                    let places = decimals(power);
                    found.push((figure, grouped_decimal(figure, places)));
                }
            }
            power *= 10.0;
        }
        let most = usize::try_from(wanted + 2).unwrap_or(2);
        let every = found.len().div_ceil(most).max(1);
        found.into_iter().step_by(every).collect()
    }
}

fn ordered(low: f64, high: f64) -> (f64, f64) {
    match (low.is_finite(), high.is_finite()) {
        (true, true) => (low.min(high), low.max(high)),
        (true, false) => (low, low),
        (false, true) => (high, high),
        (false, false) => (0.0, 1.0),
    }
}

/// 1, 2 or 5 times a power of ten: the smallest that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|round| *round >= step * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// Places that show a multiple of `step`.
fn decimals(step: f64) -> usize {
    (0..9)
        .find(|places| {
            let shifted = step * 10_f64.powi(i32::try_from(*places).unwrap_or(9));
            (shifted - shifted.round()).abs() < 1e-6 * shifted.max(1.0)
        })
        .unwrap_or(9)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Scale, round_step};

    fn words(scale: Scale, wanted: u32) -> Vec<String> {
        let ticks = scale.ticks(wanted);
        ticks.into_iter().map(|(_, words)| words).collect()
    }

    #[test]
    fn ticks_are_round() {
        let linear = |low, high| words(Scale::linear(low, high, 0.0, 100.0), 5);
        assert_eq!(linear(0.0, 10.0), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(linear(-0.013, 0.021), ["-0.01", "0.00", "0.01", "0.02"]);
        let blocks = Scale::linear(-0.5, 1.5, 0.0, 100.0).counting();
        assert_eq!(words(blocks, 5), ["0", "1"]);
        assert_eq!(
            linear(0.0, 4_321.0),
            ["0", "1,000", "2,000", "3,000", "4,000"]
        );
        let log = |low, high| words(Scale::log(low, high, 0.0, 100.0), 5);
        assert_eq!(log(1.0, 50.0), ["1", "2", "5", "10", "20", "50"]);
        assert_eq!(
            log(0.01, 900.0),
            ["0.01", "0.10", "1", "10", "100"].map(|w| w.replace("0.10", "0.1"))
        );
        assert_eq!(log(24.0, 28.0), ["24", "25", "26", "27", "28"]);
    }

    #[test]
    fn steps_by_hand() {
        for (step, expected) in [
            (1.0, 1.0),
            (1.1, 2.0),
            (3.0, 5.0),
            (0.07, 0.1),
            (60.0, 100.0),
        ] {
            assert!((round_step(step) - expected).abs() < 1e-9, "{step}");
        }
    }

    /// They took all memory, or for ever.
    #[test]
    fn marks_at_the_ends_of_all_numbers_come_to_an_end() {
        for (low, high) in [(f64::MAX, f64::INFINITY), (5e-324, 1.0), (5e-324, f64::MAX)] {
            assert!(Scale::log(low, high, 0.0, 100.0).ticks(5).len() <= 16);
        }
    }

    proptest! {
        #[test]
        fn any_figures_lie_on_the_picture(
            low in prop::num::f64::ANY, high in prop::num::f64::ANY, figure in prop::num::f64::ANY
        ) {
            for scale in [Scale::linear(low, high, 10.0, 90.0), Scale::log(low, high, 10.0, 90.0)] {
                let at = scale.at(figure);
                prop_assert!(low.abs() > 1e150 || high.abs() > 1e150 || (10.0..=90.0).contains(&at), "{}", at);
                prop_assert!(scale.ticks(5).len() <= 16);
            }
        }

        #[test]
        fn order_is_kept(low in 0.001..1e6_f64, span in 1.001..1e6_f64, a in 0.0..1.0_f64, b in 0.0..1.0_f64) {
            let high = low * span;
            let (a, b) = (low + (high - low) * a.min(b), low + (high - low) * a.max(b));
            for scale in [Scale::linear(low, high, 0.0, 1.0), Scale::log(low, high, 0.0, 1.0)] {
                prop_assert!(scale.at(a) <= scale.at(b) + 1e-12);
            }
        }
    }
}
