//! Every column of the CSV row against the JSON.

use serde_json::Value;

use super::expected::figure;
use crate::report::{Findings, csv};
use crate::stats::labels;

/// Where the JSON has a number of the row, what it is divided by and with how many
/// decimals it is shown; `None`: the column holds words.
fn number(column: &str) -> Option<(String, f64, usize)> {
    let (name, part) = column.split_once('(').unwrap_or((column, ""));
    let part = part.split(')').next().unwrap_or("");
    let pointer = match name {
        "RPS" => "/figures/requests_per_s",
        "RPM" => "/figures/requests_per_min",
        "throughput" if part == "out tok/s" => "/figures/output_tokens_per_s",
        "throughput" => "/figures/total_tokens_per_s",
        "prompt_tokens" => "/figures/tokens/prompt_tokens",
        "completion_tokens" => "/figures/tokens/generated_tokens",
        "requested_tokens" => "/figures/tokens/requested_tokens",
        "failed" => "/figures/requests/failed",
        "elapsed" => "/figures/elapsed_ns",
        "in_flight_peak" => "/figures/client/in_flight_peak",
        "slip_p99" => "/figures/slip_ns/p99",
        "client_cpu" => "/figures/client/cpu_percent",
        "batch" => "/setup/concurrency",
        "num_prompts" => "/setup/num_prompts",
        "seed" => "/setup/seed",
        "FTL" | "TPOT" | "ITL" | "E2E" | "first_event" => "",
        _ => return None,
    };
    let latency = match name {
        "FTL" => "ttft",
        "first_event" => "first_event",
        "TPOT" => "tpot",
        "ITL" => "itl",
        _ => "e2e",
    };
    let of = if part == "ave" { "mean" } else { part };
    let pointer = match pointer {
        "" => format!("/figures/{latency}_ns/{of}"),
        pointer => pointer.to_owned(),
    };
    let scale = if pointer.contains("_ns") { 1e9 } else { 1.0 };
    let decimals = match (name, part) {
        ("RPS" | "RPM" | "throughput", _) | ("FTL", "ave" | "min" | "max") => 3,
        ("client_cpu", _) => 1,
        _ if scale > 1.0 => 6,
        _ => 0,
    };
    Some((pointer, scale, decimals))
}

/// Words of the row that the JSON has elsewhere.
fn words(column: &str) -> Option<&'static str> {
    Some(match column {
        "backend" => "/setup/backend",
        "server" => "/setup/server",
        "model" => "/setup/model",
        "prompt_mode" => "/setup/prompt_mode",
        "workload" => "/setup/workload",
        "tool_version" => "/setup/tool_version",
        "started_utc" => "/setup/started_utc",
        _ => return None,
    })
}

/// The source of the count, and how far the texts are off it.
fn source(tokens: &Value) -> String {
    let source = tokens["source"].as_str().unwrap_or("-");
    let count = |name: &str| tokens["recounted"][name].as_f64();
    match (count("wire_tokens"), count("text_tokens")) {
        (Some(wire), Some(text)) if wire != text => {
            format!("{source} (text {:+.1}%)", (text / wire - 1.0) * 100.0)
        }
        _ => source.to_owned(),
    }
}

pub(super) fn agrees_with_csv(findings: &Findings<'_>, report: &Value) {
    for (place, (arm, name)) in findings.arms.iter().zip(labels(findings.arms)).enumerate() {
        let row = csv::row(arm.run, arm.summary, &findings.verdict.of_arm(place));
        let of = &report["arms"][place];
        assert_eq!(of["name"], name.as_str());
        for (column, cell) in csv::HEADER.iter().zip(&row) {
            let at = |pointer: &str| of.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
            if let Some((pointer, scale, decimals)) = number(column) {
                let told = figure(at(&pointer), scale, decimals).replace(',', "");
                assert_eq!(&told, cell, "{name}, {column}");
            } else if let Some(pointer) = words(column) {
                let told = at(pointer).as_str().unwrap_or("");
                let cell = cell.trim_matches('-');
                assert_eq!(told, cell, "{name}, {column}");
            } else {
                match *column {
                    "token_source" => assert_eq!(source(&of["figures"]["tokens"]), *cell),
                    "stream" => assert_eq!(of["setup"]["stream"].to_string(), *cell),
                    "valid" => assert_eq!(report["valid"] == true, cell == "yes", "{name}"),
                    // Looked at where there are some.
                    "reasons" => {
                        assert_eq!(cell == "-" || cell.is_empty(), report["valid"] == true);
                    }
                    other => panic!("{other}: a column that nothing is held against"),
                }
            }
        }
    }
}
