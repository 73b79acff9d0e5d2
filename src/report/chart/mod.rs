//! Charts as plain SVG: scales, frames and marks. Every chart hands over the
//! figures that it draws as a table, and tells arms apart by dash and marker as
//! well as by colour. Colours are the page's affair: here they are class names.

pub(super) mod blocks;
pub(super) mod curves;
mod frame;
mod scale;
pub(super) mod scatter;
pub(super) mod timeline;
pub(super) mod waterfall;

use super::tables::Sheet;

/// Colours, and as many dashes and markers.
const LOOKS: usize = 6;

/// A chart and what it shows.
pub(super) struct Drawing {
    /// What it shows, with units.
    pub(super) title: String,
    /// How to read it; may be empty.
    pub(super) note: String,
    /// The picture: one `svg` element.
    pub(super) svg: String,
    /// Arms in it that a legend must name, by place.
    pub(super) legend: Vec<usize>,
    /// What was drawn, in figures.
    pub(super) sheet: Sheet,
}

/// Classes for the look of the arm at `place`: its colour and its dash. Beyond
/// six arms colours come again with another dash and marker: 36 arms differ.
pub(super) fn look(place: usize) -> String {
    format!("a{} k{}", place % LOOKS, form(place))
}

fn form(place: usize) -> usize {
    (place + place / LOOKS) % LOOKS
}

/// The marker of an arm, centred on a point, as an SVG path.
pub(super) fn marker(place: usize, x: f64, y: f64) -> String {
    let path = match form(place) {
        0 => "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
        1 => "m-3-3h6v6h-6z",
        2 => "m0-4l4 7h-8z",
        3 => "m0-4l4 4l-4 4l-4-4z",
        4 => "m0 4l4-7h-8z",
        _ => "m-1.5-4h3v2.5h2.5v3h-2.5v2.5h-3v-2.5h-2.5v-3h2.5z",
    };
    format!("M{x:.1} {y:.1}{path}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::look;

    #[test]
    fn many_arms_look_different() {
        let looks: BTreeSet<String> = (0..36).map(look).collect();
        assert_eq!(looks.len(), 36);
    }
}
