//! Text, Markdown, JSON, HTML and CSV of one comparison say the same figures:
//! each row is made anew from the JSON and looked for in the others.

mod charts;
mod expected;
mod server;
mod setup;

use serde_json::Value;

use expected::{arms_rows, compared_rows, figure, glance_rows, waterfall_rows};

use super::{Findings, csv, html, json, markdown, samples, text};
use crate::record::Run;
use crate::stats::{
    Arm, Options, Summary, Waterfall, compare_blocks, judge_together, labels, summarize, waterfalls,
};

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
    let summaries: Vec<Summary> = runs.iter().map(summarize).collect();
    let arms: Vec<Arm<'_>> = runs
        .iter()
        .zip(&summaries)
        .map(|(run, summary)| Arm { run, summary })
        .collect();
    let comparison = compare_blocks(&arms, &Options::of(&runs[0]));
    look(&Findings {
        arms: &arms,
        verdict: &judge_together(&arms),
        comparison: Some(&comparison),
        waterfalls: &made(&arms),
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
    with_sample(&runs, agree);
    with_waterfalls(&runs, waterfalls, agree);
}

fn agree(findings: &Findings<'_>) {
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
    assert!(
        groups.iter().map(Vec::len).sum::<usize>() > 50
            && groups.iter().all(|rows| rows.len() > 10)
    );
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
            let wanted = match *format {
                // Lines of text are broken within a value.
                "text" => plain(page).contains(&format!("{name} {value}")),
                _ => has(&rows, &[name.to_owned(), value.clone()]),
            };
            assert!(wanted, "{format} lacks {name}: `{value}`: {rows:#?}");
        }
        for said in words_of(&report) {
            assert!(plain(page).contains(&said), "{format} lacks `{said}`");
        }
    }
    agrees_with_csv(findings, &report);
}

/// Everything that the JSON says in words: what was found, what is wrong, how a
/// part was found.
fn words_of(report: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let mut words = list(&report["headline"]);
    words.push(report["simulated"].clone());
    for reason in list(&report["reasons"]) {
        words.extend([reason["text"].clone(), reason["cure"].clone()]);
    }
    for of in list(&report["waterfalls"]) {
        words.extend(list(&of["parts"]).iter().map(|part| part["source"].clone()));
    }
    let words = words.iter().filter_map(Value::as_str);
    let words: Vec<String> = words.map(plain).collect();
    assert!(words.len() > 5, "{words:?}");
    words
}

/// A page's words on one line, without what its form puts around them.
fn plain(page: &str) -> String {
    let bare = page
        .replace("<span class=\"n\">", "")
        .replace("</span>", "")
        .replace("&nbsp;", " ")
        .replace("&#39;", "'")
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
        .replace(['\\', '\u{200b}'], "");
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
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

fn agrees_with_csv(findings: &Findings<'_>, report: &Value) {
    for (place, (arm, name)) in findings.arms.iter().zip(labels(findings.arms)).enumerate() {
        let row = csv::row(arm.run, arm.summary, &findings.verdict.of_arm(place));
        let cell = |column: &str| {
            let at = csv::HEADER.iter().position(|name| *name == column);
            row[at.expect("a column")].as_str()
        };
        let figures = &report["arms"][place]["figures"];
        assert_eq!(report["arms"][place]["name"], name.as_str());
        for (column, pointer, scale, decimals) in [
            ("RPS", "/requests_per_s", 1.0, 3),
            ("RPM", "/requests_per_min", 1.0, 3),
            ("FTL(ave)(s)", "/ttft_ns/mean", 1e9, 3),
            ("FTL(min)(s)", "/ttft_ns/min", 1e9, 3),
            ("FTL(max)(s)", "/ttft_ns/max", 1e9, 3),
            ("throughput(out tok/s)", "/output_tokens_per_s", 1.0, 3),
            ("throughput(total tok/s)", "/total_tokens_per_s", 1.0, 3),
            ("prompt_tokens", "/tokens/prompt_tokens", 1.0, 0),
            ("completion_tokens", "/tokens/generated_tokens", 1.0, 0),
            ("requested_tokens", "/tokens/requested_tokens", 1.0, 0),
            ("failed", "/requests/failed", 1.0, 0),
            ("elapsed(s)", "/elapsed_ns", 1e9, 6),
            ("FTL(p50)(s)", "/ttft_ns/p50", 1e9, 6),
            ("FTL(p99)(s)", "/ttft_ns/p99", 1e9, 6),
            ("TPOT(ave)(s)", "/tpot_ns/mean", 1e9, 6),
            ("TPOT(p99)(s)", "/tpot_ns/p99", 1e9, 6),
            ("ITL(ave)(s)", "/itl_ns/mean", 1e9, 6),
            ("ITL(p99)(s)", "/itl_ns/p99", 1e9, 6),
            ("E2E(ave)(s)", "/e2e_ns/mean", 1e9, 6),
            ("E2E(p99)(s)", "/e2e_ns/p99", 1e9, 6),
            ("first_event(ave)(s)", "/first_event_ns/mean", 1e9, 6),
            ("in_flight_peak", "/client/in_flight_peak", 1.0, 0),
            ("slip_p99(s)", "/slip_ns/p99", 1e9, 6),
            ("client_cpu(%)", "/client/cpu_percent", 1.0, 1),
        ] {
            let found = figure(figures.pointer(pointer).expect(pointer), scale, decimals);
            assert_eq!(found.replace(',', ""), cell(column), "{name}, {column}");
        }
        assert_eq!(cell("workload"), report["arms"][place]["setup"]["workload"]);
    }
}
