//! The same request on two arms: a point per request, its time on one arm
//! against that on the other. Below the diagonal the other arm was faster.

use super::frame::{BOTTOM, Frame, LEFT, RIGHT, TOP};
use super::scale::Scale;
use super::{Brief, Drawing, look, marker};
use crate::report::format::number;
use crate::report::tables::Sheet;
use crate::stats::words::one_line;

/// Letters of a name that have room along the upright axis; the title has it whole.
const NAME: usize = 18;

/// A request that both arms finished.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Point {
    /// Place in the plan.
    pub(in super::super) index: u32,
    /// Milliseconds on the first arm.
    pub(in super::super) first_ms: f64,
    /// Milliseconds on the other.
    pub(in super::super) other_ms: f64,
}

/// Draws at most `most` of `points`, spread evenly over the plan. `None`: there
/// is none to draw.
pub(in super::super) fn draw(
    what: &str,
    names: (&str, &str),
    other: usize,
    points: &[Point],
    most: usize,
) -> Option<Drawing> {
    let usable: Vec<Point> = points
        .iter()
        .filter(|point| point.first_ms > 0.0 && point.other_ms > 0.0)
        .copied()
        .collect();
    let shown = thinned(&usable, most);
    let both = || {
        shown
            .iter()
            .flat_map(|point| [point.first_ms, point.other_ms])
    };
    let (low, high) = (both().reduce(f64::min)?, both().reduce(f64::max)?);
    let x = Scale::log(low, high, LEFT, RIGHT);
    let y = Scale::log(low, high, BOTTOM, TOP);
    let (first, second) = names;
    let named = |scale: &Scale, name| scale.named(&format!("{}, ms", one_line(name, NAME)));
    let title = format!("{what} of the same request: {second} against {first}");
    let mut frame = Frame::with_axes(&title, (&x, &named(&x, first)), (&y, &named(&y, second)));
    frame.raw(&format!(
        "<path class=\"z\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>",
        x.at(low),
        y.at(low),
        x.at(high),
        y.at(high)
    ));
    let mut sheet = Sheet::new(&["request", &format!("{first}, ms"), &format!("{second}, ms")]);
    for point in &shown {
        let (one, two) = (
            number(Some(point.first_ms), 2),
            number(Some(point.other_ms), 2),
        );
        frame.shape(
            &format!("d {}", look(other)),
            &marker(other, x.at(point.first_ms), y.at(point.other_ms)),
            &format!("request {}: {one} | {two} ms", point.index),
        );
        sheet.row(&point.index.to_string(), vec![one, two]);
    }
    let below = usable
        .iter()
        .filter(|point| point.other_ms < point.first_ms)
        .count();
    Some(Drawing {
        title,
        note: format!(
            "{below} of {} requests lie below the line, where {second} took less; {} drawn",
            usable.len(),
            shown.len()
        ),
        svg: frame.finish(),
        legend: Vec::new(),
        sheet,
        brief: Brief::Nothing,
    })
}

/// Every n-th, so that at most `most` are left.
fn thinned(points: &[Point], most: usize) -> Vec<Point> {
    let every = points.len().div_ceil(most.max(1)).max(1);
    points.iter().step_by(every).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::{Point, draw};

    #[test]
    fn many_points_are_thinned_and_all_are_counted() {
        let points: Vec<Point> = (0..1_000)
            .map(|index| Point {
                index,
                first_ms: 10.0,
                other_ms: if index < 700 { 9.0 } else { 11.0 },
            })
            .collect();
        let drawing = draw("E2E", ("a", "b"), 1, &points, 100).expect("points");
        assert_eq!(drawing.sheet.lines.len(), 100);
        assert!(
            drawing.note.starts_with("700 of 1000 requests"),
            "{}",
            drawing.note
        );
        assert!(draw("E2E", ("a", "b"), 1, &[], 100).is_none());
        let says = |words: &str| drawing.svg.contains(words);
        assert!(says("<title>request 10: 10.00 | 9.00 ms</title>"));
        assert!(says(">a, ms, log scale<") && says(">b, ms, log scale<"));
    }
}
