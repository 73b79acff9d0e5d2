//! The figures of one arm.

use std::collections::BTreeMap;

use serde::Serialize;

use super::server;
use crate::record::Run;
use crate::stats::{self, Distribution, Summary};

#[derive(Serialize)]
pub(super) struct Figures<'a> {
    requests: Requests<'a>,
    blocks: Option<Blocks>,
    elapsed_ns: Option<u64>,
    output_tokens_per_s: Option<f64>,
    total_tokens_per_s: Option<f64>,
    requests_per_s: Option<f64>,
    requests_per_min: Option<f64>,
    ttft_ns: Option<Spread>,
    first_event_ns: Option<Spread>,
    tpot_ns: Option<Spread>,
    itl_ns: Option<Spread>,
    e2e_ns: Option<Spread>,
    slip_ns: Option<Spread>,
    tokens: Tokens,
    messages: Messages,
    way: Way<'a>,
    client: Client,
    server: Option<server::Shown<'a>>,
}

#[derive(Serialize)]
struct Requests<'a> {
    planned: u64,
    finished: u64,
    failed: u64,
    failed_by_kind: &'a BTreeMap<String, u64>,
    unfinished: u64,
}

#[derive(Serialize)]
struct Blocks {
    played: usize,
    cut: usize,
}

#[derive(Serialize)]
struct Spread {
    count: u64,
    mean: f64,
    min: f64,
    p50: f64,
    p90: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

#[derive(Serialize)]
struct Tokens {
    prompt_tokens: u64,
    server_prompt_tokens: Option<u64>,
    requested_tokens: u64,
    generated_tokens: Option<u64>,
    source: Option<&'static str>,
    uncounted_requests: u64,
    shorter_requests: u64,
    longer_requests: u64,
    recounted: Option<Recounted>,
}

/// The answers' texts counted again, beside the count that the wire tells.
#[derive(Serialize)]
struct Recounted {
    requests: u64,
    wire_tokens: u64,
    text_tokens: u64,
}

#[derive(Serialize)]
struct Messages {
    count: u64,
    mean_tokens: Option<f64>,
}

#[derive(Serialize)]
struct Way<'a> {
    whole_ns: Option<f64>,
    client_ns: Option<f64>,
    rest_ns: Option<f64>,
    hops: Vec<Hop<'a>>,
}

#[derive(Serialize)]
struct Hop<'a> {
    name: &'a str,
    until_first_ns: f64,
    total_ns: f64,
    calls: f64,
}

#[derive(Serialize)]
struct Client {
    in_flight_peak: u64,
    cpu_percent: Option<f64>,
    busiest_thread_percent: Option<f64>,
    busiest_thread_wait_percent: Option<f64>,
    host_took_percent: Option<f64>,
}

impl<'a> Figures<'a> {
    pub(super) fn of(run: &'a Run, summary: &'a Summary) -> Self {
        let latencies = &summary.latencies;
        let blocks = &run.blocks;
        Self {
            requests: Requests {
                planned: summary.counts.planned,
                finished: summary.counts.finished,
                failed: summary.counts.failed(),
                failed_by_kind: &summary.counts.failed_by_kind,
                unfinished: summary.counts.unfinished,
            },
            blocks: run.header.experiment.as_ref().map(|_| Blocks {
                played: blocks.len(),
                cut: blocks.iter().filter(|block| block.cut).count(),
            }),
            elapsed_ns: summary.elapsed_ns,
            output_tokens_per_s: summary.output_tokens_per_s,
            total_tokens_per_s: summary.total_tokens_per_s,
            requests_per_s: summary.requests_per_s,
            requests_per_min: summary.requests_per_min,
            ttft_ns: latencies.ftl.map(spread),
            first_event_ns: latencies.first_event.map(spread),
            tpot_ns: latencies.tpot.map(spread),
            itl_ns: latencies.itl.map(spread),
            e2e_ns: latencies.e2e.map(spread),
            slip_ns: latencies.slip.map(spread),
            tokens: tokens(&summary.tokens),
            messages: Messages {
                count: summary.messages.count,
                mean_tokens: summary.messages.mean,
            },
            way: way(&summary.way),
            client: Client {
                in_flight_peak: summary.client.in_flight_peak,
                cpu_percent: summary.client.cpu_percent,
                busiest_thread_percent: summary.client.busiest_thread_percent,
                busiest_thread_wait_percent: summary.client.busiest_thread_wait_percent,
                host_took_percent: summary.client.host_took_percent,
            },
            server: summary.server.as_ref().map(server::Shown::of),
        }
    }
}

fn spread(of: Distribution) -> Spread {
    Spread {
        count: of.count,
        mean: of.mean,
        min: of.min,
        p50: of.p50,
        p90: of.p90,
        p95: of.p95,
        p99: of.p99,
        max: of.max,
    }
}

fn tokens(of: &stats::Tokens) -> Tokens {
    Tokens {
        prompt_tokens: of.prompt,
        server_prompt_tokens: of.server_prompts.map(|counts| counts.server),
        requested_tokens: of.requested,
        generated_tokens: of.generated,
        source: of.source().map(stats::TokenSource::name),
        uncounted_requests: of.uncounted,
        shorter_requests: of.shorter,
        longer_requests: of.longer,
        recounted: of.text_check.map(|check| Recounted {
            requests: check.requests,
            wire_tokens: check.wire,
            text_tokens: check.text,
        }),
    }
}

fn way(of: &stats::Way) -> Way<'_> {
    let hops = of.hops.iter().map(|hop| Hop {
        name: &hop.name,
        until_first_ns: hop.until_first_ns,
        total_ns: hop.total_ns,
        calls: hop.calls,
    });
    Way {
        whole_ns: of.whole_ns,
        client_ns: of.other_ns,
        rest_ns: of.rest_ns(),
        hops: hops.collect(),
    }
}
