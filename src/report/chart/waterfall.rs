//! The gap between two arms as steps from the slow one down to the fast one.

use super::frame::{Frame, RIGHT};
use super::scale::Scale;
use super::{Brief, Drawing};
use crate::report::format::ABSENT;
use crate::report::format::capitalised;
use crate::report::tables::waterfall::{fine, name, part_name, sheet, subject};
use crate::stats::{Estimate, Waterfall};

/// Height of a step.
const STEP: f64 = 26.0;

/// Where the bars begin; the names of the steps stand to the left.
const FROM: f64 = 184.0;

/// A bar: its name, its look, and the figures between which it lies.
struct Bar {
    name: String,
    look: &'static str,
    from_ms: f64,
    to_ms: f64,
    of: Estimate,
}

/// The steps, top to bottom.
fn bars(of: &Waterfall, names: &[String]) -> Vec<Bar> {
    let mut at = of.gap.mean_ns;
    let mut bars = vec![Bar {
        name: format!("{} (slow)", name(names, of.slow)),
        look: "t",
        from_ms: 0.0,
        to_ms: at / 1e6,
        of: of.gap,
    }];
    let parts = of
        .parts
        .iter()
        .map(|part| (part_name(part.kind), part.estimate, false));
    for (name, estimate, rest) in parts.chain([("unexplained", of.rest, true)]) {
        let from = at;
        at -= estimate.mean_ns;
        bars.push(Bar {
            name: name.to_owned(),
            look: match (rest, estimate.mean_ns < 0.0) {
                (true, _) => "r",
                (false, true) => "n",
                (false, false) => "u",
            },
            from_ms: from / 1e6,
            to_ms: at / 1e6,
            of: estimate,
        });
    }
    bars
}

impl Bar {
    /// Half of the interval's width.
    fn half_ms(&self) -> f64 {
        let width_ns = self.of.interval.map_or(0.0, |(low, high)| high - low);
        width_ns / 2e6
    }
}

/// The interval about a bar's end, where it is wide enough to be seen; where it
/// ends on the right.
fn whisker(frame: &mut Frame, x: &Scale, bar: &Bar, middle: f64) -> f64 {
    let (from, to) = (
        x.at(bar.to_ms - bar.half_ms()),
        x.at(bar.to_ms + bar.half_ms()),
    );
    if to - from < 1.5 {
        return to;
    }
    let top = middle - 3.0;
    frame.raw(&format!(
        "<path class=\"i\" d=\"M{from:.1} {middle}H{to:.1}M{from:.1} {top}v6M{to:.1} {top}v6\"/>"
    ));
    to
}

/// Draws the steps; what the fast arm takes lies left of zero and is not drawn.
pub(in super::super) fn draw(of: &Waterfall, names: &[String]) -> Drawing {
    let bars = bars(of, names);
    let ends = || {
        let half = Bar::half_ms;
        bars.iter()
            .flat_map(move |bar| [bar.from_ms, bar.to_ms - half(bar), bar.to_ms + half(bar)])
    };
    let low = ends().reduce(f64::min).unwrap_or(0.0).min(0.0);
    let high = ends().reduce(f64::max).unwrap_or(1.0);
    let room = (high - low) * 0.02;
    let x = Scale::linear(low - room, high + room, FROM, RIGHT - 48.0);
    let mut bottom = 8.0;
    for _ in &bars {
        bottom += STEP;
    }
    let title = capitalised(&subject(of, names));
    let mut frame = Frame::new(&title, bottom + 40.0);
    let fast = name(names, of.fast);
    frame.horizontal(&x, &format!("ms more than {fast}"), 4.0);
    let zero = x.at(0.0);
    frame.raw(&format!("<path class=\"z\" d=\"M{zero:.1} 4V{bottom}\"/>"));
    let mut top = 8.0;
    for bar in &bars {
        let (from, to) = (x.at(bar.from_ms), x.at(bar.to_ms));
        let (left, right) = (from.min(to), from.max(to).max(from.min(to) + 1.0));
        let (upper, lower) = (top + 4.0, top + STEP - 6.0);
        let interval = bar.of.interval.map_or(ABSENT.to_owned(), |(low, high)| {
            format!("{} to {} ms", fine(low), fine(high))
        });
        frame.text(FROM - 6.0, top + STEP / 2.0 + 3.0, "e", &bar.name);
        frame.shape(
            bar.look,
            &format!("M{left:.1} {upper}H{right:.1}V{lower}H{left:.1}z"),
            &format!(
                "{}: {} ms, 95 % interval {interval}",
                bar.name,
                fine(bar.of.mean_ns)
            ),
        );
        let end = whisker(&mut frame, &x, bar, f64::midpoint(upper, lower));
        frame.text(
            right.max(end) + 4.0,
            top + STEP / 2.0 + 3.0,
            "s",
            &fine(bar.of.mean_ns),
        );
        top += STEP;
    }
    Drawing {
        title,
        note: format!(
            "Filled: {} spends more on it; hollow: {fast} does; dashed: what no part explains; \
             whiskers: 95 % interval",
            name(names, of.slow)
        ),
        svg: frame.finish(),
        legend: Vec::new(),
        sheet: sheet(of, names),
        brief: Brief::Whole,
    }
}
