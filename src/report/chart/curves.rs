//! Shares of samples up to a figure, one curve per arm: the empirical
//! distribution, drawn at the same shares for every arm and any number of
//! samples.

use std::fmt::Write;

use super::frame::{BOTTOM, Frame, LEFT, RIGHT, TOP};
use super::scale::Scale;
use super::{Brief, Drawing, Whose};
use crate::report::format::number;
use crate::report::tables::Sheet;

/// Shares that are told where no curve is drawn.
const SHARES_IN_BRIEF: [&str; 9] = [
    "0.0", "5.0", "25.0", "50.0", "75.0", "90.0", "95.0", "99.0", "100.0",
];

/// Shares that are drawn, in thousandths: every percent, and finer at the ends.
fn shares() -> Vec<u32> {
    let mut shares: Vec<u32> = (0..=100).map(|percent| percent * 10).collect();
    shares.extend([5, 995, 999]);
    shares.sort_unstable();
    shares
}

/// Shares that get a marker.
const MARKED: [u32; 5] = [100, 250, 500, 900, 990];

/// The samples of one arm.
pub(in super::super) struct Samples {
    /// Which arm's they are, or what was asked of all.
    pub(in super::super) whose: Whose,
    /// What the curve is called.
    pub(in super::super) name: String,
    /// In ascending order, finite.
    pub(in super::super) sorted: Vec<f64>,
}

/// What the curves are of.
pub(in super::super) struct Axis {
    /// The chart's title.
    pub(in super::super) title: &'static str,
    /// Name and unit of the axis.
    pub(in super::super) unit: &'static str,
    /// Places of its figures.
    pub(in super::super) decimals: usize,
}

/// `None`: there is no sample.
pub(in super::super) fn draw(axis: &Axis, arms: &[Samples]) -> Option<Drawing> {
    let arms: Vec<&Samples> = arms.iter().filter(|arm| !arm.sorted.is_empty()).collect();
    let shares = shares();
    let curves: Vec<Vec<f64>> = arms
        .iter()
        .map(|arm| {
            shares
                .iter()
                .map(|&share| quantile(&arm.sorted, share))
                .collect()
        })
        .collect();
    let high = curves.iter().flatten().copied().reduce(f64::max)?;
    let x = Scale::log(low_end(&shares, &curves)?, high, LEFT, RIGHT);
    let y = Scale::linear(0.0, 100.0, BOTTOM, TOP);
    let across = x.named(axis.unit);
    let mut frame = Frame::with_axes(axis.title, (&x, &across), (&y, "% of samples up to this"));
    for (arm, curve) in arms.iter().zip(&curves) {
        let place = |share: u32| y.at(f64::from(share) / 10.0);
        let mut line = String::new();
        for (share, figure) in shares.iter().zip(curve) {
            let letter = if line.is_empty() { 'M' } else { 'L' };
            let _ = write!(line, "{letter}{:.1} {:.1}", x.at(*figure), place(*share));
        }
        let look = arm.whose.look();
        frame.shape(&format!("l {look}"), &line, &arm.name);
        for (share, figure) in shares.iter().zip(curve) {
            if MARKED.contains(share) {
                let words = format!(
                    "{}: {} % up to {} {}",
                    arm.name,
                    f64::from(*share) / 10.0,
                    number(Some(*figure), axis.decimals),
                    axis.unit
                );
                let path = arm.whose.marker(x.at(*figure), place(*share));
                frame.shape(&format!("p {look}"), &path, &words);
            }
        }
    }
    Some(Drawing {
        title: axis.title.to_owned(),
        note: String::new(),
        svg: frame.finish(),
        legend: arms.iter().map(|arm| arm.whose).collect(),
        sheet: table(axis, &arms, &shares, &curves),
        brief: Brief::Named(&SHARES_IN_BRIEF),
    })
}

/// Where the axis begins. A log axis has no zero, and a few figures close to it,
/// such as two messages read at once, would take most of it: what lies below the
/// lowest percent of every curve lies at its end.
fn low_end(shares: &[u32], curves: &[Vec<f64>]) -> Option<f64> {
    let from = |least: u32| {
        let figures = curves.iter().flat_map(|curve| shares.iter().zip(curve));
        let figures = figures.filter(|(share, figure)| **share >= least && **figure > 0.0);
        figures.map(|(_, figure)| *figure).reduce(f64::min)
    };
    let (all, most) = (from(0)?, from(10)?);
    // Close by, all of them have room.
    Some(if most / all < 2.0 { all } else { most * 0.9 })
}

fn table(axis: &Axis, arms: &[&Samples], shares: &[u32], curves: &[Vec<f64>]) -> Sheet {
    let mut sheet = Sheet::new(&["% up to"]);
    for arm in arms {
        sheet.head.push(format!("{}, {}", arm.name, axis.unit));
    }
    for (place, share) in shares.iter().enumerate() {
        let cells = curves
            .iter()
            .map(|curve| number(curve.get(place).copied(), axis.decimals))
            .collect();
        sheet.row(&format!("{:.1}", f64::from(*share) / 10.0), cells);
    }
    sheet
}

/// The figure that `share` thousandths of the samples do not exceed, by linear
/// interpolation as in the tables; `sorted` is not empty.
fn quantile(sorted: &[f64], share: u32) -> f64 {
    let rank = (sorted.len() - 1) * usize::try_from(share).unwrap_or(0);
    let low = sorted.get(rank / 1_000).copied().unwrap_or(0.0);
    let part = (rank % 1_000) as f64 / 1_000.0;
    match sorted.get(rank / 1_000 + 1) {
        Some(high) if part > 0.0 => low + part * (high - low),
        _ => low,
    }
}

#[cfg(test)]
mod tests {
    use super::{Axis, Samples, draw, quantile};
    use crate::report::chart::Whose;

    #[test]
    fn quantiles_by_hand() {
        let sorted = [1.0, 2.0, 3.0, 5.0];
        for (share, expected) in [(0, 1.0), (500, 2.5), (1_000, 5.0), (900, 4.4)] {
            assert!((quantile(&sorted, share) - expected).abs() < 1e-9);
        }
        assert_eq!(quantile(&[7.0], 990), 7.0);
    }

    #[test]
    fn a_few_small_figures_do_not_take_the_axis() {
        let shares = super::shares();
        let curve = |lowest: f64| {
            let of = |share: &u32| if *share < 10 { lowest } else { 5.0 };
            vec![shares.iter().map(of).collect::<Vec<f64>>()]
        };
        let low = |lowest| super::low_end(&shares, &curve(lowest)).expect("figures");
        assert!((low(0.001) - 4.5).abs() < 1e-9 && (low(3.0) - 3.0).abs() < 1e-9);
        assert!((low(0.0) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn a_million_samples_are_as_small_as_a_thousand() {
        let axis = Axis {
            title: "t",
            unit: "ms",
            decimals: 2,
        };
        let of = |count: u32| {
            let arms = [Samples {
                whose: Whose::Arm(0),
                name: "a".to_owned(),
                sorted: (1..=count).map(f64::from).collect(),
            }];
            draw(&axis, &arms).expect("samples").svg.len()
        };
        assert!(of(1_000_000) < of(1_000) + 1_000 && of(1_000_000) < 6_000);
        assert!(draw(&axis, &[]).is_none());
    }

    #[test]
    fn a_log_axis_says_so() {
        let axis = Axis {
            title: "t",
            unit: "ms",
            decimals: 2,
        };
        let of = |sorted: Vec<f64>| {
            let arm = Samples {
                whose: Whose::Arm(0),
                name: "a".to_owned(),
                sorted,
            };
            draw(&axis, &[arm]).expect("samples").svg
        };
        assert!(of(vec![1.0, 2.0, 300.0]).contains(">ms, log scale<"));
    }
}
