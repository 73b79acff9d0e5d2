//! The gap of each block, and the interval of all of them together.

use super::frame::{BOTTOM, Frame, LEFT, RIGHT, TOP};
use super::scale::Scale;
use super::{Brief, Drawing, colour, look, marker};
use crate::report::format::{ABSENT, capitalised, number};
use crate::report::sentences::{change, metric_name, share};
use crate::report::tables::Sheet;
use crate::stats::Compared;

/// `None`: no block has the metric.
pub(in super::super) fn draw(
    compared: &Compared,
    names: (&str, &str),
    other: usize,
    margin: f64,
) -> Option<Drawing> {
    let percent = |ratio: f64| (ratio - 1.0) * 100.0;
    let figures = || {
        compared
            .blocks
            .iter()
            .flatten()
            .map(|ratio| percent(*ratio))
    };
    figures().next()?;
    let mut bounds: Vec<f64> = figures()
        .chain([0.0, margin * 100.0, -margin * 100.0])
        .collect();
    if let Some(ratio) = compared.ratio {
        bounds.extend([percent(ratio.low), percent(ratio.high)]);
    }
    let low = bounds.iter().copied().reduce(f64::min)?;
    let high = bounds.iter().copied().reduce(f64::max)?;
    let room = (high - low) * 0.06;
    let last = u32::try_from(compared.blocks.len()).ok()?.max(1) - 1;
    let x = Scale::linear(-0.5, f64::from(last) + 0.5, LEFT, RIGHT).counting();
    let y = Scale::linear(low - room, high + room, BOTTOM, TOP);
    let metric = metric_name(compared.metric);
    let (first, second) = names;
    let title = capitalised(&format!(
        "{metric} of {second} against {first}, block by block"
    ));
    let mut frame = Frame::with_axes(&title, (&x, "block"), (&y, "difference, %"));
    let across = |at: f64| format!("M{LEFT} {:.1}H{RIGHT}", y.at(at));
    if let Some(ratio) = compared.ratio {
        let (top, bottom) = (y.at(percent(ratio.high)), y.at(percent(ratio.low)));
        let band = format!("M{LEFT} {top:.1}H{RIGHT}V{bottom:.1}H{LEFT}z");
        let words = format!("all blocks: {}", change(ratio));
        frame.shape(&format!("b {}", look(other)), &band, &words);
        let mean = across(percent(ratio.point));
        // Without its arm's dash: what is dashed is the margin.
        frame.shape(&format!("l {}", colour(other)), &mean, &words);
    }
    frame.raw(&format!("<path class=\"z\" d=\"{}\"/>", across(0.0)));
    for bound in [margin, -margin] {
        let path = across(bound * 100.0);
        frame.raw(&format!("<path class=\"w\" d=\"{path}\"/>"));
    }
    let mut sheet = Sheet::new(&["block", "ratio", "difference, %"]);
    for (block, ratio) in (0_u32..).zip(&compared.blocks) {
        let shown = |places| ratio.map_or(ABSENT.to_owned(), |ratio| number(Some(ratio), places));
        let off = number(ratio.map(percent), 2);
        sheet.row(&block.to_string(), vec![shown(4), off.clone()]);
        if let Some(ratio) = ratio {
            let path = marker(other, x.at(f64::from(block)), y.at(percent(*ratio)));
            let words = format!("block {block}: {off} %");
            frame.shape(&format!("p {}", look(other)), &path, &words);
        }
    }
    Some(Drawing {
        title,
        note: note(margin),
        svg: frame.finish(),
        legend: Vec::new(),
        sheet,
        brief: Brief::Whole,
    })
}

fn note(margin: f64) -> String {
    format!(
        "Line and band: all blocks together and their 95 % interval; dashed: the margin of {} % \
         within which a difference counts as none",
        share(margin)
    )
}
