//! Rows as every form has to show them, made anew from the JSON report by other
//! means than the report's own.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Rows;

/// A figure with grouped thousands, by other means than the report's.
pub(super) fn figure(value: &Value, scale: f64, decimals: usize) -> String {
    let Some(number) = value.as_f64() else {
        return "-".to_owned();
    };
    let text = format!("{:.decimals$}", number / scale);
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let (sign, digits) = whole
        .strip_prefix('-')
        .map_or(("", whole), |rest| ("-", rest));
    // Nothing is neither above nor below zero.
    let sign = match text.contains(|letter| matches!(letter, '1'..='9')) {
        true => sign,
        false => "",
    };
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

/// What the tables call a metric of the JSON.
pub(super) fn metric_words(key: &str) -> &str {
    match key {
        "output_tokens_per_s" => "output tokens/s",
        "total_tokens_per_s" => "total tokens/s",
        "requests_per_s" => "requests/s",
        "ttft_mean" => "FTL mean",
        "ttft_p50" => "FTL p50",
        "ttft_p99" => "FTL p99",
        "first_event_mean" => "first event mean",
        "tpot_mean" => "TPOT mean",
        "tpot_p99" => "TPOT p99",
        "itl_mean" => "ITL mean",
        "itl_p99" => "ITL p99",
        "e2e_mean" => "E2E mean",
        "e2e_p50" => "E2E p50",
        "e2e_p99" => "E2E p99",
        other => panic!("{other}: a metric that no page names"),
    }
}

/// Rows of the comparison, from the JSON: metric, ratio, interval, finding.
pub(super) fn compared_rows(report: &Value) -> Rows {
    let name = |place: &Value| {
        let place = usize::try_from(place.as_u64().expect("a place")).expect("small");
        report["comparison"]["arms"][place]
            .as_str()
            .expect("a name")
            .to_owned()
    };
    let mut rows = Vec::new();
    for pair in report["comparison"]["pairs"].as_array().expect("pairs") {
        for of in pair["metrics"].as_array().expect("metrics") {
            let key = of["metric"].as_str().expect("a key");
            let kind = match of["primary"].as_bool() {
                Some(true) => "",
                _ => " (secondary)",
            };
            let finding = match of["finding"].as_str().expect("a finding") {
                "first_better" => format!("{} is better", name(&pair["first"])),
                "other_better" => format!("{} is better", name(&pair["other"])),
                "same_within_margin" => "no difference beyond the margin".to_owned(),
                "undecided" => match &of["more_blocks"] {
                    Value::Null => "not decided".to_owned(),
                    Value::Number(more) if more.as_u64() == Some(1) => {
                        "not decided; about 1 more block would".to_owned()
                    }
                    more => format!("not decided; about {more} more blocks would"),
                },
                other => panic!("{other}: not in the samples"),
            };
            rows.push(vec![
                format!("{}{kind}", metric_words(key)),
                figure(&of["ratio"], 1.0, 4),
                format!(
                    "{} to {}",
                    figure(&of["ratio_low"], 1.0, 4),
                    figure(&of["ratio_high"], 1.0, 4)
                ),
                finding,
            ]);
        }
    }
    rows
}

/// The arms at a glance, from the JSON.
pub(super) fn glance_rows(report: &Value) -> Rows {
    let pairs = report["comparison"]["pairs"].as_array().expect("pairs");
    let off = |ratio: &Value, places: usize| {
        format!(
            "{:+.places$}",
            ratio.as_f64().expect("a ratio") * 100.0 - 100.0
        )
    };
    let row = |(place, arm): (usize, &Value)| {
        let pair = pairs.iter().find(|pair| pair["other"] == place);
        let against = pair.map_or("-".to_owned(), |pair| {
            let of = &pair["metrics"][0];
            let width = of["ratio_high"].as_f64().zip(of["ratio_low"].as_f64());
            let places = match width.expect("an interval") {
                (high, low) if high - low < 0.01 => 2,
                _ => 1,
            };
            let [point, low, high] =
                ["ratio", "ratio_low", "ratio_high"].map(|key| off(&of[key], places));
            format!("{point} %, {low} to {high} %")
        });
        let figures = &arm["figures"];
        let ms = |key: &str| figure(&figures[key]["mean"], 1e6, 2);
        vec![
            arm["name"].as_str().expect("a name").to_owned(),
            figure(&figures["output_tokens_per_s"], 1.0, 1),
            against,
            ms("ttft_ns"),
            ms("itl_ns"),
        ]
    };
    let arms = report["arms"].as_array().expect("arms").iter();
    arms.enumerate().map(row).collect()
}

/// Rows of the arms' table, from the JSON: name, then a cell per arm.
pub(super) fn arms_rows(report: &Value) -> Rows {
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
    rows.extend(hop_rows(arms));
    rows
}

/// Way and calls of each hop that any arm has, a cell per arm.
fn hop_rows(arms: &[Value]) -> Rows {
    let hops = |arm: &Value| {
        arm["figures"]["way"]["hops"]
            .as_array()
            .expect("hops")
            .clone()
    };
    let all = arms.iter().flat_map(hops);
    let names: BTreeSet<String> = all
        .map(|hop| hop["name"].as_str().expect("a name").to_owned())
        .collect();
    let row = |name: &String, key: &str, scale: f64| {
        let cell = |arm: &Value| {
            let hop = hops(arm)
                .into_iter()
                .find(|hop| hop["name"] == name.as_str());
            figure(hop.as_ref().map_or(&Value::Null, |hop| &hop[key]), scale, 2)
        };
        let cells = arms.iter().map(cell);
        std::iter::once(name.clone())
            .chain(cells)
            .collect::<Vec<_>>()
    };
    let of_hop = |name: &String| [row(name, "until_first_ns", 1e6), row(name, "calls", 1.0)];
    names.iter().flat_map(of_hop).collect()
}

/// Rows of the waterfalls, from the JSON: part, figure and interval.
pub(super) fn waterfall_rows(report: &Value) -> Rows {
    let mut rows = Vec::new();
    for of in report["waterfalls"].as_array().expect("waterfalls") {
        let arm = |key: &str| {
            let place = usize::try_from(of[key].as_u64().expect("a place")).expect("small");
            report["arms"][place]["name"].as_str().expect("a name")
        };
        let parts = of["parts"].as_array().expect("parts").iter();
        let parts = parts.map(|part| {
            let name = match part["kind"].as_str().expect("a kind") {
                "client_floor" => "client's own delay",
                "connect" => "connection set-up",
                "preprocess" => "preprocessing",
                "round_trips" => "round trips of these calls",
                "front_end" => "front end and protocol",
                "front_end_and_engine" => "front end, protocol and engine",
                "engine" => "engine",
                "postprocess" => "postprocessing",
                other => panic!("{other}: a part that no page names"),
            };
            (name, &part["ns"])
        });
        let whole = [
            (arm("slow"), &of["slow_ns"]),
            ("unexplained", &of["rest_ns"]),
            ("gap", &of["gap_ns"]),
            (arm("fast"), &of["fast_ns"]),
        ];
        for (name, one) in parts.chain(whole) {
            let interval = match one["low"] {
                Value::Null => "-".to_owned(),
                _ => format!(
                    "{} to {}",
                    figure(&one["low"], 1e6, 3),
                    figure(&one["high"], 1e6, 3)
                ),
            };
            rows.push(vec![
                name.to_owned(),
                figure(&one["mean"], 1e6, 3),
                interval,
            ]);
        }
    }
    rows
}
