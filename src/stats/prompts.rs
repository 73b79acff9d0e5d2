//! Rule 1 for one run: the server's own count of the prompts against the
//! plan's. Knows records and counts; what the arms have in common is judged
//! elsewhere.

use super::reason::{Reason, above_one_percent, reason};
use super::summary::Summary;
use super::tokens::ServerPrompts;
use super::words::{grouped, one_line, percent_off};
use crate::record::Run;

/// Rule 1: the server counts the prompts as the plan does.
pub(super) fn prompt_tokens(run: &Run, summary: &Summary) -> Option<Reason> {
    let rendered = run.header.chat_template.is_some();
    if run.header.prompt_mode == "chat" && !rendered {
        // The plan counts the text alone and the server adds a template that is
        // not known here: only the arms' counts can be held against each other.
        return None;
    }
    let counts = summary.tokens.server_prompts?;
    // A token more per prompt, or not: both are the planned work where the
    // tokenizer adds a begin-of-sequence token (GLM-4: two).
    let begins = counts.requests * run.header.inserted_tokens();
    let expected = counts.server.clamp(counts.planned, counts.planned + begins);
    if !above_one_percent(counts.server.abs_diff(expected), expected) {
        return None;
    }
    let (usually, cure) = if rendered {
        ANOTHER_TEMPLATE
    } else {
        prompt_suspicion(&counts, run.header.adds_bos)
    };
    let parting = run.header.prompt_parting.as_deref();
    let parting = parting.map_or(String::new(), |words| format!("; {}", one_line(words, 500)));
    Some(reason(
        1,
        "prompt_tokens",
        format!(
            "the server counted {} prompt tokens, the plan has {}{} ({}; {}): {usually}{parting}",
            grouped(counts.server),
            grouped(expected),
            match begins {
                0 => "",
                _ if expected == counts.planned => "",
                _ => " with begin-of-sequence tokens",
            },
            percent_off(counts.server, expected),
            extra_words(&counts),
        ),
        cure,
    ))
}

/// What a difference usually is where the plan has the template, and what to do.
const ANOTHER_TEMPLATE: (&str, &str) = (
    "usually the server has another chat template than the tokenizer's folder (or another \
     tokenizer, if its text below makes no sense), or none (LMDeploy goes without one, and does \
     not say so, where it cannot use the model's)",
    "serve the template of TOKENIZER's folder, or give the folder that the server serves as \
     TOKENIZER; LMDeploy: see --chat-template and whether jinja2 is installed",
);

fn extra_words(counts: &ServerPrompts) -> String {
    match (counts.least_extra, counts.most_extra) {
        (least, most) if least == most => format!("{least:+} in every prompt"),
        (least, most) => format!("{least:+} to {most:+} a prompt"),
    }
}

/// What such a difference usually is, and what to do.
fn prompt_suspicion(counts: &ServerPrompts, adds_bos: bool) -> (&'static str, &'static str) {
    const TEMPLATE: &str =
        "send raw prompts (--prompt raw), and turn off the server's chat template";
    const TOKENIZER: &str = "give the tokenizer of the model that the server runs as TOKENIZER";
    match (counts.least_extra, counts.most_extra) {
        (1, 1) if !adds_bos => (
            "usually a begin-of-sequence token that the given tokenizer does not add",
            TOKENIZER,
        ),
        // Where a template ends and a prompt begins, tokens may join.
        (least, most) if least > 0 && most - least <= 2.max(least / 4) => (
            "about the same amount on top of every prompt, long or short, is usually a chat \
             template or a system prompt that the server adds",
            TEMPLATE,
        ),
        (_, most) if most <= 0 => (
            "usually another tokenizer, or prompts that the server cuts",
            TOKENIZER,
        ),
        _ => (
            "an amount that grows with the prompt is usually another tokenizer",
            TOKENIZER,
        ),
    }
}
