//! Text, Markdown, JSON, HTML and CSV of one comparison say the same figures:
//! each row is made anew from the JSON and looked for in the others.

use serde_json::Value;

use super::{Findings, csv, html, json, markdown, samples, text};
use crate::record::Run;
use crate::stats::{Arm, Options, Summary, compare_blocks, judge_together, labels, summarize};

type Rows = Vec<Vec<String>>;

/// Calls `look` with the findings of the sample experiment.
pub(super) fn with_sample<T>(runs: &[Run], look: impl FnOnce(&Findings<'_>) -> T) -> T {
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
        waterfalls: &samples::waterfalls(),
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

fn rows_of_html(page: &str) -> Rows {
    let plain = |markup: &str| {
        let text: String = markup
            .split('<')
            .map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text))
            .collect();
        text.replace("&#39;", "'")
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

/// A figure with grouped thousands, by other means than the report's.
fn figure(value: &Value, scale: f64, decimals: usize) -> String {
    let Some(number) = value.as_f64() else {
        return "-".to_owned();
    };
    let text = format!("{:.decimals$}", number / scale);
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let (sign, digits) = whole
        .strip_prefix('-')
        .map_or(("", whole), |rest| ("-", rest));
    let backwards: Vec<char> = digits.chars().rev().collect();
    let groups: Vec<String> = backwards
        .chunks(3)
        .map(|group| group.iter().collect())
        .collect();
    let grouped: String = groups.join(",").chars().rev().collect();
    match part {
        "" => format!("{sign}{grouped}"),
        part => format!("{sign}{grouped}.{part}"),
    }
}

/// Rows of the comparison, from the JSON.
fn compared_rows(report: &Value) -> Rows {
    let mut rows = Vec::new();
    for pair in report["comparison"]["pairs"].as_array().expect("pairs") {
        for of in pair["metrics"].as_array().expect("metrics") {
            rows.push(vec![
                figure(&of["ratio"], 1.0, 4),
                format!(
                    "{} to {}",
                    figure(&of["ratio_low"], 1.0, 4),
                    figure(&of["ratio_high"], 1.0, 4)
                ),
            ]);
        }
    }
    rows
}

/// Rows of the arms' table, from the JSON: name, then a cell per arm.
fn arms_rows(report: &Value) -> Rows {
    let arms = report["arms"].as_array().expect("arms");
    let row = |name: &str, pointer: &str, scale: f64, decimals: usize| -> Vec<String> {
        let cell = |arm: &Value| {
            figure(
                arm["figures"].pointer(pointer).unwrap_or(&Value::Null),
                scale,
                decimals,
            )
        };
        std::iter::once(name.to_owned())
            .chain(arms.iter().map(cell))
            .collect()
    };
    let mut rows = vec![
        row("output tokens/s", "/output_tokens_per_s", 1.0, 1),
        row("total tokens/s", "/total_tokens_per_s", 1.0, 1),
        row("requests/s", "/requests_per_s", 1.0, 2),
        row("finished", "/requests/finished", 1.0, 0),
        row("failed", "/requests/failed", 1.0, 0),
        row("prompt tokens", "/tokens/prompt_tokens", 1.0, 0),
        row("as server counts", "/tokens/server_prompt_tokens", 1.0, 0),
        row("generated tokens", "/tokens/generated_tokens", 1.0, 0),
        row("tokens per message", "/messages/mean_tokens", 1.0, 2),
        row("slip p99, ms", "/slip_ns/p99", 1e6, 2),
        row("most in flight", "/client/in_flight_peak", 1.0, 0),
        row("CPU, % of a core", "/client/cpu_percent", 1.0, 1),
        row("client (in no hop)", "/way/client_ns", 1e6, 2),
        row("together, mean", "/way/whole_ns", 1e6, 2),
        row("first event mean", "/first_event_ns/mean", 1e6, 2),
    ];
    for (name, key, parts) in [
        ("FTL", "ttft_ns", &["mean", "p50", "p99"][..]),
        ("TPOT", "tpot_ns", &["mean", "p99"]),
        ("ITL", "itl_ns", &["mean", "p99"]),
        ("E2E", "e2e_ns", &["mean", "p50", "p99"]),
    ] {
        for part in parts {
            rows.push(row(
                &format!("{name} {part}"),
                &format!("/{key}/{part}"),
                1e6,
                2,
            ));
        }
    }
    rows
}

/// Rows of the waterfalls, from the JSON: figure and interval.
fn waterfall_rows(report: &Value) -> Rows {
    let mut rows = Vec::new();
    for of in report["waterfalls"].as_array().expect("waterfalls") {
        let parts = of["parts"]
            .as_array()
            .expect("parts")
            .iter()
            .map(|part| &part["ns"]);
        let whole = ["slow_ns", "fast_ns", "gap_ns", "rest_ns"].map(|key| &of[key]);
        for one in parts.chain(whole) {
            let interval = match one["low"] {
                Value::Null => "-".to_owned(),
                _ => format!(
                    "{} to {}",
                    figure(&one["low"], 1e6, 3),
                    figure(&one["high"], 1e6, 3)
                ),
            };
            rows.push(vec![figure(&one["mean"], 1e6, 3), interval]);
        }
    }
    rows
}

fn has(rows: &Rows, wanted: &[String]) -> bool {
    rows.iter()
        .any(|row| row.windows(wanted.len()).any(|cells| cells == wanted))
}

#[test]
fn five_formats_agree_on_every_figure() {
    let runs = samples::experiment(&[0, 4, 1]);
    with_sample(&runs, |findings| {
        let report: Value = serde_json::from_str(&json::page(findings)).expect("JSON");
        let pages = [
            ("text", rows_of_text(&text::compare(findings))),
            ("Markdown", rows_of_markdown(&markdown::page(findings))),
            ("HTML", rows_of_html(&html::page(findings))),
        ];
        let groups = [
            compared_rows(&report),
            arms_rows(&report),
            waterfall_rows(&report),
        ];
        assert!(
            groups.iter().map(Vec::len).sum::<usize>() > 50
                && groups.iter().all(|rows| rows.len() > 10)
        );
        for (format, rows) in &pages {
            for wanted in groups.iter().flatten() {
                assert!(has(rows, wanted), "{format} lacks {wanted:?}: {rows:#?}");
            }
        }
        let headline = report["headline"][0].as_str().expect("a headline");
        let words = |page: &str| page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words(&text::compare(findings)).contains(headline),
            "{headline}"
        );
        assert!(html::page(findings).contains(&html::escape(headline)));
        agrees_with_csv(findings, &report);
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
