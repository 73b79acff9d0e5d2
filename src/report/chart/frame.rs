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
            "<text class=\"m\" transform=\"translate(11 {:.1})rotate(-90)\">{}</text>",
            f64::midpoint(TOP, BOTTOM),
            super::super::html::escape(y.1)
        ));
        frame
    }

    /// The horizontal axis along the bottom, its lines up to `top`.
    pub(super) fn horizontal(&mut self, x: &Scale, name: &str, top: f64) {
        let bottom = self.height - 36.0;
        // As many as have room for their words.
        let wanted = if x.length() < 200.0 { 2 } else { 5 };
        for (figure, words) in x.ticks(wanted) {
            let at = x.at(figure);
            self.raw(&format!(
                "<path class=\"g\" d=\"M{at:.1} {top}V{bottom}\"/>"
            ));
            self.text(at, bottom + 14.0, "m", &words);
        }
        self.text(f64::midpoint(LEFT, RIGHT), bottom + 30.0, "m", name);
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
