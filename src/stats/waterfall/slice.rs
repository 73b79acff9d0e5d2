//! The requests of one arm that are set beside those of another: a block, or a
//! run that has none. Sums integers; knows no other arm.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::record::{HopRecord, Mark, Record, Run};

/// The finished requests of one block of one arm, or of a whole run.
pub(super) struct Slice<'a> {
    /// The block's own.
    pub(super) own: Vec<&'a Record>,
    /// Those that led it in: the server's counters have them, too.
    pub(super) lead_in: Vec<&'a Record>,
    /// The server's counters over it.
    pub(super) counters: Cow<'a, BTreeMap<String, f64>>,
    /// The client called Triton's engine model by itself: it got ids, or made
    /// the text of them.
    pub(super) asks_engine: bool,
    /// Answers came in pieces.
    pub(super) stream: bool,
}

/// What a slice has of a counter that nobody read.
static NO_COUNTERS: BTreeMap<String, f64> = BTreeMap::new();

/// The blocks of a run that it played to their end, by number; a run without
/// blocks is one by itself.
pub(super) fn slices(run: &Run) -> BTreeMap<u32, Slice<'_>> {
    if run.blocks.is_empty() {
        return BTreeMap::from([(0, slice(run, None, of_run(run)))]);
    }
    let whole = run.blocks.iter().filter(|block| !block.cut);
    whole
        .map(|block| {
            let counters = Cow::Borrowed(&block.server_counters);
            let of = slice(run, Some(block.number), counters);
            (block.number, of)
        })
        .collect()
}

/// The counters of a run without blocks.
fn of_run(run: &Run) -> Cow<'_, BTreeMap<String, f64>> {
    let counters = run.end.as_ref().map(|end| &end.server_counters);
    Cow::Borrowed(counters.unwrap_or(&NO_COUNTERS))
}

/// All blocks of a run that was made apart from the other as one slice, whose own
/// requests are those in `common`, each by its first play: the other run has the
/// same, however it cut them into blocks.
pub(super) fn of_jobs<'a>(run: &'a Run, common: &BTreeSet<u32>) -> Slice<'a> {
    let mut whole = if run.blocks.is_empty() {
        slice(run, None, of_run(run))
    } else {
        let mut counters = BTreeMap::new();
        for block in run.blocks.iter().filter(|block| !block.cut) {
            for (name, value) in &block.server_counters {
                *counters.entry(name.clone()).or_insert(0.0) += value;
            }
        }
        slice(run, None, Cow::Owned(counters))
    };
    let mut seen = BTreeSet::new();
    let (own, others) = std::mem::take(&mut whole.own)
        .into_iter()
        .filter(|record| was_played_whole(run, record))
        .partition(|record| common.contains(&record.index) && seen.insert(record.index));
    whole.own = own;
    // The counters have these, too.
    whole.lead_in.retain(|record| was_played_whole(run, record));
    whole.lead_in.extend::<Vec<_>>(others);
    whole
}

/// The jobs that every one of the runs finished.
pub(super) fn common_jobs<'a>(runs: impl IntoIterator<Item = &'a Run>) -> BTreeSet<u32> {
    let jobs = runs.into_iter().map(|run| {
        let finished = run.records.iter().filter(|record| record.is_ok());
        let whole = finished.filter(|record| was_played_whole(run, record));
        whole.map(|record| record.index).collect::<BTreeSet<u32>>()
    });
    jobs.reduce(|one, other| &one & &other).unwrap_or_default()
}

/// Its block was not cut, or it has none.
fn was_played_whole(run: &Run, record: &Record) -> bool {
    let cut = |number: u32| run.blocks.iter().any(|of| of.number == number && of.cut);
    run.blocks.is_empty() || !cut(record.block)
}

fn slice<'a>(
    run: &'a Run,
    number: Option<u32>,
    counters: Cow<'a, BTreeMap<String, f64>>,
) -> Slice<'a> {
    let finished = |records: &'a [Record]| -> Vec<&'a Record> {
        let ours = |record: &&Record| number.is_none_or(|number| record.block == number);
        let finished = records.iter().filter(|record| record.is_ok());
        finished.filter(ours).collect()
    };
    let own = finished(&run.records);
    let ids = run.header.answer == "token_ids";
    let made = !own.is_empty() && own.iter().all(|record| !record.engine_marks.is_empty());
    Slice {
        asks_engine: run.header.family == "tis" && (ids || made),
        own,
        lead_in: finished(&run.lead_in),
        counters,
        stream: run.header.stream,
    }
}

impl Slice<'_> {
    /// Mean of a figure over the own requests that have it.
    pub(super) fn mean(&self, figure: impl Fn(&Record) -> Option<f64>) -> Option<f64> {
        let values = self.own.iter().filter_map(|record| figure(record));
        let (sum, count) =
            values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// Requests that the server's counters count.
    pub(super) fn served(&self) -> f64 {
        (self.own.len() + self.lead_in.len()) as f64
    }

    /// Mean gap of the messages that `marks` gives, over all gaps together.
    pub(super) fn gap_ns(&self, marks: impl Fn(&Record) -> &[Mark]) -> Option<f64> {
        let (mut span_ns, mut gaps) = (0.0, 0);
        for record in &self.own {
            let marks = marks(record);
            span_ns += span(marks);
            gaps += marks.len().saturating_sub(1);
        }
        (gaps > 0).then(|| span_ns / gaps as f64)
    }

    /// Time from one token of the engine to the next, as its messages arrive.
    pub(super) fn pace_ns(&self) -> Option<f64> {
        let (mut span_ns, mut tokens) = (0.0, 0.0);
        for record in &self.own {
            let count = record.completion_tokens.unwrap_or(record.requested_tokens);
            span_ns += span(arrivals(record));
            tokens += f64::from(count.saturating_sub(1));
        }
        (self.stream && span_ns > 0.0 && tokens > 0.0).then(|| span_ns / tokens)
    }
}

/// When the engine's messages arrived: of their own where the client chains the
/// models, else those of the answer.
pub(in super::super) fn arrivals(record: &Record) -> &[Mark] {
    if record.engine_marks.is_empty() {
        &record.marks
    } else {
        &record.engine_marks
    }
}

/// From the first mark to the last.
pub(in super::super) fn span(marks: &[Mark]) -> f64 {
    match marks {
        [first, .., last] => since_ns(last.at_ns, first.at_ns),
        _ => 0.0,
    }
}

/// How much later the text was whole than the engine's last token was there.
pub(super) fn lag_ns(record: &Record) -> f64 {
    match (record.marks.last(), record.engine_marks.last()) {
        (Some(text), Some(engine)) => since_ns(text.at_ns, engine.at_ns),
        _ => 0.0,
    }
}

/// A hop; zeros where it was not entered.
pub(super) fn hop(record: &Record, name: &str) -> HopRecord {
    record.hops.get(name).copied().unwrap_or_default()
}

/// Nanoseconds from `earlier` to `later`; 0 in records that run backwards.
pub(super) fn since_ns(later: u64, earlier: u64) -> f64 {
    later.saturating_sub(earlier) as f64
}
