//! The lines of a page that say who was asked, what, and how.

use super::format::{ABSENT, line};
use crate::record::{Run, RunHeader};
use crate::stats::Arm;
use crate::stats::words::{counted, grouped, one_line};

/// Foreign words on one line; `-` for none.
pub(super) fn foreign(text: &str) -> String {
    match one_line(text, 72) {
        empty if empty.is_empty() => "-".to_owned(),
        words => words,
    }
}

/// `triton 2.51.0 at 127.0.0.1:33337, model turbomind`.
pub(super) fn server(header: &RunHeader) -> String {
    format!(
        "{} at {}, model {}",
        foreign(&header.server),
        foreign(&header.address),
        foreign(&header.model)
    )
}

/// A property of a run, in words.
pub(super) type Property = fn(&RunHeader) -> String;

/// What was asked, and with what.
pub(super) const ASKED: [(&str, Property); 5] = [
    ("workload", workload),
    ("tokenizer", |header| foreign(&header.tokenizer)),
    ("sampling", sampling),
    ("load", load),
    ("client", client),
];

/// The lines that say what was asked. `of` turns a property of a run into
/// words; side by side, it names the arms that differ.
pub(super) fn asked(out: &mut String, of: &dyn Fn(Property) -> String) {
    for (name, property) in ASKED {
        line(out, name, &of(property));
    }
}

/// A property that all arms have, or each value with the arms that have it.
pub(super) fn shared(arms: &[Arm<'_>], names: &[String], property: Property) -> String {
    shared_fact(arms, names, &|run| property(&run.header))
}

/// The same of what a run's header alone does not tell.
pub(super) fn shared_fact(
    arms: &[Arm<'_>],
    names: &[String],
    fact: &dyn Fn(&Run) -> String,
) -> String {
    let mut values: Vec<(String, Vec<&str>)> = Vec::new();
    for (arm, name) in arms.iter().zip(names) {
        let value = fact(arm.run);
        match values.iter_mut().find(|(known, _)| *known == value) {
            Some((_, with)) => with.push(name),
            None => values.push((value, vec![name])),
        }
    }
    match values.as_slice() {
        [] => ABSENT.to_owned(),
        [(value, _)] => value.clone(),
        several => several
            .iter()
            .map(|(value, with)| format!("[{}] {value}", with.join(", ")))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

fn workload(header: &RunHeader) -> String {
    format!(
        "{}: {} from {} (seed {}, style {}), {} text",
        foreign(&header.workload),
        counted(u64::from(header.num_prompts), "prompt", "prompts"),
        foreign(&header.dataset),
        header.seed,
        foreign(&header.sampling_style),
        foreign(&header.prompt_mode)
    )
}

fn sampling(header: &RunHeader) -> String {
    let end = if header.ignore_eos {
        "ignored"
    } else {
        "ends the answer"
    };
    format!(
        "top_k {}, top_p {}, temperature {}, end of sequence {end}",
        header.top_k, header.top_p, header.temperature
    )
}

fn load(header: &RunHeader) -> String {
    let answers = if header.stream {
        "streaming"
    } else {
        "whole answers"
    };
    format!(
        "closed loop, concurrency {}, {answers}, warm-up {} per slot",
        grouped(u64::from(header.concurrency)),
        counted(u64::from(header.warmup), "request", "requests")
    )
}

fn client(header: &RunHeader) -> String {
    format!(
        "pairbench {} on {}",
        foreign(&header.tool_version),
        counted(u64::from(header.cores), "core", "cores")
    )
}
