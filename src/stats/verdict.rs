//! Whether the figures of one run count. Rules 1 to 5 of the page "What is
//! measured", as far as one run can know them; rule 0 is the run's own end.
//! Every objection carries its numbers and a cure.

use std::collections::BTreeMap;

use super::prompts::prompt_tokens;
use super::reason::{Reason, above_one_percent, reason};
use super::summary::Summary;
use super::words::{counted, grouped, one_line};
use super::{ending, instrument};
use crate::record::Run;

/// Longest error text that a verdict quotes, in characters.
const QUOTE: usize = 200;

/// Whether figures count. They do when there is no reason against it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// All objections, in the order of the rules.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    /// No objection.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.reasons.is_empty()
    }

    /// What concerns one arm: its own objections and those against all.
    #[must_use]
    pub fn of_arm(&self, arm: usize) -> Self {
        let concerns = |reason: &&Reason| reason.arm.is_none_or(|of| of == arm);
        Self {
            reasons: self.reasons.iter().filter(concerns).cloned().collect(),
        }
    }
}

/// The objection to a comparison that lacks planned arms; none if none is
/// missing.
#[must_use]
pub fn arms_missing(names: &[&str]) -> Option<Reason> {
    (!names.is_empty()).then(|| {
        reason(
            0,
            "arms_missing",
            format!("not all arms were measured: {} missing", names.join(", ")),
            "see the error below, if there is one, and run the comparison again",
        )
    })
}

/// Judges one run by itself.
#[must_use]
pub fn judge(run: &Run, summary: &Summary) -> Verdict {
    let found = [
        ending::end(run, summary),
        prompt_tokens(run, summary),
        uncounted(summary),
        answer_lengths(run, summary),
        failed(run, summary),
        instrument::slip(run, summary),
        instrument::busiest_thread(summary),
        instrument::waits(run, summary),
        too_short(run, summary),
    ];
    Verdict {
        reasons: found.into_iter().flatten().collect(),
    }
}

/// Rule 2: somebody counted the tokens of every answer.
fn uncounted(summary: &Summary) -> Option<Reason> {
    let uncounted = summary.tokens.uncounted;
    (uncounted > 0).then(|| {
        reason(
            2,
            "token_count_unknown",
            format!(
                "the tokens of {} of {} answers are known from nowhere: no ids, no usage, no \
                 count of the text",
                grouped(uncounted),
                grouped(summary.counts.finished)
            ),
            "let the run reach its end, where texts are counted; if it did, the server sent \
             neither text nor usage: try another backend",
        )
    })
}

/// Rule 2: the answers have the lengths that were asked for.
fn answer_lengths(run: &Run, summary: &Summary) -> Option<Reason> {
    let tokens = &summary.tokens;
    let off = tokens.shorter + tokens.longer;
    if !above_one_percent(off, summary.counts.finished) {
        return None;
    }
    let cure = if tokens.longer > tokens.shorter {
        "the server ignores the asked length, or counts with another tokenizer: check its version \
         and TOKENIZER"
    } else if !run.header.ignore_eos {
        "answers may end by themselves in this run: ask the server to ignore the end of sequence \
         (ignore_eos)"
    } else if tokens.shorter_by_stop * 2 >= tokens.shorter {
        "the server did not honour ignore_eos: use a version that does, or a model that does not \
         end by itself"
    } else if tokens.shorter_by_length * 2 >= tokens.shorter {
        "prompt and answer do not fit the server's session: raise its session length \
         (session_len), or choose shorter conversations"
    } else {
        "the server did not honour ignore_eos, or its session length (session_len) is too short \
         for prompt and answer: check both"
    };
    let generated = tokens.generated.map_or("-".to_owned(), grouped);
    Some(reason(
        2,
        "answer_lengths",
        format!(
            "{} of {} answers have another length than asked for ({} shorter, {} longer; {generated} \
             tokens for {} asked, source {})",
            grouped(off),
            grouped(summary.counts.finished),
            grouped(tokens.shorter),
            grouped(tokens.longer),
            grouped(tokens.requested),
            tokens.source_words()
        ),
        cure,
    ))
}

/// Rule 3: no more failures than allowed. What was cancelled because the run
/// was stopped is no failure of the server; rule 0 speaks of it.
fn failed(run: &Run, summary: &Summary) -> Option<Reason> {
    let stopped = run.end.as_ref().is_none_or(|end| end.interrupted);
    let blamed = |kind: &str| !(stopped && kind == "cancelled");
    let mut kinds: Vec<(&str, u64)> = summary
        .counts
        .failed_by_kind
        .iter()
        .map(|(kind, requests)| (kind.as_str(), *requests))
        .filter(|(kind, _)| blamed(kind))
        .collect();
    let failed: u64 = kinds.iter().map(|(_, requests)| requests).sum();
    let allowed = u64::from(run.header.max_failed);
    if failed <= allowed {
        return None;
    }
    kinds.sort_by_key(|(kind, requests)| (std::cmp::Reverse(*requests), *kind));
    let list: Vec<String> = kinds
        .iter()
        .map(|(kind, requests)| format!("{} {}", grouped(*requests), one_line(kind, 40)))
        .collect();
    let first = run
        .records
        .iter()
        .filter(|record| !record.is_ok() && blamed(&record.outcome))
        .min_by_key(|record| (record.end_ns, record.index))
        .and_then(|record| Some((record.index, record.error.as_deref()?)));
    let quoted = first.map_or(String::new(), |(index, error)| {
        format!("; the first (request {index}): {}", one_line(error, QUOTE))
    });
    let limit = match allowed {
        0 => String::new(),
        _ => format!(", {} allowed", grouped(allowed)),
    };
    Some(reason(
        3,
        "failed",
        format!(
            "{} of {} requests failed{limit}: {}{quoted}",
            grouped(failed),
            grouped(summary.counts.planned),
            list.join(", ")
        ),
        failure_cure(kinds.first().map_or("", |(kind, _)| kind)),
    ))
}

/// What to do about the most frequent kind of failure.
fn failure_cure(kind: &str) -> &'static str {
    match kind {
        "connect" => {
            "check that the server still runs and takes as many connections as --concurrency"
        }
        "auth" => "give the server's key with --api-key-file",
        "overloaded" => "lower --concurrency to what the server admits",
        "rejected" => "read the server's words: it refuses some of the prompts or parameters",
        "timeout_first_token" | "timeout_between_tokens" => {
            "lower --concurrency, or raise the time limit if the server is only slow"
        }
        "cut" | "server" => {
            "look into the server's log at that time; lower --concurrency if it is overrun"
        }
        "protocol" | "malformed" | "model" => {
            "check that backend, model and server version fit each other"
        }
        _ => "read the error; allow a few failures with --max-failed if they do not matter",
    }
}

/// Rule 5: enough requests finished for the load to settle, in every block if
/// there are any.
fn too_short(run: &Run, summary: &Summary) -> Option<Reason> {
    let needed = (u64::from(run.header.concurrency) * 2).max(1);
    if run.blocks.is_empty() {
        let finished = summary.counts.finished;
        return (finished < needed).then(|| Reason {
            cure: format!(
                "ask for at least {} requests (--num-prompts), or lower --concurrency",
                grouped(needed)
            ),
            ..reason(
                5,
                "too_short",
                format!(
                    "the run is too short: {} finished, fewer than 2 x concurrency = {}",
                    counted(finished, "request", "requests"),
                    grouped(needed)
                ),
                "",
            )
        });
    }
    let mut finished: BTreeMap<u32, u64> = BTreeMap::new();
    // Rule 0 has spoken of those that were cut.
    for block in run.blocks.iter().filter(|block| !block.cut) {
        finished.insert(block.number, 0);
    }
    for record in run.records.iter().filter(|record| record.is_ok()) {
        if let Some(sum) = finished.get_mut(&record.block) {
            *sum += 1;
        }
    }
    let short = finished.iter().filter(|(_, finished)| **finished < needed);
    let (number, least) = short.clone().min_by_key(|(_, finished)| **finished)?;
    Some(Reason {
        cure: format!(
            "make blocks of at least {} requests: more of them (--num-prompts), fewer --blocks, or \
             a lower --concurrency",
            grouped(needed)
        ),
        ..reason(
            5,
            "too_short",
            format!(
                "{} of {} too short: in block {number} only {} finished, fewer than 2 x concurrency = {}",
                grouped(u64::try_from(short.count()).unwrap_or(u64::MAX)),
                match finished.len() {
                    1 => "1 block is".to_owned(),
                    blocks => format!("{blocks} blocks are"),
                },
                counted(*least, "request", "requests"),
                grouped(needed)
            ),
            "",
        )
    })
}
