//! Shares of samples up to a figure, one curve per arm: the empirical
//! distribution, drawn at the same shares for every arm and any number of
//! samples.

use std::fmt::Write;

use super::frame::{BOTTOM, Frame, LEFT, RIGHT, TOP};
use super::scale::Scale;
use super::{Drawing, look, marker};
use crate::report::format::number;
use crate::report::tables::Sheet;

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
    /// The arm's place.
    pub(in super::super) arm: usize,
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
    let all = || curves.iter().flatten().copied();
    let high = all().reduce(f64::max)?;
    // A log axis has no zero: what is there but not above it lies at its end.
    let low = all().filter(|figure| *figure > 0.0).reduce(f64::min)?;
    let x = Scale::log(low, high, LEFT, RIGHT);
    let y = Scale::linear(0.0, 100.0, BOTTOM, TOP);
    let mut frame = Frame::with_axes(axis.title, (&x, axis.unit), (&y, "% of samples up to this"));
    for (arm, curve) in arms.iter().zip(&curves) {
        let place = |share: u32| y.at(f64::from(share) / 10.0);
        let mut line = String::new();
        for (share, figure) in shares.iter().zip(curve) {
            let letter = if line.is_empty() { 'M' } else { 'L' };
            let _ = write!(line, "{letter}{:.1} {:.1}", x.at(*figure), place(*share));
        }
        frame.shape(&format!("l a{}", look(arm.arm)), &line, &arm.name);
        for (share, figure) in shares.iter().zip(curve) {
            if MARKED.contains(share) {
                let words = format!(
                    "{}: {} % up to {} {}",
                    arm.name,
                    f64::from(*share) / 10.0,
                    number(Some(*figure), axis.decimals),
                    axis.unit
                );
                let path = marker(arm.arm, x.at(*figure), place(*share));
                frame.shape(&format!("p a{}", look(arm.arm)), &path, &words);
            }
        }
    }
    Some(Drawing {
        title: axis.title.to_owned(),
        note: String::new(),
        svg: frame.finish(),
        legend: arms.iter().map(|arm| arm.arm).collect(),
        sheet: table(axis, &arms, &shares, &curves),
    })
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

    #[test]
    fn quantiles_by_hand() {
        let sorted = [1.0, 2.0, 3.0, 5.0];
        for (share, expected) in [(0, 1.0), (500, 2.5), (1_000, 5.0), (900, 4.4)] {
            assert!((quantile(&sorted, share) - expected).abs() < 1e-9);
        }
        assert_eq!(quantile(&[7.0], 990), 7.0);
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
                arm: 0,
                name: "a".to_owned(),
                sorted: (1..=count).map(f64::from).collect(),
            }];
            draw(&axis, &arms).expect("samples").svg.len()
        };
        assert!(of(1_000_000) < of(1_000) + 1_000 && of(1_000_000) < 6_000);
        assert!(draw(&axis, &[]).is_none());
    }
}
