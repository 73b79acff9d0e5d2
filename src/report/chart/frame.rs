//! The frame of a chart: its axes, their marks and words, and the room inside.
//! Drawn 360 units wide, a phone's width, so that words keep their size there.

use super::scale::Scale;

/// Width of every chart.
pub(super) const WIDTH: f64 = 360.0;

/// Height of most charts.
pub(super) const HEIGHT: f64 = 230.0;

/// Room left of the plot, for the words of the vertical axis.
pub(super) const LEFT: f64 = 56.0;

/// Where the plot ends on the right.
pub(super) const RIGHT: f64 = WIDTH - 10.0;

/// Where the plot begins at the top.
pub(super) const TOP: f64 = 10.0;

/// Where the plot ends at the bottom.
pub(super) const BOTTOM: f64 = HEIGHT - 36.0;

/// An axis below this length has room for few words.
const SHORT: f64 = 200.0;

/// Width of a wide letter: fonts differ, and nothing here can measure one.
const LETTER: f64 = 7.0;

/// About as much room as words take, rather more than less.
fn width(words: &str) -> f64 {
    words.chars().map(|_| LETTER).sum()
}

/// As many marks as there is room for, but two of them: one tells no scale.
fn marks(x: &Scale) -> Vec<(f64, String)> {
    let wanted = if x.length() < SHORT { 2 } else { 5 };
    let finer = (wanted..wanted * 4).map(|wanted| x.ticks(wanted));
    let mut enough = finer.filter(|marks| marks.len() > 1);
    enough.next().unwrap_or_else(|| x.ticks(wanted))
}

/// Whether the words of neighbours would touch.
fn are_crowded(x: &Scale, marks: &[(f64, String)]) -> bool {
    marks.windows(2).any(|pair| match pair {
        [(low, left), (high, right)] => {
            x.at(*high) - x.at(*low) < f64::midpoint(width(left), width(right)) + 4.0
        }
        _ => false,
    })
}

/// A picture that is being drawn.
pub(super) struct Frame {
    svg: String,
    height: f64,
}

impl Frame {
    /// An empty picture; `name` is read out to those who cannot see it.
    pub(super) fn new(name: &str, height: f64) -> Self {
        let name = super::super::html::escape(name);
        Self {
            svg: format!(
                "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{name}\">"
            ),
            height,
        }
    }

    /// A picture with both axes: marks, lines across, words.
    pub(super) fn with_axes(name: &str, x: (&Scale, &str), y: (&Scale, &str)) -> Self {
        let mut frame = Self::new(name, HEIGHT);
        frame.horizontal(x.0, x.1, TOP);
        for (figure, words) in y.0.ticks(5) {
            let at = y.0.at(figure);
            frame.raw(&format!(
                "<path class=\"g\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/>"
            ));
            frame.text(LEFT - 4.0, at + 3.5, "e", &words);
        }
        frame.raw(&format!(
            "<text class=\"m\" transform=\"translate(10 {:.1})rotate(-90)\">{}</text>",
            f64::midpoint(TOP, BOTTOM),
            super::super::html::escape(y.1)
        ));
        frame
    }

    /// The horizontal axis along the bottom, its lines up to `top`.
    pub(super) fn horizontal(&mut self, x: &Scale, name: &str, top: f64) {
        let bottom = self.height - 36.0;
        let marks = marks(x);
        let crowded = x.length() < SHORT && are_crowded(x, &marks);
        for (place, (figure, words)) in marks.iter().enumerate() {
            let at = x.at(*figure);
            self.raw(&format!(
                "<path class=\"g\" d=\"M{at:.1} {top}V{bottom}\"/>"
            ));
            if !crowded || place == 0 || place + 1 == marks.len() {
                self.centred(at, bottom + 14.0, words);
            }
        }
        self.centred(x.middle(), bottom + 30.0, name);
    }

    /// Words about a place, or, where half of them would leave the picture on
    /// the right, up to its edge.
    fn centred(&mut self, x: f64, y: f64, words: &str) {
        match x + width(words) / 2.0 > WIDTH {
            true => self.text(WIDTH - 1.0, y, "e", words),
            false => self.text(x, y, "m", words),
        }
    }

    /// Appends markup of ours.
    pub(super) fn raw(&mut self, markup: &str) {
        self.svg.push_str(markup);
    }

    /// Words at a place; `class`: `s` starts there, `m` is centred, `e` ends.
    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, words: &str) {
        self.raw(&format!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            super::super::html::escape(words)
        ));
    }

    /// A shape with words that show when the pointer rests on it.
    pub(super) fn shape(&mut self, class: &str, path: &str, words: &str) {
        self.raw(&format!(
            "<path class=\"{class}\" d=\"{path}\"><title>{}</title></path>",
            super::super::html::escape(words)
        ));
    }

    /// The whole element.
    pub(super) fn finish(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, LEFT, RIGHT, WIDTH, marks, width};
    use crate::report::chart::scale::Scale;

    /// Place, class and words of every text of a picture.
    fn texts(svg: &str) -> Vec<(f64, String, String)> {
        let between = |text: &str, start: &str, end: &str| {
            let (_, rest) = text.split_once(start).expect("it");
            rest.split_once(end).expect("its end").0.to_owned()
        };
        svg.split("<text ")
            .skip(1)
            .map(|text| {
                let place = between(text, " x=\"", "\"").parse().expect("a place");
                let class = between(text, "class=\"", "\"");
                (place, class, between(text, ">", "<"))
            })
            .collect()
    }

    fn axis(x: &Scale, name: &str) -> Vec<(f64, String, String)> {
        let mut frame = Frame::new("t", 100.0);
        frame.horizontal(x, name, 0.0);
        texts(&frame.finish())
    }

    /// '5,000' at the end of an axis was '5,00'.
    #[test]
    fn words_of_an_axis_stay_on_the_picture() {
        let end = |words: &(f64, String, String)| match words.1.as_str() {
            "m" => words.0 + width(&words.2) / 2.0,
            _ => words.0,
        };
        for (x, name) in [
            (Scale::log(100.0, 5_000.0, LEFT, RIGHT), "ms"),
            (Scale::linear(0.0, 10.0, LEFT, RIGHT), "ms"),
            (
                Scale::linear(0.0, 2.0, 184.0, 302.0),
                "ms more than a-very-long-name-it-is (12)",
            ),
        ] {
            let found = axis(&x, name);
            assert!(found.iter().all(|words| end(words) <= WIDTH), "{found:?}");
        }
    }

    #[test]
    fn a_short_axis_has_a_scale_and_its_name_below_it() {
        for (low, high) in [
            (-0.3, 4.1),
            (-1.0, 1.9),
            (-0.0019, 0.0052),
            (0.0, 0.0049),
            (-3.9, 0.9),
            (0.0, 999.0),
            (-4_700.0, 99_000.0),
        ] {
            let x = Scale::linear(low, high, 184.0, 302.0);
            let marked = marks(&x);
            assert!(
                (2..=5).contains(&marked.len()),
                "{low} to {high}: {marked:?}"
            );
            let found = axis(&x, "ms");
            let (name, words) = found.split_last().expect("a name");
            assert!((name.0 - 243.0).abs() < 1e-9, "{name:?}");
            assert!(words.len() > 1, "{words:?}");
            for pair in words.windows(2) {
                let room = pair[1].0 - pair[0].0;
                let taken = f64::midpoint(width(&pair[0].2), width(&pair[1].2));
                assert!(room > taken, "{low} to {high}: {words:?}");
            }
        }
    }
}
