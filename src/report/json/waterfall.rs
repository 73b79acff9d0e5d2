//! Where a difference comes from, for machines.

use serde::Serialize;

use crate::stats::{self, PartKind, Time, Waterfall};

#[derive(Serialize)]
pub(super) struct Shown<'a> {
    of: &'static str,
    slow: usize,
    fast: usize,
    slow_ns: Estimate,
    fast_ns: Estimate,
    gap_ns: Estimate,
    parts: Vec<Part<'a>>,
    rest_ns: Estimate,
}

#[derive(Serialize)]
struct Part<'a> {
    kind: &'static str,
    ns: Estimate,
    source: &'a str,
}

#[derive(Serialize)]
struct Estimate {
    mean: f64,
    low: Option<f64>,
    high: Option<f64>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(of: &'a Waterfall) -> Self {
        let part = |part: &'a stats::Part| Part {
            kind: kind(part.kind),
            ns: estimate(part.estimate),
            source: &part.source,
        };
        Self {
            of: match of.of {
                Time::Ttft => "ttft",
                Time::Itl => "itl",
                Time::PerRequest => "slot_time_per_request",
            },
            slow: of.slow,
            fast: of.fast,
            slow_ns: estimate(of.slow_ns),
            fast_ns: estimate(of.fast_ns),
            gap_ns: estimate(of.gap),
            parts: of.parts.iter().map(part).collect(),
            rest_ns: estimate(of.rest),
        }
    }
}

fn kind(of: PartKind) -> &'static str {
    match of {
        PartKind::ClientFloor => "client_floor",
        PartKind::Connect => "connect",
        PartKind::Preprocess => "preprocess",
        PartKind::RoundTrips => "round_trips",
        PartKind::FrontEnd => "front_end",
        PartKind::FrontEndAndEngine => "front_end_and_engine",
        PartKind::Engine => "engine",
        PartKind::Postprocess => "postprocess",
    }
}

fn estimate(of: stats::Estimate) -> Estimate {
    Estimate {
        mean: of.mean_ns,
        low: of.interval.map(|(low, _)| low),
        high: of.interval.map(|(_, high)| high),
    }
}
