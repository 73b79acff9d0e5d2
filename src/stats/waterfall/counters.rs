//! What servers' own counters say of a slice, where they may be believed. Reads
//! names that Triton and LMDeploy write; knows no hop.
//!
//! Triton's ModelStatistics (as `MODEL.FIELD`): `success` is a request's whole
//! time in the server, queue included (Triton's protocol extension
//! "statistics"). Of a decoupled model it counts the time until `execute`
//! returned (seen on 2.51), which is not the engine's: such values are told by
//! being shorter than the client saw tokens come. LMDeploy's `/metrics`
//! (`lmdeploy/metrics/loggers.py`, from 0.9.2 on): histograms of the time in the
//! queue, in prefill and in decoding, in seconds.

use super::slice::{Slice, arrivals, hop, span};
use crate::record::Record;

/// Requests that a counter may count more or fewer than the records, as a share.
const OTHERS_MOST: f64 = 0.02;

/// Calls that a server makes itself, in nanoseconds, queue included.
pub(super) struct Chained {
    /// The one preprocessing call of a request.
    pub(super) pre_ns: f64,
    /// One postprocessing call: what the first piece of text waits for, and the
    /// last; those in between lie beside the engine.
    pub(super) post_ns: f64,
}

/// The calls of a server that chains the models: counted there, and not made by
/// the client.
pub(super) fn chained(slice: &Slice<'_>) -> Option<Chained> {
    let calls = |record: &&Record| hop(record, "preprocess").calls > 0;
    if slice.own.iter().any(calls) {
        return None;
    }
    let (pre_ns, pre) = mean_ns(slice, "preprocessing")?;
    let (post_ns, post) = mean_ns(slice, "postprocessing")?;
    (fits(pre, slice.served()) && post >= slice.served()).then_some(Chained { pre_ns, post_ns })
}

/// Of the time of the client's own calls, the share within the server: of
/// preprocessing and of postprocessing, models that are not decoupled. The rest of
/// such a call is front end and wire.
///
/// The server counts requests that led in, too, which may have waited for each
/// other as no later one does. So the counters give what a call takes beyond its
/// model's time, over all calls, and that is taken from the own ones. As the way
/// may have been longer for those that led in, too, no less is left than the model
/// computes.
pub(super) fn inside(slice: &Slice<'_>) -> (Option<f64>, Option<f64>) {
    let of = |hop_name: &'static str, model: &str| {
        let own = seen(slice.own.iter(), hop_name)?;
        let all = seen(slice.own.iter().chain(&slice.lead_in), hop_name)?;
        let (inside_ns, counted) = mean_ns(slice, model)?;
        let beyond_ns = all.call_ns - inside_ns;
        let told = fits(counted, all.calls) && beyond_ns >= 0.0 && own.call_ns > 0.0;
        let inside_ns = (own.call_ns - beyond_ns).max(computing_ns(slice, model));
        told.then(|| (inside_ns / own.call_ns).min(1.0))
    };
    (
        of("preprocess", "preprocessing"),
        of("postprocess", "postprocessing"),
    )
}

/// Calls as the client saw them.
struct Seen {
    calls: f64,
    /// Mean time of one.
    call_ns: f64,
}

fn seen<'a>(records: impl Iterator<Item = &'a &'a Record>, name: &'static str) -> Option<Seen> {
    let hops = records.map(|record| hop(record, name));
    let (calls, total_ns) = hops.fold((0.0, 0.0), |(calls, total_ns), hop| {
        (calls + f64::from(hop.calls), total_ns + hop.total_ns as f64)
    });
    (calls > 0.0).then(|| Seen {
        calls,
        call_ns: total_ns / calls,
    })
}

/// The engine's time to the first token, its queue included.
pub(super) fn first_token_ns(slice: &Slice<'_>) -> Option<f64> {
    let wait_s = histogram(slice, "lmdeploy:request_queue_time_seconds")?;
    let prefill_s = histogram(slice, "lmdeploy:request_prefill_time_seconds")?;
    Some((wait_s + prefill_s) * 1e9)
}

/// The engine's time from token to token.
pub(super) fn pace_ns(slice: &Slice<'_>) -> Option<f64> {
    let decode_s = histogram(slice, "lmdeploy:request_decode_time_seconds")? * slice.served();
    let all = slice.own.iter().chain(&slice.lead_in);
    let tokens: Option<f64> = all
        .map(|record| Some(f64::from(record.completion_tokens?.saturating_sub(1))))
        .sum();
    let tokens = tokens.filter(|tokens| *tokens > 0.0)?;
    Some(decode_s * 1e9 / tokens)
}

/// The engine's time for a whole request.
pub(super) fn request_ns(slice: &Slice<'_>) -> Option<f64> {
    let of_triton = || {
        // What counts requests that led in, too, is corrected by what they are seen
        // to differ by.
        let (inside_ns, count) = mean_ns(slice, "turbomind")?;
        let all = || slice.own.iter().chain(&slice.lead_in);
        let of_all = |figure: &dyn Fn(&Record) -> f64| {
            all().map(|record| figure(record)).sum::<f64>() / slice.served()
        };
        let seen_ns = of_all(&|record| hop(record, "engine").total_ns as f64);
        let streamed_ns = of_all(&|record| span(arrivals(record)));
        let own_ns = slice.mean(|record| Some(hop(record, "engine").total_ns as f64))?;
        let whole = inside_ns >= streamed_ns && inside_ns <= seen_ns && streamed_ns > 0.0;
        (fits(count, slice.served()) && whole).then_some(own_ns - (seen_ns - inside_ns))
    };
    let of_lmdeploy = || {
        let rest =
            slice.mean(|record| Some(f64::from(record.completion_tokens?.saturating_sub(1))))?;
        Some(first_token_ns(slice)? + pace_ns(slice)? * rest)
    };
    of_lmdeploy().or_else(of_triton)
}

/// Mean time that Triton counted for a request of a model, and their number.
fn mean_ns(slice: &Slice<'_>, model: &str) -> Option<(f64, f64)> {
    let count = *slice.counters.get(&format!("{model}.success_count"))?;
    let total_ns = *slice.counters.get(&format!("{model}.success_ns"))?;
    (count > 0.0 && total_ns >= 0.0).then(|| (total_ns / count, count))
}

/// Mean time that Triton counted for a request's computing, in and output
/// included; 0 where it does not tell.
fn computing_ns(slice: &Slice<'_>, model: &str) -> f64 {
    let of = |field: &str| slice.counters.get(&format!("{model}.{field}")).copied();
    let parts = ["compute_input_ns", "compute_infer_ns", "compute_output_ns"];
    let total_ns: f64 = parts.into_iter().filter_map(of).sum();
    let count = of("success_count").filter(|count| *count > 0.0);
    count.map_or(0.0, |count| total_ns / count)
}

/// Mean of a histogram of LMDeploy's that counted these requests.
fn histogram(slice: &Slice<'_>, name: &str) -> Option<f64> {
    let count = *slice.counters.get(&format!("{name}_count"))?;
    let sum = *slice.counters.get(&format!("{name}_sum"))?;
    (fits(count, slice.served()) && sum >= 0.0).then(|| sum / count)
}

fn fits(count: f64, served: f64) -> bool {
    count > 0.0 && (count - served).abs() <= served * OTHERS_MOST
}
