//! What runs were asked to do, as far as their headers know: whether it was the
//! same. Looks at no request.

use super::together::{Arm, labels};
use super::words::one_line;
use crate::record::RunHeader;

/// What is wrong with setting these runs side by side, in a sentence; `None` where
/// each was given the same work as the first (rule 1): prompts, lengths, order and
/// sampling (the digest), the kind of prompt and the way of answering.
#[must_use]
pub fn work_differs(arms: &[Arm<'_>]) -> Option<String> {
    let names = labels(arms);
    let (first, others) = arms.split_first()?;
    let (first_name, other_names) = names.split_first()?;
    let differs = |other: &&Arm<'_>| decisive(&first.run.header) != decisive(&other.run.header);
    let (other, name) = others
        .iter()
        .zip(other_names)
        .find(|(other, _)| differs(other))?;
    Some(format!(
        "the runs did not get the same work and cannot be compared: {first_name} and {name} have \
         {}; measure both with the same dataset, tokenizer, seed, sampling and prompt flags, or \
         with one `compare`",
        differences(&first.run.header, &other.run.header).join(", ")
    ))
}

fn decisive(of: &RunHeader) -> (&str, &str, bool) {
    (&of.workload, &of.prompt_mode, of.stream)
}

/// What differs in the work of two runs: `seed 1 and 2`. The digest first, then
/// whatever the headers know that may make it differ.
fn differences(first: &RunHeader, other: &RunHeader) -> Vec<String> {
    let told = |of: &RunHeader| {
        let digest = [("workload digest", of.workload.clone())];
        digest.into_iter().chain(causes(of)).collect::<Vec<_>>()
    };
    pairs_that_differ(told(first), told(other))
}

/// As [`differences`], without the digests: what may have made them differ.
pub(super) fn likely_causes(first: &RunHeader, other: &RunHeader) -> Vec<String> {
    pairs_that_differ(causes(first).into(), causes(other).into())
}

fn causes(of: &RunHeader) -> [(&'static str, String); 12] {
    [
        ("prompt mode", of.prompt_mode.clone()),
        ("streaming", of.stream.to_string()),
        ("dataset", of.dataset.clone()),
        ("tokenizer", of.tokenizer.clone()),
        (
            "chat template",
            of.chat_template.clone().unwrap_or_default(),
        ),
        ("requests", of.num_prompts.to_string()),
        ("seed", of.seed.to_string()),
        ("sampling style", of.sampling_style.clone()),
        ("temperature", of.temperature.to_string()),
        ("top_p", of.top_p.to_string()),
        ("top_k", of.top_k.to_string()),
        ("ignore_eos", of.ignore_eos.to_string()),
    ]
}

type Told = Vec<(&'static str, String)>;

fn pairs_that_differ(first: Told, other: Told) -> Vec<String> {
    let shown = |value: &str| match value {
        "" => "none".to_owned(),
        value => one_line(value, 40),
    };
    let pairs = first.into_iter().zip(other);
    pairs
        .filter(|((_, one), (_, other))| one != other)
        .map(|((what, one), (_, other))| format!("{what} {} and {}", shown(&one), shown(&other)))
        .collect()
}
