//! How many tokens there were, and who says so. Tokens are counted, never
//! assumed: the requested length is no source. Knows records and recounts, no
//! time.

use std::collections::{BTreeMap, HashMap};

use super::distribution::Distribution;
use crate::record::{Record, RequestKey, Run};

/// Where a count of generated tokens comes from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenSource {
    /// Token ids or a running length from the server.
    Ids,
    /// The server's usage figure.
    Usage,
    /// The answer's text, tokenized after the run.
    Text,
}

impl TokenSource {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ids => "ids",
            Self::Usage => "usage",
            Self::Text => "text",
        }
    }

    /// The source of a count that came over the wire. A record that does not
    /// name it is taken for the weaker one.
    fn of_wire(record: &Record) -> Self {
        match record.token_source.as_deref() {
            Some("ids") => Self::Ids,
            _ => Self::Usage,
        }
    }
}

/// Tokens of a run's finished requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tokens {
    /// Prompt tokens as the plan counts them (no begin-of-sequence).
    pub prompt: u64,
    /// Tokens asked for.
    pub requested: u64,
    /// Generated tokens; `None` when a finished request has no count.
    pub generated: Option<u64>,
    /// Finished requests whose tokens nobody counted.
    pub uncounted: u64,
    /// Finished requests by source of their count.
    pub sources: BTreeMap<TokenSource, u64>,
    /// The wire's counts against those of the text, where both exist.
    pub text_check: Option<TextCheck>,
    /// The servers' own counts of the prompts; `None` where they say nothing.
    pub server_prompts: Option<ServerPrompts>,
    /// Finished requests with fewer tokens than asked for.
    pub shorter: u64,
    /// Finished requests with more tokens than asked for.
    pub longer: u64,
    /// Of the shorter ones: those that the server ended by itself (`stop`).
    pub shorter_by_stop: u64,
    /// Of the shorter ones: those that the server says reached their `length`.
    pub shorter_by_length: u64,
}

impl Tokens {
    /// The run's source: the worst in use.
    #[must_use]
    pub fn source(&self) -> Option<TokenSource> {
        self.sources.keys().next_back().copied()
    }

    /// The source in words: `usage`, or, where requests differ,
    /// `text (usage 997, text 3)`; `-` when there is none.
    #[must_use]
    pub fn source_words(&self) -> String {
        let Some(worst) = self.source() else {
            return "-".to_owned();
        };
        if self.sources.len() == 1 {
            return worst.name().to_owned();
        }
        let parts: Vec<String> = self
            .sources
            .iter()
            .map(|(source, requests)| format!("{} {requests}", source.name()))
            .collect();
        format!("{} ({})", worst.name(), parts.join(", "))
    }
}

/// Two counts of the same answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextCheck {
    /// Requests that have both.
    pub requests: u64,
    /// Their tokens as the wire tells them.
    pub wire: u64,
    /// Their tokens as the text has them.
    pub text: u64,
}

/// The server's own count of the prompts against the plan's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerPrompts {
    /// Finished requests for which the server counted.
    pub requests: u64,
    /// Tokens as the server counts them.
    pub server: u64,
    /// Tokens of the same requests in the plan.
    pub planned: u64,
    /// Smallest difference server minus plan in one request.
    pub least_extra: i64,
    /// Largest difference server minus plan in one request.
    pub most_extra: i64,
}

/// The messages that brought tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Messages {
    /// Messages with tokens.
    pub count: u64,
    /// Tokens per message; `None` without messages, or where a count is missing.
    pub mean: Option<f64>,
    /// Tokens of each message, where every message's number is known.
    pub tokens: Option<Distribution>,
}

/// The counts of one finished request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Generated tokens and their source.
    pub(super) generated: Option<(u64, TokenSource)>,
    /// Tokens of the text, if they were counted.
    text: Option<u64>,
    /// Tokens that the first message brought.
    pub(super) first: Option<u64>,
    /// The marks tell the tokens of each message: as they are, or (true) one
    /// each.
    one_each: Option<bool>,
}

/// The recounts by request.
pub(super) type Recounts = HashMap<RequestKey, (u32, u32)>;

pub(super) fn recounts(run: &Run) -> Recounts {
    run.recount
        .counts()
        .map(|(key, whole, first)| (key, (whole, first)))
        .collect()
}

/// Counts one finished request.
pub(super) fn count(record: &Record, recounts: &Recounts) -> Counted {
    let recount = recounts.get(&record.key()).copied();
    let text = recount.map(|(whole, _)| u64::from(whole));
    let generated = match record.completion_tokens {
        Some(tokens) => Some((u64::from(tokens), TokenSource::of_wire(record))),
        None => text.map(|tokens| (tokens, TokenSource::Text)),
    };
    let total = generated.map(|(tokens, _)| tokens);
    let messages = u64::try_from(record.marks.len()).ok();
    let silent = record.marks.iter().all(|mark| mark.tokens == 0);
    let one_each = match record.marks.iter().any(|mark| mark.tokens == 0) {
        false => Some(false),
        true if silent && messages == total => Some(true),
        true => None,
    };
    let first = match record.marks.first().map(|mark| mark.tokens) {
        None => None,
        Some(0) if one_each == Some(true) => Some(1),
        // A first piece has at least one token, even where its text alone
        // makes none (half a character held back).
        Some(0) => recount.map(|(_, first)| u64::from(first.max(1))),
        Some(tokens) => Some(u64::from(tokens)),
    };
    Counted {
        generated,
        text,
        first,
        one_each,
    }
}

/// Adds up the finished requests.
pub(super) fn tokens(finished: &[(&Record, Counted)]) -> Tokens {
    let mut sum = Tokens {
        generated: Some(0),
        ..Tokens::default()
    };
    for (record, counted) in finished {
        sum.prompt += u64::from(record.prompt_tokens);
        sum.requested += u64::from(record.requested_tokens);
        add_server_prompt(&mut sum.server_prompts, record);
        let Some((generated, source)) = counted.generated else {
            sum.uncounted += 1;
            sum.generated = None;
            continue;
        };
        sum.generated = sum.generated.map(|total| total + generated);
        *sum.sources.entry(source).or_default() += 1;
        if let (Some(text), true) = (counted.text, source != TokenSource::Text) {
            let check = sum.text_check.get_or_insert_default();
            check.requests += 1;
            check.wire += generated;
            check.text += text;
        }
        add_length(&mut sum, record, generated, source);
    }
    sum
}

fn add_server_prompt(sum: &mut Option<ServerPrompts>, record: &Record) {
    let Some(server) = record.server_prompt_tokens else {
        return;
    };
    let extra = i64::from(server) - i64::from(record.prompt_tokens);
    let sum = sum.get_or_insert(ServerPrompts {
        requests: 0,
        server: 0,
        planned: 0,
        least_extra: extra,
        most_extra: extra,
    });
    sum.requests += 1;
    sum.server += u64::from(server);
    sum.planned += u64::from(record.prompt_tokens);
    sum.least_extra = sum.least_extra.min(extra);
    sum.most_extra = sum.most_extra.max(extra);
}

fn add_length(sum: &mut Tokens, record: &Record, generated: u64, source: TokenSource) {
    let requested = u64::from(record.requested_tokens);
    let stopped = record.ending.as_deref() == Some("stop");
    // Text that is tokenized again does not always give back the tokens that
    // it was made of. Unless the server says that it stopped by itself, such
    // a count shows another length only when it is off by more than that.
    let tolerated = match source {
        TokenSource::Text if !stopped => (requested / 20).max(2),
        _ => 0,
    };
    if generated.abs_diff(requested) <= tolerated {
        return;
    }
    if generated > requested {
        sum.longer += 1;
        return;
    }
    sum.shorter += 1;
    sum.shorter_by_stop += u64::from(stopped);
    sum.shorter_by_length += u64::from(record.ending.as_deref() == Some("length"));
}

/// Tokens per message.
pub(super) fn messages(finished: &[(&Record, Counted)]) -> Messages {
    let mut count = 0_u64;
    let mut total = Some(0_u64);
    let mut each = Some(Vec::new());
    for (record, counted) in finished {
        if record.marks.is_empty() {
            continue;
        }
        count += u64::try_from(record.marks.len()).unwrap_or(0);
        total = total
            .zip(counted.generated)
            .map(|(sum, (tokens, _))| sum + tokens);
        match (counted.one_each, &mut each) {
            (Some(one_each), Some(each)) => each.extend(record.marks.iter().map(|mark| {
                if one_each {
                    1.0
                } else {
                    f64::from(mark.tokens)
                }
            })),
            _ => each = None,
        }
    }
    Messages {
        count,
        mean: total
            .filter(|_| count > 0)
            .map(|tokens| tokens as f64 / count as f64),
        tokens: each.and_then(Distribution::of),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, recounts};
    use crate::record::{Record, Recount, RequestKey, Run};

    /// A job that is played in two blocks, and leads one of them in, has three
    /// answers, and each its own count.
    #[test]
    fn an_index_that_comes_again_has_a_count_of_its_own() {
        let key = |block, lead_in, index| RequestKey {
            block,
            lead_in,
            index,
        };
        let places = [key(0, false, 7), key(1, true, 7), key(1, false, 7)];
        let run = Run {
            recount: Recount {
                answers: vec![(3, 9, 1)],
                in_blocks: (10..).zip(places).map(|(n, key)| (key, n, 1)).collect(),
            },
            ..Run::default()
        };
        let recounts = recounts(&run);
        for (key, tokens) in places
            .into_iter()
            .chain([key(0, false, 3)])
            .zip([10, 11, 12, 9])
        {
            let record = Record {
                index: key.index,
                block: key.block,
                lead_in: key.lead_in,
                ..Record::default()
            };
            let counted = count(&record, &recounts)
                .generated
                .map(|(tokens, _)| tokens);
            assert_eq!(counted, Some(tokens), "{key:?}");
        }
    }
}
