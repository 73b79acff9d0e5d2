//! pairbench against the real thing: a Triton server with LMDeploy's models and
//! LMDeploy's api_server of two versions, started by `tests/real/run`. Only the
//! engine is made up, so what must come is known to the token.
//!
//! A busy machine is no fault of a server: where a run has to count, rule 4 (the
//! client was the bottleneck) is the one objection that is let pass, and printed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and these show what they saw"
)]

#[path = "../common/mod.rs"]
mod common;
mod order;
mod refusals;
mod together;
mod ways;

use common::{Desk, Left, dataset, tokenizer};
use pairbench::record::{self, Record, Run};
use pairbench::stats::{Arm, Reason, judge_together, summarize};

/// Tokens after which the engine ends by itself.
const NATURAL_END: u64 = 12;
/// The longest prompt and answer together.
const SESSION_TOKENS: usize = 2048;

fn address(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run tests/real/run, not this"))
}

fn triton() -> String {
    address("PAIRBENCH_REAL_TRITON")
}

/// LMDeploy 0.18.0.
fn new_api_server() -> String {
    address("PAIRBENCH_REAL_API_SERVER")
}

/// LMDeploy 0.1.0.
fn old_api_server() -> String {
    address("PAIRBENCH_REAL_API_SERVER_OLD")
}

/// A way to a server of ours.
struct Way {
    backend: &'static str,
    address: String,
    model: Option<&'static str>,
    server: &'static str,
}

/// Every backend, the api_server in both versions.
fn ways() -> Vec<Way> {
    let way = |backend, address, model, server| Way {
        backend,
        address,
        model,
        server,
    };
    let on_triton = |backend, model| way(backend, triton(), model, "triton 2.51.0");
    vec![
        on_triton("tis", None),
        on_triton("tis-chatbot", None),
        on_triton("tis-direct", None),
        on_triton("tis-ensemble", Some("ensemble")),
        on_triton("tis-python", None),
        way(
            "api_server",
            new_api_server(),
            None,
            "lmdeploy 0.16.0 or newer",
        ),
        way(
            "api_server",
            old_api_server(),
            None,
            "lmdeploy 0.1.0 to 0.2.1",
        ),
    ]
}

impl Way {
    /// Runs `profile` on the file of prompts at `data`.
    fn profile(&self, desk: &Desk, data: &str, more: &[&str]) -> Left {
        let tokenizer = tokenizer();
        let mut args = vec!["profile", "--backend", self.backend, &self.address];
        args.extend([tokenizer.as_str(), data]);
        if let Some(model) = self.model {
            args.extend(["--model", model]);
        }
        args.extend(more);
        desk.run(&args)
    }
}

/// Runs `compare` on the bundled conversations.
fn compare(desk: &Desk, tokenizer: &str, arms: &[String], more: &[&str]) -> Left {
    let dataset = dataset();
    let mut args = vec!["compare", tokenizer, &dataset];
    for arm in arms {
        args.extend(["--backend", arm]);
    }
    args.extend(more);
    desk.run(&args)
}

/// What the command left in its folders, in the order of the arms.
fn runs(desk: &Desk) -> Vec<Run> {
    let folders = desk.runs();
    let mut runs: Vec<Run> = folders
        .iter()
        .map(|folder| record::load(folder).unwrap())
        .collect();
    runs.sort_by_key(|run| run.header.experiment.as_ref().map(|of| of.arm));
    runs
}

/// Every objection to these runs.
fn reasons(runs: &[Run]) -> Vec<Reason> {
    let summaries: Vec<_> = runs.iter().map(summarize).collect();
    let arms = runs.iter().zip(&summaries);
    let arms: Vec<Arm<'_>> = arms.map(|(run, summary)| Arm { run, summary }).collect();
    judge_together(&arms).reasons
}

/// The command came to its end, and the figures count, as far as the machine lets
/// them: its exit code and its page say so.
#[track_caller]
fn counts(left: &Left, runs: &[Run]) {
    let against = reasons(runs);
    assert_eq!(left.code, i32::from(!against.is_empty()), "{}", left.err);
    for reason in &against {
        assert_eq!(reason.rule, 4, "{reason:?}\n{}", left.out);
        println!("    a busy machine: {}", reason.text);
    }
    let verdict = if against.is_empty() {
        "VALID"
    } else {
        "INVALID"
    };
    assert!(left.out.starts_with(verdict), "{}", left.out);
}

/// Every request was answered with the tokens that were planned, prompt and
/// answer, as the server itself counts them where it does.
#[track_caller]
fn exactly_as_planned(run: &Run) {
    let summary = summarize(run);
    let (counts, tokens) = (&summary.counts, &summary.tokens);
    assert_eq!((counts.finished, counts.failed()), (counts.planned, 0));
    assert_eq!(tokens.generated, Some(tokens.requested), "{tokens:?}");
    assert_eq!((tokens.shorter, tokens.longer), (0, 0), "{tokens:?}");
    let begin = run.header.inserted_tokens();
    assert_eq!(begin, 1, "Mistral's tokenizer begins a sequence");
    for record in &run.records {
        let server = record.server_prompt_tokens.map(u64::from);
        let planned = u64::from(record.prompt_tokens) + begin;
        // Token ids are what they are; every text has been counted.
        if server.is_some() || run.header.answer == "text" {
            assert_eq!(server, Some(planned), "{}", run.header.backend);
        }
    }
}

/// A page without its line breaks.
fn flat(page: &str) -> String {
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The answer's letters: servers differ in the blank before the first word.
fn letters(record: &Record) -> String {
    record.text.split_whitespace().collect()
}
