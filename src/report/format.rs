//! How figures look: decimals, absent values, lines that fit a terminal,
//! tables. Knows no figure's meaning.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use crate::stats::words::{grouped_decimal, percent_off};
use crate::stats::{Distribution, Tokens};

/// Width that running text is broken to, in characters.
pub(super) const WIDTH: usize = 96;

/// What stands for a figure that a run does not have.
pub(super) const ABSENT: &str = "-";

/// Column at which the values of `name   value` lines begin.
const VALUE_COLUMN: usize = 15;

/// A plain number with this many places and no grouping, for the CSV.
pub(super) fn plain(figure: Option<f64>, decimals: usize) -> String {
    match figure {
        Some(figure) if figure.is_finite() => format!("{figure:.decimals$}"),
        _ => ABSENT.to_owned(),
    }
}

/// Nanoseconds as plain seconds, for the CSV.
pub(super) fn seconds(ns: Option<f64>, decimals: usize) -> String {
    plain(ns.map(|ns| ns / 1e9), decimals)
}

/// A figure that shows as zero without the sign that it was rounded from.
pub(super) fn unsigned_zero(figure: String) -> String {
    let zero = |digits: &&str| digits.chars().all(|letter| matches!(letter, '0' | '.'));
    let digits = figure.strip_prefix('-').filter(zero);
    digits.map(str::to_owned).unwrap_or(figure)
}

/// A number for people.
pub(super) fn number(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or(ABSENT.to_owned(), |figure| {
        unsigned_zero(grouped_decimal(figure, decimals))
    })
}

/// Nanoseconds as milliseconds for people, in hundredths; what is there but
/// smaller says so.
pub(super) fn ms(ns: Option<f64>) -> String {
    match ns {
        Some(ns) if ns > 0.0 && ns < 5_000.0 => "<0.01".to_owned(),
        ns => number(ns.map(|ns| ns / 1e6), 2),
    }
}

/// Whole nanoseconds as milliseconds to the microsecond, for the client's own
/// delays, which may be negative.
pub(super) fn fine_ms(ns: i64) -> String {
    number(Some(ns as f64 / 1e6), 3)
}

/// Mean, p50, p90, p95, p99 and max in milliseconds.
pub(super) fn ms_row(of: Option<Distribution>) -> Vec<String> {
    let parts: [fn(Distribution) -> f64; 6] = [
        |of| of.mean,
        |of| of.p50,
        |of| of.p90,
        |of| of.p95,
        |of| of.p99,
        |of| of.max,
    ];
    parts.iter().map(|part| ms(of.map(part))).collect()
}

/// Where the counts of generated tokens come from, and by how much the text
/// disagrees: `usage`, `usage (text -0.3%)`.
pub(super) fn token_source(tokens: &Tokens) -> String {
    let source = tokens.source_words();
    let Some(check) = tokens.text_check.filter(|check| check.wire != check.text) else {
        return source;
    };
    let off = match check.wire {
        0 => format!("+{} tokens", check.text),
        _ => percent_off(check.text, check.wire).replace(' ', ""),
    };
    match source.strip_suffix(')') {
        Some(mixed) => format!("{mixed}; text {off})"),
        None => format!("{source} (text {off})"),
    }
}

/// Appends `text` broken at [`WIDTH`]: the first line after `first`, the others
/// after as many blanks. A word longer than a line stays whole, and a unit stays
/// with its number.
pub(super) fn wrap(out: &mut String, first: &str, text: &str) {
    let indent = first.chars().count();
    let mut column = indent;
    out.push_str(first);
    for (place, piece) in pieces(text).iter().enumerate() {
        let length = piece.chars().count();
        if place > 0 {
            if column + 1 + length > WIDTH {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else {
                out.push(' ');
                column += 1;
            }
        }
        out.push_str(piece);
        column += length;
    }
    out.push('\n');
}

/// The words of a text, units together with their numbers.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match pieces.last_mut().filter(|last| is_unit(last, word)) {
            Some(number) => {
                number.push(' ');
                number.push_str(word);
            }
            None => pieces.push(word.to_owned()),
        }
    }
    pieces
}

/// Whether `word` is the unit of the number that ends `before`: a line must not
/// begin with it.
pub(super) fn is_unit(before: &str, word: &str) -> bool {
    let unit = word.trim_end_matches([',', ';', '.', ':', ')', '?']);
    matches!(unit, "%" | "ms" | "s") && before.ends_with(|letter: char| letter.is_ascii_digit())
}

/// The same words with a capital, for what stands alone.
pub(super) fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// A `name   value` line.
pub(super) fn line(out: &mut String, name: &str, value: &str) {
    line_at(out, 0, name, value);
}

/// The same among lines whose names are up to `longest` letters long.
pub(super) fn line_at(out: &mut String, longest: usize, name: &str, value: &str) {
    let column = longest.max(VALUE_COLUMN);
    wrap(out, &format!("{name:<column$} "), value);
}

/// Rows of a table below a header.
pub(super) struct Grid {
    table: Table,
    columns: usize,
}

impl Grid {
    /// A table whose first column holds names; the others are right-aligned.
    pub(super) fn new(corner: &str, header: &[String]) -> Self {
        let style = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
        let mut table = Table::new();
        table.load_style(style);
        // The figures are what they are: never broken to fit a terminal.
        table.set_content_arrangement(ContentArrangement::Disabled);
        let mut grid = Self {
            table,
            columns: header.len() + 1,
        };
        let cells = grid.cells(corner, header);
        grid.table.set_header(cells);
        grid
    }

    /// A row of figures.
    pub(super) fn row(&mut self, name: &str, figures: &[String]) {
        let cells = self.cells(name, figures);
        self.table.add_row(cells);
    }

    /// A line that names the rows below it.
    pub(super) fn section(&mut self, title: &str) {
        if self.table.row_count() > 0 {
            self.row("", &[]);
        }
        self.row(title, &[]);
    }

    fn cells(&self, name: &str, figures: &[String]) -> Vec<Cell> {
        let figures = figures.iter().map(String::as_str);
        let padded = figures.chain(std::iter::repeat("")).take(self.columns - 1);
        std::iter::once(Cell::new(name))
            .chain(padded.map(|figure| Cell::new(figure).set_alignment(CellAlignment::Right)))
            .collect()
    }

    /// Appends the table, without blanks at the ends of lines.
    pub(super) fn print(&self, out: &mut String) {
        for row in self.table.lines() {
            // The table pads each cell by a blank on both sides; the text
            // around it begins in the first column.
            out.push_str(row.strip_prefix([' ', '─']).unwrap_or(&row).trim_end());
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ABSENT, WIDTH, fine_ms, ms, number, plain, seconds, token_source, wrap};
    use crate::stats::{TextCheck, TokenSource, Tokens};

    #[test]
    fn figures_and_their_absence() {
        assert_eq!(plain(Some(1234.5678), 3), "1234.568");
        assert_eq!(plain(Some(f64::NAN), 3), ABSENT);
        assert_eq!(plain(None, 3), ABSENT);
        assert_eq!(number(Some(-0.04), 1), "0.0");
        assert_eq!(number(Some(-0.06), 1), "-0.1");
        assert_eq!(
            (number(None, 1), fine_ms(-400)),
            (ABSENT.to_owned(), "0.000".to_owned())
        );
        assert_eq!(seconds(Some(1_234_567.0), 6), "0.001235");
        for (ns, expected) in [
            (None, "-"),
            (Some(0.0), "0.00"),
            (Some(1.0), "<0.01"),
            (Some(4_999.0), "<0.01"),
            (Some(5_000.0), "0.01"),
            (Some(-4_999.0), "0.00"),
            (Some(1_234_567_890.0), "1,234.57"),
        ] {
            assert_eq!(ms(ns), expected, "{ns:?}");
        }
    }

    #[test]
    fn a_second_count_is_named_when_it_differs() {
        let tokens = |sources: &[(TokenSource, u64)], wire, text| Tokens {
            sources: sources.iter().copied().collect(),
            text_check: Some(TextCheck {
                requests: 1,
                wire,
                text,
            }),
            ..Tokens::default()
        };
        let usage = [(TokenSource::Usage, 9)];
        let mixed = [(TokenSource::Usage, 9), (TokenSource::Text, 1)];
        for (tokens, expected) in [
            (tokens(&usage, 1_000, 1_000), "usage"),
            (tokens(&usage, 1_000, 997), "usage (text -0.3%)"),
            (tokens(&usage, 0, 2), "usage (text +2 tokens)"),
            (
                tokens(&mixed, 1_000, 1_020),
                "text (usage 9, text 1; text +2.0%)",
            ),
            (Tokens::default(), "-"),
        ] {
            assert_eq!(token_source(&tokens), expected);
        }
    }

    #[test]
    fn lines_are_broken_and_indented() {
        let mut out = String::new();
        wrap(&mut out, "name ", &"word ".repeat(40));
        let lines: Vec<&str> = out.lines().collect();
        assert!(
            lines.len() == 3 && lines[1].starts_with("     word"),
            "{out}"
        );
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(out.matches("word").count(), 40);
        let mut units = String::new();
        wrap(&mut units, "", &"12.3 %, then 4 ms more; ".repeat(40));
        for line in units.lines() {
            assert!(!line.starts_with('%') && !line.starts_with("ms"), "{units}");
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        let mut long = String::new();
        wrap(&mut long, "", &"x".repeat(200));
        assert_eq!(long.trim_end().len(), 200);
    }
}
