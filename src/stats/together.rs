//! Whether runs may be set side by side: each by itself, and whether all of
//! them did the same work.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::instrument;
use super::order;
use super::reason::{Reason, above_one_percent, reason};
use super::summary::Summary;
use super::tokens;
use super::verdict::{Verdict, judge};
use super::words::{counted, grouped, one_line, percent_off};
use super::work::likely_causes;
use crate::record::{Record, RequestKey, Run, RunHeader};

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Arm<'a> {
    /// Its run.
    pub run: &'a Run,
    /// The run's figures.
    pub summary: &'a Summary,
}

/// What each arm is called: its backend; where two have the same, with their
/// numbers.
#[must_use]
pub fn labels(arms: &[Arm<'_>]) -> Vec<String> {
    let backends = arms.iter().map(|arm| arm.run.header.backend.as_str());
    labels_of(&backends.collect::<Vec<_>>())
}

/// The same from the names of the arms' backends.
#[must_use]
pub fn labels_of(backends: &[&str]) -> Vec<String> {
    let mut total: HashMap<&str, usize> = HashMap::new();
    for name in backends {
        *total.entry(name).or_default() += 1;
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    backends
        .iter()
        .map(|name| {
            let number = seen.entry(name).or_default();
            *number += 1;
            match total.get(name) {
                Some(2..) => format!("{} ({number})", one_line(name, 20)),
                _ => one_line(name, 20),
            }
        })
        .collect()
}

/// Whether the runs are arms of one experiment, so that their blocks are pairs
/// (for [`super::compare_blocks`]). Runs that are not were made apart.
#[must_use]
pub fn one_experiment(arms: &[Arm<'_>]) -> bool {
    let id = |arm: &Arm<'_>| Some(arm.run.header.experiment.as_ref()?.id.clone());
    let first = arms.first().and_then(id);
    first.is_some() && arms.iter().all(|arm| id(arm) == first)
}

/// Judges every arm by itself and all of them together. One arm is judged as
/// by [`judge`].
#[must_use]
pub fn judge_together(arms: &[Arm<'_>]) -> Verdict {
    let mut reasons: Vec<Reason> = Vec::new();
    if arms.len() > 1 {
        let names = labels(arms);
        let joint = [
            same(
                arms,
                &names,
                "workload_differs",
                "workload digests",
                |header| header.workload.clone(),
            ),
            same(
                arms,
                &names,
                "prompt_mode_differs",
                "prompt modes",
                |header| header.prompt_mode.clone(),
            ),
            same(
                arms,
                &names,
                "stream_differs",
                "ways of answering",
                |header| stream_words(header.stream).to_owned(),
            ),
            prompt_tokens(arms, &names),
            generated_tokens(arms, &names),
        ];
        reasons.extend(joint.into_iter().flatten());
        reasons.extend(blocks_missing(arms, &names));
        reasons.extend(order::text_order(arms, &names));
        reasons.extend(instrument::floors(arms, &names));
    }
    for (place, arm) in arms.iter().enumerate() {
        let own = judge(arm.run, arm.summary).reasons;
        reasons.extend(own.into_iter().map(|reason| Reason {
            arm: (arms.len() > 1).then_some(place),
            ..reason
        }));
    }
    // Stable: within a rule the joint objections come first, then the arms in order.
    reasons.sort_by_key(|reason| reason.rule);
    Verdict { reasons }
}

/// Rule 0: blocks of one comparison are played by every arm, or say nothing.
fn blocks_missing(arms: &[Arm<'_>], names: &[String]) -> Option<Reason> {
    let whole = |arm: &Arm<'_>| -> BTreeSet<u32> {
        let blocks = arm.run.blocks.iter().filter(|block| !block.cut);
        blocks.map(|block| block.number).collect()
    };
    if !one_experiment(arms) {
        return None;
    }
    let has: Vec<BTreeSet<u32>> = arms.iter().map(whole).collect();
    let all: BTreeSet<u32> = has.iter().flatten().copied().collect();
    let lacking: Vec<String> = has
        .iter()
        .zip(names)
        .filter(|(has, _)| has.len() < all.len())
        .map(|(has, name)| {
            let missing: Vec<String> = all.difference(has).map(u32::to_string).collect();
            format!("{name} lacks {}", missing.join(", "))
        })
        .collect();
    (!lacking.is_empty()).then(|| {
        let pairs = all
            .iter()
            .filter(|number| has.iter().all(|has| has.contains(number)))
            .count();
        reason(
            0,
            "blocks_missing",
            format!(
                "not every arm finished the same blocks (numbered from 0): {}; {pairs} of {} can be \
                 compared",
                lacking.join("; "),
                all.len()
            ),
            "let the comparison run to its end, or plan fewer --blocks or a longer --max-time",
        )
    })
}

fn stream_words(stream: bool) -> &'static str {
    if stream { "streaming" } else { "whole answers" }
}

/// Rule 1: a property of the plan that all arms must share.
fn same(
    arms: &[Arm<'_>],
    names: &[String],
    code: &'static str,
    what: &str,
    property: fn(&RunHeader) -> String,
) -> Option<Reason> {
    let mut by_value: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (arm, name) in arms.iter().zip(names) {
        by_value
            .entry(property(&arm.run.header))
            .or_default()
            .push(name);
    }
    if by_value.len() < 2 {
        return None;
    }
    let list: Vec<String> = by_value
        .iter()
        .map(|(value, names)| format!("{} ({})", one_line(value, 40), names.join(", ")))
        .collect();
    let causes = match code {
        "workload_differs" => causes(arms, names),
        _ => String::new(),
    };
    Some(reason(
        1,
        code,
        format!(
            "the arms did not get the same work: {what} differ: {}{causes}",
            list.join(", ")
        ),
        "run all arms with one `compare`, or with the same dataset, tokenizer, seed, sampling and \
         prompt flags",
    ))
}

/// What may have made the digests differ, as far as the headers know.
fn causes(arms: &[Arm<'_>], names: &[String]) -> String {
    let Some((first, others)) = arms.split_first() else {
        return String::new();
    };
    let said = others.iter().zip(names.iter().skip(1)).map(|(arm, name)| {
        let causes = likely_causes(&first.run.header, &arm.run.header);
        (name, causes.join(", "))
    });
    let said = said.filter(|(_, causes)| !causes.is_empty());
    said.map(|(name, causes)| {
        let first = names.first().map_or("", String::as_str);
        format!("; {first} and {name} have {causes}")
    })
    .collect()
}

/// Tokens by request.
type Counts = HashMap<RequestKey, u64>;

/// Tokens of the requests that `count` knows. Where the arms' blocks are no pairs,
/// `by_block` is false: a request is then its job's first play.
fn counts(run: &Run, by_block: bool, count: impl Fn(&Record) -> Option<u64>) -> Counts {
    let mut counts = Counts::new();
    for record in run.records.iter().filter(|record| record.is_ok()) {
        let block = if by_block { record.block } else { 0 };
        let key = RequestKey {
            block,
            ..record.key()
        };
        if let Some(tokens) = count(record) {
            counts.entry(key).or_insert(tokens);
        }
    }
    counts
}

/// Whether a block's number means the same requests for every arm. Runs made apart
/// may have cut the same jobs into other blocks.
pub(super) fn by_block(arms: &[Arm<'_>]) -> bool {
    one_experiment(arms) && arms.iter().all(|arm| !arm.run.blocks.is_empty())
}

/// Rule 1: the servers count the same prompts alike.
fn prompt_tokens(arms: &[Arm<'_>], names: &[String]) -> Option<Reason> {
    let by_block = by_block(arms);
    let counts = arms.iter().map(|arm| prompt_counts(arm.run, by_block));
    let counts: Vec<Counts> = counts.collect();
    let gap = widest_gap(&counts)?;
    let chat = arms.iter().all(|arm| arm.run.header.prompt_mode == "chat");
    Some(reason(
        1,
        "prompt_tokens_differ",
        format!(
            "the servers count the same prompts differently: {}; usually {}, or another tokenizer",
            gap.words(names),
            match chat {
                true => "another chat template on one side",
                false => "a chat template on one side",
            }
        ),
        match chat {
            true => {
                "give both sides the same chat template and the same tokenizer files, or compare \
                 raw text (--prompt raw)"
            }
            false => {
                "make both sides take the text as it is: --prompt raw, no chat template in the \
                 server, the same tokenizer files"
            }
        },
    ))
}

/// The server's counts. An arm that sends token ids has sent what it has sent,
/// whatever the server says.
fn prompt_counts(run: &Run, by_block: bool) -> Counts {
    let as_sent = run.header.answer == "token_ids";
    let begin = run.header.inserted_tokens();
    counts(run, by_block, |record| {
        if as_sent {
            Some(u64::from(record.prompt_tokens) + begin)
        } else {
            record.server_prompt_tokens.map(u64::from)
        }
    })
}

/// Rule 2: the arms generated the same amount.
fn generated_tokens(arms: &[Arm<'_>], names: &[String]) -> Option<Reason> {
    let by_block = by_block(arms);
    let counts = arms.iter().map(|arm| generated_counts(arm.run, by_block));
    let counts: Vec<Counts> = counts.collect();
    let gap = widest_gap(&counts)?;
    Some(reason(
        2,
        "generated_tokens_differ",
        format!(
            "the arms did not generate the same amount: {}",
            gap.words(names)
        ),
        "make all servers honour ignore_eos and give them the same session length; where a count \
         comes from the text, prefer a server that reports usage",
    ))
}

fn generated_counts(run: &Run, by_block: bool) -> Counts {
    let recounts = tokens::recounts(run);
    counts(run, by_block, |record| {
        Some(tokens::count(record, &recounts).generated?.0)
    })
}

/// Two arms and their totals over the requests that both of them counted.
struct Gap {
    requests: u64,
    less: (usize, u64),
    more: (usize, u64),
}

impl Gap {
    fn words(&self, names: &[String]) -> String {
        let name = |place: usize| names.get(place).map_or("", String::as_str);
        format!(
            "{} {} tokens, {} {} ({}) over the same {}",
            name(self.less.0),
            grouped(self.less.1),
            name(self.more.0),
            grouped(self.more.1),
            percent_off(self.more.1, self.less.1),
            counted(self.requests, "request", "requests")
        )
    }

    fn share(&self) -> f64 {
        self.more.1 as f64 / self.less.1.max(1) as f64
    }
}

/// The pair of arms that are furthest apart, if that is more than 1 % of the
/// smaller total. Pairs are compared over the requests that both have, so that
/// a request that failed on one side is no difference in length.
fn widest_gap(counts: &[Counts]) -> Option<Gap> {
    let mut widest: Option<Gap> = None;
    for (one, one_counts) in counts.iter().enumerate() {
        for (other, other_counts) in counts.iter().enumerate().skip(one + 1) {
            let (mut requests, mut one_total, mut other_total) = (0, 0, 0);
            for (request, tokens) in one_counts {
                if let Some(others) = other_counts.get(request) {
                    requests += 1;
                    one_total += tokens;
                    other_total += others;
                }
            }
            let mut pair = [(one, one_total), (other, other_total)];
            pair.sort_by_key(|(_, total)| *total);
            let [less, more] = pair;
            let gap = Gap {
                requests,
                less,
                more,
            };
            let wider = widest
                .as_ref()
                .is_none_or(|known| gap.share() > known.share());
            if above_one_percent(more.1 - less.1, less.1) && wider {
                widest = Some(gap);
            }
        }
    }
    widest
}
