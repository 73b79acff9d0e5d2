//! The report as one HTML file: nothing is fetched, nothing runs, and all words
//! from elsewhere are text. Verdict and headline first, then what they rest on.

mod markup;

use std::collections::BTreeSet;

use super::chart::Whose;
use super::drawings;
use super::findings::Findings;
use super::format::capitalised;
use super::sentences::headline;
use super::tables::{arms, compared, glance, server, setup, waterfall};
use crate::stats::words::counted;
use crate::stats::{Holds, Waterfall};
pub(super) use markup::escape;
use markup::{Page, command, legend, running};

/// The whole page. Ends with a line feed.
#[must_use]
pub fn page(findings: &Findings<'_>) -> String {
    let names = findings.names();
    let mut page = Page::new(&title(findings, &names));
    judgement(&mut page, findings, &names);
    page.sheet("The arms at a glance", &glance::sheet(findings, &names));
    comparison(&mut page, findings);
    waterfalls(&mut page, findings, &names);
    page.section("The arms");
    let plain_ratios = findings.plain_ratios();
    let arms: Vec<Whose> = (0..names.len()).map(Whose::Arm).collect();
    page.raw(&legend(&names, &arms));
    let figures = arms::sheet(findings.arms, &names, plain_ratios);
    page.sheet("The arms", &figures);
    page.notes(&arms::notes(findings.arms, &names, plain_ratios));
    servers(&mut page, findings, &names);
    page.section("Request by request, and over time");
    page.drawings(&drawings::of_runs(findings, &names), &names);
    measured(&mut page, findings, &names);
    page.finish(findings.arms.first().map(|arm| &arm.run.header))
}

fn title(findings: &Findings<'_>, names: &[String]) -> String {
    format!("{}: {}", word(findings), names.join(" against "))
}

fn word(findings: &Findings<'_>) -> &'static str {
    if findings.verdict.is_valid() {
        "VALID"
    } else {
        "INVALID"
    }
}

fn judgement(page: &mut Page, findings: &Findings<'_>, names: &[String]) {
    let reasons = &findings.verdict.reasons;
    let count = u64::try_from(reasons.len()).unwrap_or(u64::MAX);
    if reasons.is_empty() {
        page.raw("<h1 class=\"valid\">VALID</h1>");
    } else {
        let count = counted(count, "reason", "reasons");
        page.raw(&format!(
            "<h1 class=\"invalid\">INVALID: {count}</h1><ol class=\"why\">"
        ));
        for reason in reasons {
            let arm = reason.arm.and_then(|arm| names.get(arm));
            let about = arm.map_or(String::new(), |name| format!("{name}: "));
            let rule = match reason.rule {
                0 => String::new(),
                rule => format!(" (rule {rule})"),
            };
            page.raw(&format!(
                "<li>{}<br><b>cure:</b> {}</li>",
                running(&format!("{about}{}{rule}", reason.text)),
                running(&reason.cure)
            ));
        }
        page.raw("</ol>");
    }
    for (place, sentence) in headline(findings).iter().enumerate() {
        let class = if place == 0 { "headline" } else { "also" };
        page.paragraph(class, sentence);
    }
    for (line, of) in findings.decided().iter().zip(findings.conditions) {
        let class = match of.holds {
            Holds::Yes => "also invalid",
            Holds::No | Holds::Undecided => "also",
        };
        page.paragraph(class, line);
    }
    for warning in findings.warnings() {
        page.paragraph("warning", &warning);
    }
}

fn comparison(page: &mut Page, findings: &Findings<'_>) {
    let Some(comparison) = findings.comparison else {
        return;
    };
    page.section("How large the difference is, and how sure that is");
    page.notes(&compared::notes(comparison, findings.arms));
    for (table, pair) in compared::tables(comparison).iter().zip(&comparison.pairs) {
        page.raw(&format!("<h3>{}</h3>", escape(&table.title)));
        let drawn = drawings::of_blocks(comparison, pair);
        page.beside(&table.title, &table.sheet, &drawn, &comparison.arms);
    }
}

fn waterfalls(page: &mut Page, findings: &Findings<'_>, names: &[String]) {
    if findings.waterfalls.is_empty() {
        return;
    }
    page.section("Where the difference comes from");
    if let Some(steps) = waterfall::steps(findings.waterfalls, names) {
        let title = capitalised(waterfall::STEPS);
        page.raw(&format!("<h3>{}</h3>", escape(&title)));
        page.sheet(&title, &steps);
    }
    let mut said = BTreeSet::new();
    for of in findings.waterfalls {
        let drawn = super::chart::waterfall::draw(of, names);
        page.spread(&drawn, &notes(of, &mut said));
    }
}

/// How the parts of a gap were found, but for what was said of another gap word
/// for word: many arms have many steps, most of them alike.
fn notes(of: &Waterfall, said: &mut BTreeSet<String>) -> Vec<String> {
    let mut notes: Vec<String> = waterfall::without_shares(of).into_iter().collect();
    let mut again = false;
    for note in waterfall::found(of) {
        match said.insert(note.clone()) {
            true => notes.push(note),
            false => again = true,
        }
    }
    if again {
        notes.push("The other parts: found as said above".to_owned());
    }
    notes
}

fn servers(page: &mut Page, findings: &Findings<'_>, names: &[String]) {
    let tables = server::tables(findings.arms, names);
    if tables.is_empty() {
        return;
    }
    page.section(&capitalised(server::HEADING));
    for (title, sheet) in &tables {
        let title = capitalised(title);
        page.raw(&format!("<h3>{}</h3>", escape(&title)));
        page.sheet(&title, sheet);
    }
    page.notes(&server::notes(findings.arms, names));
}

fn measured(page: &mut Page, findings: &Findings<'_>, names: &[String]) {
    page.section("How it was measured");
    page.sheet_of_words("How it was measured", &setup::sheet(findings, names));
    let commands: Vec<String> = setup::commands(findings)
        .iter()
        .map(|line| command(line))
        .collect();
    if !commands.is_empty() {
        page.raw(&format!(
            "<p>To repeat it:</p><pre>{}</pre>",
            commands.join("\n")
        ));
    }
}
