//! The tables of a comparison, as words in cells: made once, laid out by every
//! format in its own way, so that no two formats can disagree on a figure.
//! Knows no layout.

pub(super) mod arms;
pub(super) mod compared;
pub(super) mod glance;
pub(super) mod server;
pub(super) mod setup;
pub(super) mod waterfall;

/// A table. The first column names its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sheet {
    /// Heads of the columns, that of the names first.
    pub(super) head: Vec<String>,
    /// Lines below the head.
    pub(super) lines: Vec<Line>,
}

/// A line of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    /// Names the rows that follow.
    Section(String),
    /// A name and its cells.
    Row(String, Vec<String>),
}

impl Sheet {
    /// A table without lines.
    pub(super) fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|&name| name.to_owned()).collect(),
            lines: Vec::new(),
        }
    }

    /// Appends a row.
    pub(super) fn row(&mut self, name: &str, cells: Vec<String>) {
        self.lines.push(Line::Row(name.to_owned(), cells));
    }

    /// Appends a line that names the rows below it.
    pub(super) fn section(&mut self, title: &str) {
        self.lines.push(Line::Section(title.to_owned()));
    }
}
