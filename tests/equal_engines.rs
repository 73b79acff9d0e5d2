//! Equal engines behind both protocols must show no difference. The bounds
//! here are wide, as a busy machine delays whom it will. What they do catch is
//! a socket without TCP_NODELAY, which held each of gRPC's first messages back
//! for 25 ms and more; so their median will do, and one pause of the machine
//! fails nothing. `docs/architecture.md` has the command for the exact figures.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::Desk;

const FTL_WITHIN_S: f64 = 0.015;
const ITL_WITHIN_S: f64 = 0.005;

fn spread(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::MIN, f64::max);
    most - values.iter().copied().fold(f64::MAX, f64::min)
}

/// Conversations whose answers are over in a tenth of a second.
fn short() -> String {
    let turns = |n| {
        let question = format!("What is the number after {n}, and the one after that?");
        let answer = "It is the one that comes next, as ever, and so on and on.";
        format!(r#"{{"conversations":[{{"value":"{question}"}},{{"value":"{answer}"}}]}}"#)
    };
    let all: Vec<String> = (0..80).map(turns).collect();
    format!("[{}]", all.join(","))
}

#[test]
fn equal_engines_show_no_difference() {
    for (concurrency, prompts) in [("1", "12"), ("32", "64")] {
        let desk = Desk::new();
        let load = [
            "--concurrency",
            concurrency,
            "--num-prompts",
            prompts,
            "--blocks",
            "1",
            "--csv",
            "x.csv",
        ];
        let engine = ["--sim-first-token-ms", "20", "--sim-per-token-ms", "5"];
        let free = ["--sim-preprocess-ms", "0", "--sim-postprocess-ms", "0"];
        let (tokenizer, dataset) = (common::tokenizer(), desk.write("short.json", &short()));
        let mut args = vec!["compare", &tokenizer, &dataset];
        for arm in ["tis-direct=sim", "tis-ensemble=sim", "api_server=sim"] {
            args.extend(["--backend", arm]);
        }
        let run = desk.run(&[&args, &load[..], &engine, &free].concat());
        assert!(run.code <= 1, "{}", run.err);
        let rows = desk.rows("x.csv");
        for (column, within_s) in [("FTL(p50)(s)", FTL_WITHIN_S), ("ITL(ave)(s)", ITL_WITHIN_S)] {
            let values: Vec<f64> = rows
                .iter()
                .map(|row| row[column].parse().unwrap())
                .collect();
            assert_eq!(values.len(), 3);
            assert!(
                spread(&values) <= within_s,
                "{column} at {concurrency}: {values:?}"
            );
        }
    }
}
