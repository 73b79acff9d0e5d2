//! What the servers counted of themselves while they were measured: sums of the
//! differences over the blocks that were played to their end, and means per
//! call. Says what a server says; whether it may be believed is the waterfall's
//! to find out, but for times that cannot be an answer's.

use std::collections::BTreeMap;

use super::waterfall::{arrivals, span};
use crate::record::{Record, Run};

/// A server's own counters over a run. Lead-ins, and whatever other clients
/// asked meanwhile, are in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerFigures {
    /// Blocks played to their end whose counters were read; `None` for a run
    /// without blocks.
    pub blocks_read: Option<u32>,
    /// Blocks played to their end.
    pub blocks_whole: Option<u32>,
    /// A counter fell: the server was started anew. What fell is in no sum.
    pub fell: bool,
    /// Triton's models, by name.
    pub models: Vec<ModelFigures>,
    /// Prometheus histograms, by name.
    pub histograms: Vec<HistogramFigures>,
    /// Prometheus counters, by name, and what they grew by.
    pub totals: Vec<(String, f64)>,
}

/// What Triton's ModelStatistics say of one model. Means are over the calls that
/// came to a good end, in nanoseconds; `None` where there was none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelFigures {
    /// The model's name.
    pub name: String,
    /// Calls that came to a good end.
    pub calls: f64,
    /// Calls that failed.
    pub failed_calls: f64,
    /// Waited for an instance.
    pub queue_ns: Option<f64>,
    /// Inputs were made ready.
    pub input_ns: Option<f64>,
    /// The model ran.
    pub infer_ns: Option<f64>,
    /// Outputs were taken.
    pub output_ns: Option<f64>,
    /// The whole call, queue included.
    pub whole_ns: Option<f64>,
    /// The engine's calls, told as shorter than the client saw their tokens come:
    /// the times end before the answer did.
    pub ends_before_answer: bool,
}

/// What a histogram grew by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramFigures {
    /// Its name, without `_sum` and `_count`.
    pub name: String,
    /// Observations.
    pub count: f64,
    /// Mean of one, in the unit of the name.
    pub mean: f64,
}

impl HistogramFigures {
    /// The mean in milliseconds, where the histogram is one of seconds (Prometheus'
    /// naming puts the unit at the end).
    #[must_use]
    pub fn mean_ms(&self) -> Option<f64> {
        let of_time = self.name.ends_with("_seconds");
        of_time.then_some(self.mean * 1e3)
    }
}

type Counters = BTreeMap<String, f64>;

/// The counters of a run; `None` where the server had none.
pub(super) fn server(run: &Run) -> Option<ServerFigures> {
    let whole: Vec<&Counters> = match run.blocks.as_slice() {
        [] => run.end.iter().map(|end| &end.server_counters).collect(),
        blocks => {
            let whole = blocks.iter().filter(|block| !block.cut);
            whole.map(|block| &block.server_counters).collect()
        }
    };
    let in_blocks = |count: usize| {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        (!run.blocks.is_empty()).then_some(count)
    };
    let read: Vec<&Counters> = whole
        .iter()
        .copied()
        .filter(|counters| !counters.is_empty())
        .collect();
    let (sums, fell) = sums(&read);
    let found = ServerFigures {
        blocks_read: in_blocks(read.len()),
        blocks_whole: in_blocks(whole.len()),
        fell,
        models: models(&sums, run),
        histograms: histograms(&sums),
        totals: totals(&sums),
    };
    let none = found.models.is_empty() && found.histograms.is_empty() && found.totals.is_empty();
    (!none).then_some(found)
}

/// What belongs together: a fall of one takes the others with it.
fn group(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((model, _)) => model,
        None => ["_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name),
    }
}

/// What only grows: Triton's fields, sums and counts of histograms, counters. A
/// gauge's difference says nothing, and a histogram's buckets are added up over
/// their bounds when they are read.
fn grows(name: &str) -> bool {
    let ends = ["_sum", "_count", "_total"];
    name.contains('.') || ends.iter().any(|end| name.ends_with(end))
}

/// Sums over blocks, and whether anything fell.
fn sums(read: &[&Counters]) -> (Counters, bool) {
    let mut sums = Counters::new();
    let mut fell = false;
    for block in read {
        let grown = || block.iter().filter(|(name, _)| grows(name));
        let negative = grown().filter(|(_, value)| **value < 0.0);
        let fallen: Vec<&str> = negative.map(|(name, _)| group(name)).collect();
        fell |= !fallen.is_empty();
        for (name, value) in grown().filter(|(name, _)| !fallen.contains(&group(name))) {
            *sums.entry(name.clone()).or_default() += value;
        }
    }
    (sums, fell)
}

fn models(sums: &Counters, run: &Run) -> Vec<ModelFigures> {
    let names = sums
        .keys()
        .filter_map(|name| Some(name.rsplit_once('.')?.0));
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    let streamed_ns = streamed_ns(run);
    let model = |name: &str| {
        let of = |field: &str| sums.get(&format!("{name}.{field}")).copied();
        let calls = of("success_count").unwrap_or(0.0);
        // As the waterfall divides, so that the parts of a call are parts of it.
        let mean = |field: &str| (calls > 0.0).then(|| of(field).unwrap_or(0.0) / calls);
        let whole_ns = mean("success_ns");
        let engine = name == ENGINE || name == run.header.model;
        let short = whole_ns.zip(streamed_ns);
        ModelFigures {
            name: name.to_owned(),
            calls,
            failed_calls: of("fail_count").unwrap_or(0.0),
            queue_ns: mean("queue_ns"),
            input_ns: mean("compute_input_ns"),
            infer_ns: mean("compute_infer_ns"),
            output_ns: mean("compute_output_ns"),
            whole_ns,
            ends_before_answer: engine && short.is_some_and(|(whole, streamed)| whole < streamed),
        }
    };
    let all = names.into_iter().map(model);
    all.filter(|model| model.calls > 0.0 || model.failed_calls > 0.0)
        .collect()
}

/// LMDeploy's engine, as its model repository names it.
const ENGINE: &str = "turbomind";

/// Mean time over which an answer's tokens came, lead-ins included, as the
/// server's counters have them.
fn streamed_ns(run: &Run) -> Option<f64> {
    let all = run.records.iter().chain(&run.lead_in);
    let finished = all.filter(|record| record.is_ok());
    let spans: Vec<f64> = finished
        .map(|record: &Record| span(arrivals(record)))
        .collect();
    (!spans.is_empty()).then(|| spans.iter().sum::<f64>() / spans.len() as f64)
}

fn histograms(sums: &Counters) -> Vec<HistogramFigures> {
    let of = |name: &String| {
        let base = name.strip_suffix("_count")?;
        let sum = *sums.get(&format!("{base}_sum"))?;
        let count = *sums.get(name)?;
        (count > 0.0).then(|| HistogramFigures {
            name: base.to_owned(),
            count,
            mean: sum / count,
        })
    };
    sums.keys().filter_map(of).collect()
}

fn totals(sums: &Counters) -> Vec<(String, f64)> {
    let totals = sums
        .iter()
        .filter(|(name, _)| name.ends_with("_total") && !name.contains('.'));
    totals.map(|(name, value)| (name.clone(), *value)).collect()
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
