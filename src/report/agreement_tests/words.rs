//! Sentences as every form has to say them: those of the JSON report, looked for in
//! the others, caveats and conditions above all.

use serde_json::Value;

use super::super::{Findings, html, json, markdown, samples, text};
use super::{agree, agrees_in_words, with_comparison, with_sample};
use crate::record::Run;
use crate::stats::{
    Arm, Comparison, Condition, Options, Outcome, PairedBlocks, compare_apart, evaluate,
};

/// A condition of each outcome where the arms are those of most samples: it holds,
/// does not, and is not decided.
pub(super) fn conditions(comparison: &Comparison, runs: &[Run]) -> Vec<Outcome> {
    let (first, last) = (comparison.arms.first(), comparison.arms.last());
    let (Some(first), Some(last)) = (first, last) else {
        return Vec::new();
    };
    let runs: Vec<&Run> = runs.iter().collect();
    let blocks = PairedBlocks::of(&runs);
    let point = comparison
        .pairs
        .last()
        .and_then(|pair| pair.metrics.first()?.ratio);
    let point = point.map_or(1.0, |ratio| ratio.point);
    [
        format!("{last}.throughput > 0.1 * {first}.throughput"),
        format!("{last}.ttft_p99 > 1000s"),
        format!("{last}.throughput < {point} * {first}.throughput"),
    ]
    .iter()
    .filter_map(|text| evaluate(&Condition::parse(text).ok()?, comparison, &blocks).ok())
    .collect()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().expect("a list").clone()
}

/// Everything that the JSON says in words: what was found, what is wrong, what must
/// be known to read it, how a part was found.
pub(super) fn words_of(report: &Value, format: &str) -> Vec<String> {
    let mut words = list(&report["headline"]);
    words.push(report["simulated"].clone());
    words.extend(list(&report["warnings"]));
    words.extend(list(&report["comparison"]["notes"]));
    for reason in list(&report["reasons"]) {
        words.extend([reason["text"].clone(), reason["cure"].clone()]);
    }
    for of in list(&report["waterfalls"]) {
        words.extend(list(&of["parts"]).iter().map(|part| part["source"].clone()));
    }
    // On a terminal they come last, behind all that is printed beside the report.
    if format != "text" {
        let conditions = list(&report["conditions"]);
        words.extend(conditions.iter().map(|of| of["sentence"].clone()));
    }
    let words = words.iter().filter_map(Value::as_str);
    let words: Vec<String> = words.map(plain).collect();
    assert!(words.len() > 5, "{words:?}");
    words
}

/// A page's words on one line, without what its form puts around them.
pub(super) fn plain(page: &str) -> String {
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

fn parsed(findings: &Findings<'_>) -> Value {
    serde_json::from_str(&json::page(findings)).expect("JSON")
}

fn said(list: &Value) -> String {
    let all = list.as_array().expect("a list").iter();
    all.filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_caveat_and_warning_is_in_the_json() {
    let mut runs = samples::experiment(&[0, 1, 4]);
    for run in &mut runs {
        let experiment = run.header.experiment.as_mut().expect("one");
        experiment.duet = true;
        experiment.shared_host = Some("tis and api_server on gpu7".to_owned());
        experiment.precision = Some(0.0001);
    }
    let end = runs[1].end.as_mut().expect("it ended");
    end.cores_busy_ticks = Some(300);
    end.cores_stolen_ticks = Some(100);
    with_sample(&runs, |findings| {
        agree(findings);
        let report = parsed(findings);
        let notes = said(&report["comparison"]["notes"]);
        for part in [
            "Compared over 6 blocks of 160 requests",
            "A difference of up to 2 % counts as none",
            "some answer from one host (tis and api_server on gpu7)",
            "The precision asked for was not reached",
            "intervals of primary metrics hold together",
            "A p99 is taken per block",
        ] {
            assert!(notes.contains(part), "`{part}` is not in: {notes}");
        }
        let warnings = said(&report["warnings"]);
        for part in [
            "The engine is simulated",
            "The host of this virtual machine",
        ] {
            assert!(warnings.contains(part), "`{part}` is not in: {warnings}");
        }
    });
}

#[test]
fn runs_made_apart_are_called_so_in_every_form() {
    let runs = samples::experiment(&[0, 4]);
    let apart = |arms: &[Arm<'_>]| {
        compare_apart(&arms[0], &arms[1], &Options::of(arms[0].run)).expect("the same work")
    };
    with_comparison(
        &runs,
        apart,
        |_| samples::waterfalls(),
        |findings| {
            let report = parsed(findings);
            let notes = said(&report["comparison"]["notes"]);
            assert!(notes.contains("These runs were made apart"), "{notes}");
            agrees_in_words("text", &text::compare(findings), &report);
            agrees_in_words("Markdown", &markdown::page(findings), &report);
            agrees_in_words("HTML", &html::page(findings), &report);
        },
    );
}

#[test]
fn conditions_are_told_with_their_figures() {
    with_sample(&samples::experiment(&[0, 4]), |findings| {
        let report = parsed(findings);
        let all = list(&report["conditions"]);
        let outcomes: Vec<_> = all.iter().map(|of| of["outcome"].as_str()).collect();
        assert_eq!(
            outcomes,
            ["holds", "does_not_hold", "undecided"].map(Some),
            "{all:?}"
        );
        let units: Vec<_> = all.iter().map(|of| of["unit"].as_str()).collect();
        assert_eq!(units, ["ratio", "ns", "ratio"].map(Some));
        for of in &all {
            let figure = |key: &str| of[key].as_f64().expect(key);
            assert!(figure("low") <= figure("estimate"), "{of}");
            assert!(figure("estimate") <= figure("high"), "{of}");
            let text = of["condition"].as_str().expect("text");
            assert!(
                of["sentence"].as_str().expect("text").contains(text),
                "{of}"
            );
        }
        assert_eq!(all[1]["threshold"], 1e12);
        let (markdown, html) = (markdown::page(findings), html::page(findings));
        for page in [plain(&markdown), plain(&html)] {
            let at = |word: &str| page.find(word).expect(word);
            assert!(at("FAILED: 'api_server.throughput > 0.1") < at("Not failed: "));
            assert!(at("Not failed: 'api_server.ttft_p99") < at("The engine is simulated"));
        }
        assert!(html.contains("<p class=\"also invalid\">FAILED: "));
    });
}
