//! A figure of every arm over time, the arms' blocks shaded.

use std::fmt::Write;

use super::frame::{BOTTOM, Frame, LEFT, RIGHT, TOP};
use super::scale::Scale;
use super::{Brief, Drawing, Whose, look};
use crate::report::format::{capitalised, number};
use crate::report::series::course::{Course, Lane, Span};
use crate::report::tables::Sheet;

/// The most slices that are told where nothing is drawn.
const SLICES_IN_BRIEF: usize = 15;

/// What is drawn.
pub(in super::super) struct What {
    /// The chart's title.
    pub(in super::super) title: &'static str,
    /// Name of the vertical axis.
    pub(in super::super) unit: &'static str,
    /// The figure of each slice.
    pub(in super::super) figures: fn(&Lane) -> &[Option<f64>],
}

/// Draws all arms.
pub(in super::super) fn draw(what: &What, course: &Course, names: &[String]) -> Drawing {
    let slices = course.lanes.iter().map(|lane| (what.figures)(lane).len());
    let end_s = slices.max().unwrap_or(0) as f64 * course.slice_s;
    let figures = || {
        course
            .lanes
            .iter()
            .flat_map(|lane| (what.figures)(lane).iter().flatten())
    };
    let high = figures().copied().reduce(f64::max).unwrap_or(1.0);
    let x = Scale::linear(0.0, end_s, LEFT, RIGHT);
    let y = Scale::linear(0.0, high * 1.05, BOTTOM, TOP);
    let mut frame = Frame::with_axes(what.title, (&x, "seconds"), (&y, what.unit));
    for ((arm, lane), name) in course.lanes.iter().enumerate().zip(names) {
        shade(&mut frame, &x, arm, lane, name);
    }
    for ((arm, lane), name) in course.lanes.iter().enumerate().zip(names) {
        let path = line((what.figures)(lane), course.slice_s, &x, &y);
        if !path.is_empty() {
            frame.shape(&format!("l {}", look(arm)), &path, name);
        }
    }
    say_slices(&mut frame, what, course, names, &x);
    let blocks = course.lanes.iter().any(|lane| !lane.blocks.is_empty());
    let shaded = if blocks {
        "shaded: each arm's blocks; "
    } else {
        ""
    };
    let clock = match course.together {
        true => "one clock for all arms",
        false => "each arm from its own start: they were not measured at the same time",
    };
    Drawing {
        title: what.title.to_owned(),
        note: capitalised(&format!("{shaded}{clock}{}", uncounted(what, course))),
        svg: frame.finish(),
        legend: (0..course.lanes.len()).map(Whose::Arm).collect(),
        sheet: table(what, course, names),
        brief: Brief::AtMost(SLICES_IN_BRIEF),
    }
}

/// Says why a busy arm has no line.
fn uncounted(what: &What, course: &Course) -> &'static str {
    let mut slices = course
        .lanes
        .iter()
        .flat_map(|lane| (what.figures)(lane).iter().zip(&lane.in_flight));
    match slices.any(|(figure, busy)| figure.is_none() && busy.is_some()) {
        true => "; no line where nobody counted an answer's tokens",
        false => "",
    }
}

fn shade(frame: &mut Frame, x: &Scale, arm: usize, lane: &Lane, name: &str) {
    for block in &lane.blocks {
        let (left, right) = (x.at(block.from_s), x.at(block.to_s));
        let words = format!(
            "block {} of {name}: {} to {} s",
            block.number,
            number(Some(block.from_s), 2),
            number(Some(block.to_s), 2)
        );
        let path = format!("M{left:.1} {TOP}H{right:.1}V{BOTTOM}H{left:.1}z");
        frame.shape(&format!("b {}", look(arm)), &path, &words);
    }
}

/// Over each slice, unseen, what the arms that were busy in it did, and whose
/// block it was.
fn say_slices(frame: &mut Frame, what: &What, course: &Course, names: &[String], x: &Scale) {
    let slices = course.lanes.iter().map(|lane| (what.figures)(lane).len());
    for slice in 0..slices.max().unwrap_or(0) {
        let (from_s, to_s) = (
            slice as f64 * course.slice_s,
            (slice + 1) as f64 * course.slice_s,
        );
        let said: Vec<String> = course
            .lanes
            .iter()
            .zip(names)
            .filter_map(|(lane, name)| {
                let figure = (*(what.figures)(lane).get(slice)?)?;
                let middle_s = f64::midpoint(from_s, to_s);
                let within = |span: &&Span| span.from_s <= middle_s && middle_s <= span.to_s;
                let block = lane.blocks.iter().find(within);
                let block = block.map_or(String::new(), |of| format!(", block {}", of.number));
                let figure = number(Some(figure), 1);
                Some(format!("{name}{block}: {figure} {}", what.unit))
            })
            .collect();
        if !said.is_empty() {
            let (left, right) = (x.at(from_s), x.at(to_s));
            frame.shape(
                "h",
                &format!("M{left:.1} {TOP}H{right:.1}V{BOTTOM}H{left:.1}z"),
                &format!("{} s: {}", number(Some(from_s), 2), said.join("; ")),
            );
        }
    }
}

/// A line through the middles of the slices, broken where the arm was idle.
fn line(figures: &[Option<f64>], slice_s: f64, x: &Scale, y: &Scale) -> String {
    let mut path = String::new();
    let mut down = false;
    for (slice, figure) in figures.iter().enumerate() {
        let Some(figure) = figure else {
            down = false;
            continue;
        };
        let letter = if down { 'L' } else { 'M' };
        let at = x.at((slice as f64 + 0.5) * slice_s);
        let _ = write!(path, "{letter}{at:.1} {:.1}", y.at(*figure));
        if !down {
            // A slice by itself shows as a dot of the line's width.
            path.push_str("h.1");
        }
        down = true;
    }
    path
}

fn table(what: &What, course: &Course, names: &[String]) -> Sheet {
    let mut sheet = Sheet::new(&["from second"]);
    for name in names {
        sheet.head.push(format!("{name}, {}", what.unit));
    }
    let lanes: Vec<&[Option<f64>]> = course
        .lanes
        .iter()
        .map(|lane| (what.figures)(lane))
        .collect();
    let slices = lanes.iter().map(|lane| lane.len()).max().unwrap_or(0);
    for slice in 0..slices {
        let cells = lanes
            .iter()
            .map(|lane| number(lane.get(slice).copied().flatten(), 1))
            .collect();
        let from_s = slice as f64 * course.slice_s;
        sheet.row(&number(Some(from_s), 3), cells);
    }
    sheet
}
