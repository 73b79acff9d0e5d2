//! How it was measured, as every form has to say it, made anew from the JSON.

use serde_json::Value;

use super::agree;
use super::expected::{figure, metric_words};
use super::with_sample;
use crate::record::Experiment;
use crate::report::samples;

/// A fact of each arm; where they differ, each with its arms' names.
fn row(report: &Value, name: &'static str, fact: fn(&Value) -> String) -> (&'static str, String) {
    let arms = report["arms"].as_array().expect("arms");
    let mut told: Vec<(String, Vec<&str>)> = Vec::new();
    for arm in arms {
        let (value, of) = (fact(arm), arm["name"].as_str().expect("a name"));
        match told.iter_mut().find(|(known, _)| *known == value) {
            Some((_, with)) => with.push(of),
            None => told.push((value, vec![of])),
        }
    }
    let value = match told.as_slice() {
        [(value, _)] => value.clone(),
        several => {
            let each = several
                .iter()
                .map(|(value, with)| format!("[{}] {value}", with.join(", ")));
            each.collect::<Vec<_>>().join("; ")
        }
    };
    (name, value)
}

fn percent(share: &Value) -> String {
    format!(
        "{} %",
        (share.as_f64().expect("a share") * 1e6).round() / 1e4
    )
}

fn words(list: &Value, between: &str) -> Option<String> {
    let list = list.as_array()?.iter();
    let words: Vec<&str> = list.filter_map(Value::as_str).collect();
    Some(words.join(between))
}

/// Rows of the configuration: those that are numbers, and what decides.
pub(super) fn rows(report: &Value) -> Vec<(&'static str, String)> {
    let row = |name, fact| row(report, name, fact);
    vec![
        row("seed", |arm| arm["setup"]["seed"].to_string()),
        row("ramp", |arm| format!("{} ms", arm["setup"]["ramp_ms"])),
        row("failures allowed", |arm| {
            arm["setup"]["max_failed"].to_string()
        }),
        row("time limits", |arm| {
            let of = &arm["setup"]["time_limits"];
            let seconds = |key: &str| of[key].as_f64().expect("a limit") / 1e9;
            format!(
                "connection {} s, first token {} s, from token to token {} s",
                seconds("connect_ns"),
                seconds("first_token_ns"),
                seconds("between_tokens_ns")
            )
        }),
        row("host", |arm| {
            let of = &arm["setup"]["host"];
            format!(
                "{}, {} of {} cores, {}",
                of["cpu"].as_str().expect("a name"),
                of["cores"],
                of["online_cores"],
                of["system"].as_str().expect("a name")
            )
        }),
    ]
    .into_iter()
    .chain(laid_out(report))
    .collect()
}

/// How the comparison was laid out.
fn laid_out(report: &Value) -> Vec<(&'static str, String)> {
    let row = |name, fact| row(report, name, fact);
    vec![
        row("blocks", blocks),
        row("precision wanted", |arm| {
            match &arm["setup"]["experiment"]["precision"] {
                Value::Null => "none named".to_owned(),
                share => percent(share),
            }
        }),
        row("time for blocks", |arm| {
            let of = &arm["setup"]["experiment"];
            let limit = match &of["max_time_s"] {
                Value::Null => "no limit".to_owned(),
                limit => format!(
                    "{} s from the first block's start",
                    limit.as_f64().expect("a time")
                ),
            };
            match of["out_of_time"].as_bool() {
                Some(true) => format!("{limit}; it was up before all were played"),
                _ => limit,
            }
        }),
        row("margin", |arm| {
            percent(&arm["setup"]["experiment"]["margin"])
        }),
        row("decided by", |arm| {
            let primary = &arm["setup"]["experiment"]["primary"];
            let Some(names) = primary.as_array() else {
                return "output tokens/s (none named)".to_owned();
            };
            let key = |name: &Value| match name.as_str().expect("a name") {
                "ttft" => metric_words("ttft_mean"),
                "rps" => metric_words("requests_per_s"),
                other => panic!("{other}: not in the samples"),
            };
            names.iter().map(key).collect::<Vec<_>>().join(", ")
        }),
        row("fails if", |arm| {
            let named = words(&arm["setup"]["experiment"]["fail_if"], "; ");
            named.unwrap_or("no condition named".to_owned())
        }),
    ]
}

fn blocks(arm: &Value) -> String {
    let of = &arm["setup"]["experiment"];
    let wanted = match (of["precision"].is_null(), &of["blocks_wanted"]) {
        (true, _) => format!("{} wanted", of["blocks"]),
        (_, Value::Null) => format!(
            "{} of a pilot, which did not tell how many are wanted",
            of["blocks"]
        ),
        (_, wanted) => format!(
            "{} of a pilot, {wanted} wanted by what it found",
            of["blocks"]
        ),
    };
    let played = &arm["figures"]["blocks"];
    let cut = match played["cut"].as_u64().expect("a number") {
        0 => String::new(),
        cut => format!(" ({cut} of them cut short)"),
    };
    let manner = match of["duet"] == true {
        true => "all arms at the same moment",
        false => "one arm at a time, the order alternating from a seeded start",
    };
    format!(
        "{wanted}, {} played{cut}; {} requests each, {manner}; each led in by one shortened request per slot, \
                 throughput taken while every slot was busy",
        figure(&played["played"], 1.0, 0),
        of["block_requests"]
    )
}

#[test]
fn what_was_wanted_stands_beside_what_was_played() {
    let mut runs = samples::experiment(&[0, 4, 1]);
    for (place, run) in runs.iter_mut().enumerate() {
        let of = run.header.experiment.take().expect("an arm");
        run.header.experiment = Some(Experiment {
            blocks: 4,
            precision: Some(0.015),
            blocks_wanted: Some(9),
            max_time_s: Some(90.5),
            out_of_time: true,
            margin: 0.07,
            primary: ["ttft", "rps"].map(str::to_owned).to_vec(),
            fail_if: vec!["api_server.ttft < 0.9 * tis-chatbot.ttft".to_owned()],
            ..of
        });
        run.blocks[5].cut = place == 1;
    }
    with_sample(&runs, |findings| {
        agree(findings);
        let report: Value =
            serde_json::from_str(&crate::report::json::page(findings)).expect("JSON");
        let rows = rows(&report);
        let found = |name: &str| {
            let row = rows.iter().find(|(of, _)| *of == name);
            row.expect("a row").1.as_str()
        };
        let blocks = found("blocks");
        assert!(
            blocks.starts_with(
                "[tis-chatbot, tis] 4 of a pilot, 9 wanted by what it found, 6 played; 160 requests"
            ) && blocks.contains("6 played (1 of them cut short); 160"),
            "{blocks}"
        );
        for (name, expected) in [
            ("precision wanted", "1.5 %"),
            (
                "time for blocks",
                "90.5 s from the first block's start; it was up before all were played",
            ),
            ("margin", "7 %"),
            ("decided by", "FTL mean, requests/s"),
            ("fails if", "api_server.ttft < 0.9 * tis-chatbot.ttft"),
            (
                "time limits",
                "connection 10 s, first token 600 s, from token to token 1.5 s",
            ),
            (
                "host",
                "AMD EPYC 7B13, 8 of 16 cores, Linux 6.1.0-18-amd64, Debian GNU/Linux 12 (bookworm)",
            ),
        ] {
            assert_eq!(found(name), expected, "{name}");
        }
    });
}

#[test]
fn what_older_records_lack_is_said_to_be_missing() {
    let mut runs = samples::experiment(&[0, 4]);
    for run in &mut runs {
        (run.header.host, run.header.time_limits) = (None, None);
    }
    with_sample(&runs, |findings| {
        let page = crate::report::markdown::page(findings);
        for name in ["time limits", "host"] {
            let line = format!("| {name} | not in these records |");
            assert!(page.contains(&line), "{page}");
        }
    });
}
