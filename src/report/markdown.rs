//! The report for an issue or a pull request, in GitHub's Markdown: verdict,
//! what was found, the tables, and, folded, the charts' figures and how it was
//! measured. Words from elsewhere cannot become markup, a mention or a link to an
//! issue.

use super::chart::Drawing;
use super::drawings;
use super::findings::Findings;
use super::sentences::headline;
use super::tables::{Line, Sheet, arms, compared, glance, server, setup, waterfall};
use crate::stats::words::{counted, is_steering};

/// The whole report. Ends with a line feed.
#[must_use]
pub fn page(findings: &Findings<'_>) -> String {
    let names = findings.names();
    let mut out = String::new();
    judgement(&mut out, findings, &names);
    for sentence in headline(findings) {
        out.push_str(&format!("\n**{}**\n", escaped(&sentence)));
    }
    for line in findings.decided() {
        out.push_str(&format!("\n{}\n", escaped(&line)));
    }
    for warning in findings.warnings() {
        out.push_str(&format!("\n> {}\n", escaped(&warning)));
    }
    sheet_of_arms(&mut out, findings, &names);
    if let Some(comparison) = findings.comparison {
        for table in compared::tables(comparison) {
            heading(&mut out, &table.title);
            sheet(&mut out, &table.sheet);
        }
        list(&mut out, &compared::notes(comparison, findings.arms));
    }
    if let Some(steps) = waterfall::steps(findings.waterfalls, &names) {
        heading(&mut out, waterfall::STEPS);
        sheet(&mut out, &steps);
    }
    for of in findings.waterfalls {
        heading(&mut out, &waterfall::title(of, &names));
        sheet(&mut out, &waterfall::sheet(of, &names));
        list(&mut out, &waterfall::sources(of));
    }
    heading(&mut out, "the arms");
    let plain_ratios = findings.plain_ratios();
    sheet(&mut out, &arms::sheet(findings.arms, &names, plain_ratios));
    list(&mut out, &arms::notes(findings.arms, &names, plain_ratios));
    for (title, told) in server::tables(findings.arms, &names) {
        heading(&mut out, &title);
        sheet(&mut out, &told);
    }
    list(&mut out, &server::notes(findings.arms, &names));
    charts(&mut out, findings, &names);
    measured(&mut out, findings, &names);
    out
}

/// What the page draws, in a few figures each, folded: an issue takes 65,536
/// characters.
fn charts(out: &mut String, findings: &Findings<'_>, names: &[String]) {
    let pairs = findings.comparison.into_iter();
    let blocks = pairs.flat_map(|of| of.pairs.iter().map(move |pair| (of, pair)));
    let blocks = blocks.flat_map(|(of, pair)| drawings::of_blocks(of, pair));
    let all: Vec<Drawing> = blocks.chain(drawings::of_runs(findings, names)).collect();
    let told: Vec<(&Drawing, Sheet)> = all
        .iter()
        .filter_map(|drawing| Some((drawing, drawing.in_brief()?)))
        .collect();
    if told.is_empty() {
        return;
    }
    out.push_str(
        "\n<details><summary>block by block, distributions, over time, lengths (some figures of \
         each; all of them, and each request, are on the page that --html writes)</summary>\n",
    );
    for (drawing, brief) in told {
        heading(out, &drawing.title);
        sheet(out, &brief);
    }
    out.push_str("\n</details>\n");
}

/// The arms at a glance.
fn sheet_of_arms(out: &mut String, findings: &Findings<'_>, names: &[String]) {
    out.push('\n');
    sheet(out, &glance::sheet(findings, names));
}

fn judgement(out: &mut String, findings: &Findings<'_>, names: &[String]) {
    if findings.verdict.is_valid() {
        out.push_str("## VALID\n");
        return;
    }
    let count = u64::try_from(findings.verdict.reasons.len()).unwrap_or(u64::MAX);
    out.push_str(&format!(
        "## INVALID: {}\n\n",
        counted(count, "reason", "reasons")
    ));
    for (place, reason) in (1..).zip(&findings.verdict.reasons) {
        let arm = reason.arm.and_then(|arm| names.get(arm));
        let about = arm.map_or(String::new(), |name| format!("{name}: "));
        let rule = match reason.rule {
            0 => String::new(),
            rule => format!(" (rule {rule})"),
        };
        out.push_str(&format!(
            "{place}. {}\n   *cure:* {}\n",
            escaped(&format!("{about}{}{rule}", reason.text)),
            escaped(&reason.cure)
        ));
    }
}

fn heading(out: &mut String, title: &str) {
    out.push_str(&format!("\n### {}\n\n", escaped(title)));
}

fn list(out: &mut String, notes: &[String]) {
    if !notes.is_empty() {
        out.push('\n');
    }
    for note in notes {
        out.push_str(&format!("- {}\n", escaped(note)));
    }
}

fn sheet(out: &mut String, sheet: &Sheet) {
    let row = |out: &mut String, cells: &[String]| {
        out.push('|');
        for cell in cells {
            out.push_str(&format!(" {cell} |"));
        }
        out.push('\n');
    };
    let columns = sheet.head.len();
    let head: Vec<String> = sheet.head.iter().map(|cell| escaped(cell)).collect();
    row(out, &head);
    let rule: Vec<String> = (0..columns)
        .map(|place| if place == 0 { ":--" } else { "--:" }.to_owned())
        .collect();
    row(out, &rule);
    for line in &sheet.lines {
        let (name, cells) = match line {
            Line::Section(title) => (format!("**{}**", escaped(title)), &[][..]),
            Line::Row(name, cells) => (escaped(name), cells.as_slice()),
        };
        let cells = cells.iter().map(|cell| escaped(cell));
        let whole: Vec<String> = std::iter::once(name)
            .chain(cells.chain(std::iter::repeat(String::new())))
            .take(columns)
            .collect();
        row(out, &whole);
    }
}

/// How it was measured and how to do it again, folded.
fn measured(out: &mut String, findings: &Findings<'_>, names: &[String]) {
    out.push_str("\n<details><summary>how it was measured</summary>\n\n");
    sheet(out, &setup::sheet(findings, names));
    let commands = setup::commands(findings);
    if !commands.is_empty() {
        out.push_str("\nMeasured with:\n\n");
        let fence = "`".repeat(longest_fence(&commands).max(2) + 1);
        out.push_str(&format!("{fence}sh\n{}\n{fence}\n", commands.join("\n")));
    }
    out.push_str("\n</details>\n");
}

/// The longest run of backticks in any of the lines.
fn longest_fence(lines: &[String]) -> usize {
    let runs = lines.iter().flat_map(|line| line.split(|c| c != '`'));
    runs.map(str::len).max().unwrap_or(0)
}

/// Text that Markdown takes for what it is. ASCII punctuation may be escaped by
/// a backslash (CommonMark 0.31, section 2.4); an invisible character (U+200B)
/// keeps GitHub from finding a mention (`@name`), a reference (`#1`) or a link.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '!' | '$' | '^' | '{'
            | '}' => {
                out.push('\\');
                out.push(letter);
            }
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("@\u{200b}"),
            '#' => out.push_str("\\#\u{200b}"),
            ':' if letters.peek() == Some(&'/') => out.push_str(":\u{200b}"),
            letter if is_steering(letter) => out.push(' '),
            letter => out.push(letter),
        }
    }
    out.replace("www.", "www\u{200b}.")
}

#[cfg(test)]
mod tests {
    use super::{escaped, longest_fence};

    #[test]
    fn nothing_foreign_becomes_markup() {
        for (text, expected) in [
            ("tis (2)", "tis (2)"),
            ("a|b", "a\\|b"),
            ("<img src=x>", "\\<img src=x\\>"),
            ("*a* `b` [c](d)", "\\*a\\* \\`b\\` \\[c\\](d)"),
            ("@someone", "@\u{200b}someone"),
            ("fixes #12", "fixes \\#\u{200b}12"),
            ("https://x.y", "https:\u{200b}//x.y"),
            ("a\nb", "a b"),
            ("a\u{202e}b", "a b"),
            ("&lt;", "&amp;lt;"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn a_fence_is_longer_than_any_in_it() {
        let lines = ["a ``` b".to_owned(), "````".to_owned()];
        assert_eq!(longest_fence(&lines), 4);
        assert_eq!(longest_fence(&[]), 0);
    }
}
