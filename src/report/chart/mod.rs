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

use super::tables::{Line, Sheet};

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
    /// What a legend must name.
    pub(super) legend: Vec<Whose>,
    /// What was drawn, in figures.
    pub(super) sheet: Sheet,
    /// What of that is worth reading where nothing is drawn.
    pub(super) brief: Brief,
}

/// The lines of a chart's table that say most of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brief {
    /// All.
    Whole,
    /// Those with these names.
    Named(&'static [&'static str]),
    /// One of so many, from the first on, that at most these are left.
    AtMost(usize),
    /// None: single points say nothing.
    Nothing,
}

impl Drawing {
    /// The brief table; `None`: there is none.
    pub(super) fn in_brief(&self) -> Option<Sheet> {
        let all = &self.sheet.lines;
        let named = |line: &Line, names: &[&str]| match line {
            Line::Row(name, _) => names.contains(&name.as_str()),
            Line::Section(_) => true,
        };
        let lines: Vec<Line> = match self.brief {
            Brief::Whole => all.clone(),
            Brief::Named(names) => {
                let kept = all.iter().filter(|line| named(line, names));
                kept.cloned().collect()
            }
            Brief::AtMost(most) => {
                let step = all.len().div_ceil(most.max(1)).max(1);
                all.iter().step_by(step).cloned().collect()
            }
            Brief::Nothing => return None,
        };
        Some(Sheet {
            head: self.sheet.head.clone(),
            lines,
        })
    }
}

/// Whose a curve is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The arm at this place.
    Arm(usize),
    /// Nobody's: what all arms were asked for.
    Asked,
}

impl Whose {
    /// Classes for its look; what was asked for takes no arm's colour.
    pub(super) fn look(self) -> String {
        match self {
            Self::Arm(place) => look(place),
            Self::Asked => "q".to_owned(),
        }
    }

    /// Its marker, centred on a point.
    pub(super) fn marker(self, x: f64, y: f64) -> String {
        match self {
            Self::Arm(place) => marker(place, x, y),
            // Higher than the arms' own, which may lie on top of it.
            Self::Asked => format!("M{x:.1} {y:.1}m-1-6h2v12h-2z"),
        }
    }
}

/// The class of an arm's colour.
fn colour(place: usize) -> String {
    format!("a{}", place % LOOKS)
}

/// Classes for the look of the arm at `place`: its colour and its dash. Beyond
/// six arms colours come again with another dash and marker: 36 arms differ.
pub(super) fn look(place: usize) -> String {
    format!("{} k{}", colour(place), form(place))
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

    use super::{LOOKS, Whose, look};

    #[test]
    fn many_arms_look_different() {
        let looks: BTreeSet<String> = (0..36).map(look).collect();
        assert_eq!(looks.len(), 36);
        for place in 0..=LOOKS {
            let asked = Whose::Asked.look();
            assert!(
                !look(place).contains(&asked),
                "{place} looks like `{asked}`"
            );
        }
    }
}
