//! Every figure of one run, from its integer records. Definitions are those of
//! the page "What is measured"; a figure that cannot be had is absent, never
//! zero and never NaN.

use std::collections::BTreeMap;

use super::client::{Client, client};
use super::distribution::Distribution;
use super::server::{ServerFigures, server};
use super::start::{Start, start};
use super::steady;
use super::tokens::{self, Counted, Messages, Recounts, Tokens};
use super::way::{Way, way};
use crate::record::{Record, Run};

/// What became of the planned requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests planned.
    pub planned: u64,
    /// Requests that came to a good end.
    pub finished: u64,
    /// Failed requests by kind.
    pub failed_by_kind: BTreeMap<String, u64>,
    /// Planned requests without a record.
    pub unfinished: u64,
}

impl Counts {
    /// Failed requests of every kind.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed_by_kind.values().sum()
    }
}

/// Distributions over the finished requests, in nanoseconds. A failed request
/// adds nothing. What needs an answer in pieces is absent where answers did not
/// stream. Start is the moment of issue (closed loop).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latencies {
    /// First-token latency: start to the first mark.
    pub ftl: Option<Distribution>,
    /// Start to the first message of any kind.
    pub first_event: Option<Distribution>,
    /// (last mark - first mark) / (tokens after the first message).
    pub tpot: Option<Distribution>,
    /// Gaps between successive marks of one request, of all requests together.
    pub itl: Option<Distribution>,
    /// Start to the end of the answer.
    pub e2e: Option<Distribution>,
    /// Issued minus scheduled: the client's own delay.
    pub slip: Option<Distribution>,
}

/// The figures of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// What became of the planned requests.
    pub counts: Counts,
    /// From the first finished request's start to the last answer's end, in
    /// nanoseconds, prefill included. In a run of blocks: their steady windows
    /// together, in which every slot was busy; blocks that were cut have none.
    pub elapsed_ns: Option<u64>,
    /// Generated tokens per second of `elapsed_ns`. In a run of blocks: those
    /// that arrived in the windows, of whatever answer.
    pub output_tokens_per_s: Option<f64>,
    /// Prompt (as planned) and generated tokens per second. In a run of blocks
    /// the prompts are those whose first piece of an answer arrived in the
    /// windows.
    pub total_tokens_per_s: Option<f64>,
    /// Finished requests per second. In a run of blocks: answers that ended in
    /// the windows.
    pub requests_per_s: Option<f64>,
    /// Finished requests per minute.
    pub requests_per_min: Option<f64>,
    /// Counts of tokens and where they come from.
    pub tokens: Tokens,
    /// Latencies and the client's slip.
    pub latencies: Latencies,
    /// Tokens per message, where answers stream.
    pub messages: Messages,
    /// The way to the first token.
    pub way: Way,
    /// How the run got off, if it did so with a burst.
    pub start: Option<Start>,
    /// What the client did.
    pub client: Client,
    /// What the server counted of itself; `None` where it tells nothing.
    pub server: Option<ServerFigures>,
}

/// Makes all figures of a run. The order of its records does not matter.
#[must_use]
pub fn summarize(run: &Run) -> Summary {
    let recounts: Recounts = tokens::recounts(run);
    let finished: Vec<(&Record, Counted)> = run
        .records
        .iter()
        .filter(|record| record.is_ok())
        .map(|record| (record, tokens::count(record, &recounts)))
        .collect();
    let counts = counts(run);
    let tokens = tokens::tokens(&finished);
    let rates = if run.blocks.is_empty() {
        rates(run, &finished, &tokens)
    } else {
        steady_rates(run)
    };
    let messages = if run.header.stream {
        tokens::messages(&finished)
    } else {
        Messages::default()
    };
    Summary {
        elapsed_ns: rates.elapsed_ns,
        output_tokens_per_s: rates.output_tokens_per_s,
        total_tokens_per_s: rates.total_tokens_per_s,
        requests_per_s: rates.requests_per_s,
        requests_per_min: rates.requests_per_s.map(|rate| rate * 60.0),
        latencies: latencies(&finished, run.header.stream),
        messages,
        way: way(finished.iter().map(|(record, _)| *record)),
        // A block begins with a lead-in: nothing of it starts in a burst.
        start: start(&run.records).filter(|_| run.blocks.is_empty()),
        client: client(run),
        server: server(run),
        counts,
        tokens,
    }
}

/// Figures per second.
#[derive(Default)]
struct Rates {
    elapsed_ns: Option<u64>,
    output_tokens_per_s: Option<f64>,
    total_tokens_per_s: Option<f64>,
    requests_per_s: Option<f64>,
}

/// Over the whole of a run that has no blocks.
fn rates(run: &Run, finished: &[(&Record, Counted)], tokens: &Tokens) -> Rates {
    let elapsed_ns = elapsed_ns(&run.records, finished);
    let per_s = |amount: u64| {
        let elapsed_ns = elapsed_ns.filter(|elapsed_ns| *elapsed_ns > 0)?;
        Some(amount as f64 / (elapsed_ns as f64 / 1e9))
    };
    let requests = u64::try_from(finished.len()).ok();
    Rates {
        elapsed_ns,
        output_tokens_per_s: tokens.generated.and_then(per_s),
        total_tokens_per_s: tokens
            .generated
            .and_then(|generated| per_s(generated + tokens.prompt)),
        requests_per_s: requests.and_then(per_s),
    }
}

/// Over the steady windows of a run's blocks.
fn steady_rates(run: &Run) -> Rates {
    let Some(steady) = steady::of_blocks(run) else {
        return Rates::default();
    };
    let total = |output: f64| output + steady.prompt_tokens as f64;
    Rates {
        elapsed_ns: Some(steady.window_ns),
        output_tokens_per_s: steady.output_tokens.and_then(|tokens| steady.per_s(tokens)),
        total_tokens_per_s: steady
            .output_tokens
            .and_then(|tokens| steady.per_s(total(tokens))),
        requests_per_s: steady.per_s(steady.requests as f64),
    }
}

fn counts(run: &Run) -> Counts {
    let planned = u64::from(run.header.num_prompts);
    let seen = u64::try_from(run.records.len()).unwrap_or(u64::MAX);
    let mut failed_by_kind: BTreeMap<String, u64> = BTreeMap::new();
    for record in run.records.iter().filter(|record| !record.is_ok()) {
        *failed_by_kind.entry(record.outcome.clone()).or_default() += 1;
    }
    let failed: u64 = failed_by_kind.values().sum();
    Counts {
        planned,
        finished: seen.saturating_sub(failed),
        failed_by_kind,
        unfinished: planned.saturating_sub(seen),
    }
}

/// From the first request's start, whatever became of it, to the last answer's
/// end.
fn elapsed_ns(records: &[Record], finished: &[(&Record, Counted)]) -> Option<u64> {
    let first_ns = records.iter().map(|record| record.issued_ns).min()?;
    let last_ns = finished.iter().map(|(record, _)| record.end_ns).max()?;
    Some(last_ns.saturating_sub(first_ns))
}

fn latencies(finished: &[(&Record, Counted)], stream: bool) -> Latencies {
    let over = |sample: fn(&Record, Counted) -> Option<f64>| {
        Distribution::of(
            finished
                .iter()
                .filter_map(|(record, counted)| sample(record, *counted))
                .collect(),
        )
    };
    let mut all = Latencies {
        e2e: over(|record, _| Some(since_ns(record.end_ns, record.issued_ns))),
        slip: over(|record, _| Some(since_ns(record.issued_ns, record.scheduled_ns))),
        ..Latencies::default()
    };
    if stream {
        all.ftl = over(|record, _| Some(since_ns(record.marks.first()?.at_ns, record.issued_ns)));
        all.first_event =
            over(|record, _| Some(since_ns(record.first_event_ns?, record.issued_ns)));
        all.tpot = over(tpot_ns);
        all.itl = Distribution::of(
            finished
                .iter()
                .flat_map(|(record, _)| record.marks.windows(2))
                .filter_map(|pair| match pair {
                    [earlier, later] => Some(since_ns(later.at_ns, earlier.at_ns)),
                    _ => None,
                })
                .collect(),
        );
    }
    all
}

/// Absent without a second message, without tokens after the first, and where
/// the tokens of the whole or of the first message are not known.
fn tpot_ns(record: &Record, counted: Counted) -> Option<f64> {
    let [first, .., last] = record.marks.as_slice() else {
        return None;
    };
    let (total, _) = counted.generated?;
    let after_first = total.checked_sub(counted.first?).filter(|rest| *rest > 0)?;
    Some(since_ns(last.at_ns, first.at_ns) / after_first as f64)
}

/// Nanoseconds from `earlier` to `later`; 0 in records that run backwards.
fn since_ns(later: u64, earlier: u64) -> f64 {
    later.saturating_sub(earlier) as f64
}
