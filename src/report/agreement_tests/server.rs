//! What the servers say of themselves, made anew from the JSON.

use serde_json::Value;

use super::expected::figure;
use super::{Rows, agree, with_sample};
use crate::report::{json, samples, text};

/// A row for each model, histogram and total of each arm.
pub(super) fn rows(report: &Value) -> Rows {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |of: &Value| of["name"].as_str().expect("a name").to_owned();
    let mut rows = Rows::new();
    for arm in list(&report["arms"]) {
        let server = &arm["figures"]["server"];
        for of in list(&server["models"]) {
            let counts = ["calls", "failed_calls"].map(|key| figure(&of[key], 1.0, 0));
            let times = [
                "queue_ns",
                "compute_input_ns",
                "compute_infer_ns",
                "compute_output_ns",
                "whole_ns",
            ]
            .map(|key| figure(&of[key], 1e6, 3));
            let cells = counts.into_iter().chain(times);
            rows.push(std::iter::once(name(&of)).chain(cells).collect());
        }
        for of in list(&server["histograms"]) {
            let name = name(&of);
            let [ms, plain] = match name.ends_with("_seconds") {
                true => [figure(&of["mean"], 1e-3, 3), "-".to_owned()],
                false => ["-".to_owned(), figure(&of["mean"], 1.0, 2)],
            };
            rows.push(vec![name, figure(&of["count"], 1.0, 0), ms, plain]);
        }
        for of in list(&server["totals"]) {
            let whole = of["value"].as_f64().expect("a number").fract() == 0.0;
            let value = figure(&of["value"], 1.0, if whole { 0 } else { 2 });
            rows.push(vec![name(&of), value, "-".to_owned(), "-".to_owned()]);
        }
    }
    rows
}

/// Six blocks of 160 calls, the n-th (from 0) 1 + n/37 times as long as the first
/// one: on average 1 + 2.5/37.
#[test]
fn known_counters_stand_in_every_form() {
    with_sample(&samples::experiment(&[0, 4, 2]), |findings| {
        agree(findings);
        let report: Value = serde_json::from_str(&json::page(findings)).expect("JSON");
        let rows = rows(&report);
        let row = |name: &str| {
            let found = rows.iter().find(|row| row[0] == name);
            found.expect("a row")[1..].join(" ")
        };
        for (name, expected) in [
            ("preprocessing", "960 0 0.448 0.059 1.591 0.023 2.146"),
            ("postprocessing", "33,600 3 0.224 0.052 1.633 0.018 1.954"),
            ("turbomind", "960 0 0.013 0.033 1.441 0.004 1.516"),
            ("lmdeploy:request_queue_time_seconds", "960 1.379 -"),
            ("lmdeploy:request_prompt_tokens", "960 - 179.84"),
            ("lmdeploy:generation_tokens_total", "34,176 - -"),
            ("process_cpu_seconds_total", "19.02 - -"),
        ] {
            assert_eq!(row(name), expected, "{name}");
        }
        let page = super::plain(&text::compare(findings));
        assert!(!page.contains("num_requests_running") && !page.contains("_bucket"));
        for said in [
            "tis-chatbot: the times of turbomind end before the tokens had come",
            "Of a decoupled model, one that streams, a call is counted once",
        ] {
            assert!(page.contains(said), "{page}");
        }
    });
}

#[test]
fn blocks_whose_counters_are_missing_are_told() {
    let mut runs = samples::experiment(&[0, 4, 2]);
    for block in &mut runs[2].blocks {
        block.server_counters.clear();
    }
    runs[1].blocks[3].server_counters.clear();
    let fallen = runs[0].blocks[5]
        .server_counters
        .get_mut("turbomind.queue_ns");
    *fallen.expect("counted") = -1.0;
    with_sample(&runs, |findings| {
        agree(findings);
        let page = super::plain(&text::compare(findings));
        assert!(
            page.contains("api_server: read over 5 of 6 blocks"),
            "{page}"
        );
        assert!(page.contains("tis-chatbot: a counter fell"), "{page}");
        assert!(!page.contains("the server of tis-ensemble says"), "{page}");
        let report: Value = serde_json::from_str(&json::page(findings)).expect("JSON");
        assert_eq!(report["arms"][2]["figures"]["server"], Value::Null);
        assert_eq!(report["arms"][1]["figures"]["server"]["blocks_read"], 5);
        assert_eq!(report["arms"][0]["figures"]["server"]["fell"], true);
    });
}
