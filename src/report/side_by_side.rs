//! The page of a comparison as text, below its verdict: a column per arm, a row
//! per figure, then each other arm against the first, and where the difference
//! comes from.

use super::asked::{asked, server as who, shared};
use super::findings::Findings;
use super::format::{Grid, line_at, wrap};
use super::tables::{Line, Sheet, arms, compared, server, waterfall};
use crate::stats::Arm;

pub(super) fn render(out: &mut String, findings: &Findings<'_>, names: &[String]) {
    out.push('\n');
    asked(out, &|property| shared(findings.arms, names, property));
    out.push('\n');
    let longest = names.iter().map(|name| name.chars().count()).max();
    for (arm, name) in findings.arms.iter().zip(names) {
        line_at(out, longest.unwrap_or(0), name, &who(&arm.run.header));
    }
    if let Some(comparison) = findings.comparison {
        for table in compared::tables(comparison) {
            out.push('\n');
            wrap(out, "", &table.title);
            grid(out, &table.sheet);
        }
        for note in compared::notes(comparison, findings.arms) {
            wrap(out, "", &note);
        }
    }
    if let Some(steps) = waterfall::steps(findings.waterfalls, names) {
        out.push('\n');
        wrap(out, "", waterfall::STEPS);
        grid(out, &steps);
    }
    for of in findings.waterfalls {
        out.push('\n');
        wrap(out, "", &waterfall::title(of, names));
        grid(out, &waterfall::sheet(of, names));
        for source in waterfall::sources(of) {
            wrap(out, "  ", &source);
        }
    }
    servers(out, findings.arms, names);
    out.push('\n');
    let plain_ratios = findings.plain_ratios();
    grid(out, &arms::sheet(findings.arms, names, plain_ratios));
    out.push('\n');
    for note in arms::notes(findings.arms, names, plain_ratios) {
        wrap(out, "", &note);
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
}

/// What the servers say of themselves; nothing where none does.
pub(super) fn servers(out: &mut String, arms: &[Arm<'_>], names: &[String]) {
    for (title, sheet) in server::tables(arms, names) {
        out.push('\n');
        wrap(out, "", &title);
        grid(out, &sheet);
    }
    for note in server::notes(arms, names) {
        wrap(out, "  ", &note);
    }
}

fn grid(out: &mut String, sheet: &Sheet) {
    let (corner, columns) = match sheet.head.split_first() {
        Some((corner, columns)) => (corner.as_str(), columns),
        None => return,
    };
    let mut grid = Grid::new(corner, columns);
    let sections = sheet
        .lines
        .iter()
        .any(|line| matches!(line, Line::Section(_)));
    let indent = if sections { "  " } else { "" };
    for line in &sheet.lines {
        match line {
            Line::Section(title) => grid.section(title),
            Line::Row(name, cells) => grid.row(&format!("{indent}{name}"), cells),
        }
    }
    grid.print(out);
}
