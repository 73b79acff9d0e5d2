//! Text, Markdown, JSON, HTML and CSV of one comparison say the same figures:
//! each row is made anew from the JSON and looked for in the others.

mod charts;
mod expected;
mod made_apart;
mod server;
mod setup;
mod spreadsheet;
mod words;

use serde_json::Value;

use expected::{arms_rows, compared_rows, glance_rows, waterfall_rows};
use spreadsheet::agrees_with_csv;

use super::{Findings, csv, html, json, markdown, samples, text};
use crate::record::Run;
use crate::stats::{
    Arm, Comparison, Options, Summary, Waterfall, compare_blocks, judge_together, summarize,
    waterfalls,
};
use words::{conditions, plain, words_of};

pub(super) type Rows = Vec<Vec<String>>;

/// Calls `look` with the findings of the sample experiment.
pub(super) fn with_sample<T>(runs: &[Run], look: impl FnOnce(&Findings<'_>) -> T) -> T {
    with_waterfalls(runs, |_| samples::waterfalls(), look)
}

/// The same with the waterfalls that `made` makes of the arms.
pub(super) fn with_waterfalls<T>(
    runs: &[Run],
    made: fn(&[Arm<'_>]) -> Vec<Waterfall>,
    look: impl FnOnce(&Findings<'_>) -> T,
) -> T {
    let compared = |arms: &[Arm<'_>]| compare_blocks(arms, &Options::of(&runs[0]));
    with_comparison(runs, compared, made, look)
}

/// The same with the comparison that `compared` makes of the arms.
fn with_comparison<T>(
    runs: &[Run],
    compared: impl FnOnce(&[Arm<'_>]) -> Comparison,
    made: fn(&[Arm<'_>]) -> Vec<Waterfall>,
    look: impl FnOnce(&Findings<'_>) -> T,
) -> T {
    let summaries: Vec<Summary> = runs.iter().map(summarize).collect();
    let arms: Vec<Arm<'_>> = runs
        .iter()
        .zip(&summaries)
        .map(|(run, summary)| Arm { run, summary })
        .collect();
    let comparison = compared(&arms);
    look(&Findings {
        arms: &arms,
        verdict: &judge_together(&arms),
        comparison: Some(&comparison),
        waterfalls: &made(&arms),
        conditions: &conditions(&comparison, runs),
    })
}

fn rows_of_text(page: &str) -> Rows {
    page.lines()
        .map(|line| {
            let cells = line.split("  ").map(|cell| cell.trim().to_owned());
            cells.filter(|cell| !cell.is_empty()).collect()
        })
        .collect()
}

fn rows_of_markdown(page: &str) -> Rows {
    let plain = |cell: &str| cell.trim().replace(['\\', '\u{200b}'], "");
    page.lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|line| line.split(" |").map(plain).collect())
        .collect()
}

pub(super) fn rows_of_html(page: &str) -> Rows {
    let plain = |markup: &str| {
        let text: String = markup
            .split('<')
            .map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text))
            .collect();
        text.replace("&nbsp;", " ")
            .replace("&#39;", "'")
            .replace("&lt;", "<")
            .replace("&amp;", "&")
    };
    let cells = |row: &str| {
        row.replace("<th", "<td")
            .split("<td")
            .skip(1)
            .map(|cell| plain(&format!("<td{cell}")))
            .collect()
    };
    page.split("<tr")
        .skip(1)
        .map(|row| cells(row.split("</tr>").next().unwrap_or("")))
        .collect()
}

fn has(rows: &Rows, wanted: &[String]) -> bool {
    rows.iter()
        .any(|row| row.windows(wanted.len()).any(|cells| cells == wanted))
}

#[test]
fn five_formats_agree_on_every_figure() {
    let runs = samples::experiment(&[0, 4, 1, 3]);
    // Parts made by hand, so that there is one of each kind, and those that the
    // arms really have.
    for rows in [
        with_sample(&runs, agree),
        with_waterfalls(&runs, waterfalls, agree),
    ] {
        assert!(rows.iter().sum::<usize>() > 50 && rows.iter().all(|of| *of > 10));
    }
}

/// Says how many rows of each kind there were.
fn agree(findings: &Findings<'_>) -> [usize; 3] {
    let report: Value = serde_json::from_str(&json::page(findings)).expect("JSON");
    let pages = [
        ("text", text::compare(findings)),
        ("Markdown", markdown::page(findings)),
        ("HTML", html::page(findings)),
    ];
    let groups = [
        compared_rows(&report),
        arms_rows(&report),
        waterfall_rows(&report),
    ];
    let told = server::rows(&report);
    assert!(groups.iter().all(|rows| rows.len() > 4));
    for ((format, page), read) in pages
        .iter()
        .zip([rows_of_text, rows_of_markdown, rows_of_html])
    {
        let rows = read(page);
        // A terminal shows the end of what is printed: no glance at the beginning.
        let glance = match *format {
            "text" => Vec::new(),
            _ => glance_rows(&report),
        };
        for wanted in groups.iter().flatten().chain(&glance).chain(&told) {
            assert!(has(&rows, wanted), "{format} lacks {wanted:?}: {rows:#?}");
        }
        for (name, value) in setup::rows(&report) {
            // A terminal has the short form: what was asked of whom.
            let wanted = *format == "text" || has(&rows, &[name.to_owned(), value.clone()]);
            assert!(wanted, "{format} lacks {name}: `{value}`: {rows:#?}");
        }
        agrees_in_words(format, page, &report);
    }
    agrees_with_csv(findings, &report);
    groups.map(|rows| rows.len())
}

/// A page says all that the JSON says in words.
fn agrees_in_words(format: &str, page: &str, report: &Value) {
    let page = plain(page);
    for said in words_of(report, format) {
        assert!(page.contains(&said), "{format} lacks `{said}`");
    }
}

#[test]
fn all_forms_give_the_same_reasons() {
    let mut runs = samples::experiment(&[0, 1, 2]);
    // A chat template on one side, and answers that ended early on another.
    for record in &mut runs[1].records {
        record.server_prompt_tokens = Some(record.prompt_tokens + 28);
    }
    for record in runs[2].records.iter_mut().step_by(7) {
        record.completion_tokens = Some(record.requested_tokens - 5);
        record.ending = Some("stop".to_owned());
    }
    with_sample(&runs, |findings| {
        agree(findings);
        let report: Value = serde_json::from_str(&json::page(findings)).expect("JSON");
        let codes = |arm: Option<usize>| -> Vec<String> {
            let all = report["reasons"].as_array().expect("reasons").iter();
            let concerns = |reason: &&Value| {
                let of = reason["arm"]
                    .as_u64()
                    .and_then(|of| usize::try_from(of).ok());
                of.is_none() || of == arm
            };
            let codes = all.filter(concerns).map(|reason| &reason["code"]);
            codes.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        assert!(codes(Some(1)).len() > codes(None).len(), "{report}");
        let column = |name: &str| csv::HEADER.iter().position(|of| *of == name).expect("it");
        for (place, arm) in findings.arms.iter().enumerate() {
            let row = csv::row(arm.run, arm.summary, &findings.verdict.of_arm(place));
            for code in codes(Some(place)) {
                assert!(row[column("reasons")].contains(&code), "{code}: {row:?}");
            }
            assert_eq!(row[column("valid")], "no", "{row:?}");
        }
    });
}
