//! The tables below the page's charts hold the same figures as the JSON, or, where
//! it has none, as the records.

use serde_json::Value;

use super::expected::{figure, waterfall_rows};
use super::{Rows, has, rows_of_html, rows_of_markdown, with_waterfalls};
use crate::record::Run;
use crate::report::{Findings, html, json, markdown, samples};
use crate::stats::waterfalls;

/// Title and table of every chart on the page.
fn charts(page: &str) -> Vec<(String, Rows)> {
    let figures = page.split("<figure").skip(1);
    let title = |figure: &str| {
        let (_, after) = figure.split_once("<figcaption>").expect("a title");
        after.split('<').next().unwrap_or("").to_owned()
    };
    figures
        .map(|figure| {
            let (figure, _) = figure.split_once("</figure>").expect("an end");
            assert!(figure.contains("<svg viewBox") && figure.contains("<title>"));
            (title(figure), rows_of_html(figure))
        })
        .collect()
}

fn chart<'a>(charts: &'a [(String, Rows)], words: &[&str]) -> &'a Rows {
    let named = |title: &str| words.iter().all(|word| title.contains(word));
    let mut found = charts.iter().filter(|(title, _)| named(title));
    let (_, rows) = found.next().unwrap_or_else(|| panic!("no chart {words:?}"));
    assert!(found.next().is_none(), "several charts {words:?}");
    rows
}

#[test]
fn every_chart_has_the_reports_figures_as_a_table() {
    let runs = samples::experiment(&[0, 4, 1, 3]);
    with_waterfalls(&runs, waterfalls, |findings| {
        let report: Value = serde_json::from_str(&json::page(findings)).expect("JSON");
        let charts = charts(&html::page(findings));
        blocks(&charts, &report);
        distributions(&charts, &report);
        in_waterfalls(&charts, &report);
        scatters(&charts, findings, &runs);
        courses(&charts, &report);
        lengths(&charts, &report);
        briefly(&charts, &markdown::page(findings));
    });
}

/// Markdown's rows, folded, are some of those of the page's charts.
fn briefly(charts: &[(String, Rows)], page: &str) {
    let (_, folded) = page
        .split_once("<details><summary>block by block")
        .expect("folded");
    let (folded, _) = folded.split_once("</details>").expect("an end");
    let sections: Vec<&str> = folded.split("### ").skip(1).collect();
    // Blocks of three pairs; TTFT, ITL, two courses, lengths.
    assert_eq!(sections.len(), 3 + 5, "{folded}");
    for section in sections {
        let title = section.lines().next().unwrap_or("").replace('\\', "");
        let rows = rows_of_markdown(section);
        assert!(rows.len() > 5, "{section}");
        let all = chart(charts, &[&title]);
        // The head and the line below it aside.
        for row in rows.iter().skip(2) {
            assert!(all.contains(row), "{title} lacks {row:?}");
        }
    }
}

/// An arm whose tokens no wire tells has them from the answers' texts, by block:
/// a job that is played twice has two counts.
#[test]
fn tokens_counted_from_text_are_drawn() {
    let mut runs = samples::experiment(&[0, 4]);
    let run = &mut runs[1];
    run.recount.answers.clear();
    for record in &mut run.records {
        let tokens = record.completion_tokens.take().expect("counted");
        run.recount.in_blocks.push((record.key(), tokens, 1));
        record.token_source = None;
        for mark in &mut record.marks {
            mark.tokens = 0;
        }
    }
    with_waterfalls(&runs, waterfalls, |findings| {
        let report: Value = serde_json::from_str(&json::page(findings)).expect("JSON");
        let charts = charts(&html::page(findings));
        courses(&charts, &report);
        lengths(&charts, &report);
    });
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn name<'a>(report: &'a Value, place: &Value) -> &'a str {
    let place = usize::try_from(place.as_u64().expect("a place")).expect("small");
    report["arms"][place]["name"].as_str().expect("a name")
}

fn blocks(charts: &[(String, Rows)], report: &Value) {
    for pair in list(&report["comparison"]["pairs"]) {
        let against = format!("{} against", name(report, &pair["other"]));
        let rows = chart(charts, &["Output tokens/s of", &against, "block by block"]);
        let ratios = list(&pair["metrics"][0]["ratio_by_block"]);
        assert_eq!((ratios.len(), rows.len()), (6, 7));
        for (block, ratio) in ratios.iter().enumerate() {
            let percent = ratio.as_f64().expect("a ratio") * 100.0 - 100.0;
            let wanted = [
                block.to_string(),
                figure(ratio, 1.0, 4),
                format!("{percent:.2}"),
            ];
            assert!(has(rows, &wanted), "{wanted:?}: {rows:?}");
        }
    }
}

/// Shares of the samples against the JSON's percentiles.
fn distributions(charts: &[(String, Rows)], report: &Value) {
    for (title, spread, decimals) in [("(TTFT, FTL)", "ttft_ns", 2), ("(ITL)", "itl_ns", 3)] {
        let rows = chart(charts, &[title]);
        for (share, key) in [
            ("0.0", "min"),
            ("50.0", "p50"),
            ("90.0", "p90"),
            ("99.0", "p99"),
            ("100.0", "max"),
        ] {
            let of = |arm: &Value| figure(&arm["figures"][spread][key], 1e6, decimals);
            let cells = list(&report["arms"]).iter().map(of);
            let wanted: Vec<String> = std::iter::once(share.to_owned()).chain(cells).collect();
            assert!(has(rows, &wanted), "{title} lacks {wanted:?}: {rows:?}");
        }
    }
}

fn in_waterfalls(charts: &[(String, Rows)], report: &Value) {
    let drawn: Vec<&Rows> = charts
        .iter()
        .filter(|(title, _)| title.contains(" to ") && !title.ends_with(')'))
        .map(|(_, rows)| rows)
        .collect();
    assert_eq!(drawn.len(), list(&report["waterfalls"]).len());
    for wanted in waterfall_rows(report) {
        assert!(drawn.iter().any(|rows| has(rows, &wanted)), "{wanted:?}");
    }
}

/// Points against the records of both arms.
fn scatters(charts: &[(String, Rows)], findings: &Findings<'_>, runs: &[Run]) {
    let shown = |run: &Run, index: u32| {
        let mut records = run.records.iter();
        let record = records.find(|record| record.index == index).expect("it");
        let ms = (record.end_ns - record.issued_ns) as f64 / 1e6;
        figure(&Value::from(ms), 1.0, 2)
    };
    for (place, label) in findings.names().iter().enumerate().skip(1) {
        let against = format!("{label} against");
        let rows = chart(charts, &["E2E of the same request", &against]);
        assert!(rows.len() > 50, "{label}: {}", rows.len());
        for row in rows.iter().skip(1) {
            let index = row[0].parse().expect("a request");
            let wanted = [shown(&runs[0], index), shown(&runs[place], index)];
            assert_eq!(row[1..], wanted, "request {index} of {label}");
        }
    }
}

/// Tokens per second, summed over the slices, are the tokens.
fn courses(charts: &[(String, Rows)], report: &Value) {
    let rows = chart(charts, &["Output tokens/s over time"]);
    let number = |cell: &String| cell.replace(',', "").parse::<f64>().unwrap_or(0.0);
    let slice_s = number(&rows[2][0]) - number(&rows[1][0]);
    for (place, arm) in list(&report["arms"]).iter().enumerate() {
        let cells = rows.iter().skip(1).map(|row| number(&row[place + 1]));
        let tokens = cells.sum::<f64>() * slice_s;
        let told = arm["figures"]["tokens"]["generated_tokens"].as_f64();
        let off = tokens / told.expect("a count") - 1.0;
        // The slice's length is told in milliseconds.
        assert!(off.abs() < 0.0005 / slice_s + 0.001, "{arm}: {tokens}");
    }
}

/// Every arm has a curve of what it generated, around its mean.
fn lengths(charts: &[(String, Rows)], report: &Value) {
    let rows = chart(charts, &["Lengths"]);
    for arm in list(&report["arms"]) {
        let head = format!("{}, tokens", arm["name"].as_str().expect("a name"));
        let column = rows[0].iter().position(|cell| *cell == head);
        let column = column.unwrap_or_else(|| panic!("no {head}: {:?}", rows[0]));
        let number = |row: &Vec<String>| row[column].parse::<f64>().expect("a number");
        let (least, most) = (number(&rows[1]), number(&rows[rows.len() - 1]));
        let told = |pointer: &str| arm["figures"].pointer(pointer).and_then(Value::as_f64);
        let mean = told("/tokens/generated_tokens").expect("a count")
            / told("/requests/finished").expect("a count");
        assert!(least <= mean && mean <= most, "{head}: {least} to {most}");
    }
}
