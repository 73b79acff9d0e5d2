//! What a comparison found, for machines.

use serde::Serialize;

use super::super::tables::compared::notes;
use crate::stats::{Arm, Basis, Compared, Comparison, Finding, Metric, sentence};

#[derive(Serialize)]
pub(super) struct Shown<'a> {
    arms: &'a [String],
    basis: Paired,
    margin: f64,
    notes: Vec<String>,
    pairs: Vec<Pair<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Paired {
    Blocks {
        blocks: u32,
        requests_per_block: u32,
        duet: bool,
        precision: Option<f64>,
        blocks_wanted: Option<u32>,
    },
    Requests {
        pairs: u32,
        requests_per_batch: u32,
    },
    BlocksApart {
        first_blocks: u32,
        other_blocks: u32,
        least_requests_per_block: u32,
    },
}

#[derive(Serialize)]
struct Pair<'a> {
    first: usize,
    other: usize,
    metrics: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    metric: &'static str,
    primary: bool,
    ratio: Option<f64>,
    ratio_low: Option<f64>,
    ratio_high: Option<f64>,
    ratio_by_block: &'a [Option<f64>],
    finding: &'static str,
    more_blocks: Option<u32>,
    sentence: String,
}

impl<'a> Shown<'a> {
    pub(super) fn of(comparison: &'a Comparison, arms: &[Arm<'_>]) -> Self {
        let pairs = comparison.pairs.iter().map(|pair| {
            let row = |of: &'a Compared| row(of, sentence(comparison, pair, of.metric));
            Pair {
                first: 0,
                other: pair.other,
                metrics: pair.metrics.iter().map(row).collect(),
            }
        });
        Self {
            arms: &comparison.arms,
            basis: basis(&comparison.basis),
            margin: comparison.margin,
            notes: notes(comparison, arms),
            pairs: pairs.collect(),
        }
    }
}

fn basis(of: &Basis) -> Paired {
    match *of {
        Basis::Blocks {
            blocks,
            requests,
            duet,
            precision,
            wanted,
        } => Paired::Blocks {
            blocks,
            requests_per_block: requests,
            duet,
            precision,
            blocks_wanted: wanted,
        },
        Basis::Requests { pairs, batch } => Paired::Requests {
            pairs,
            requests_per_batch: batch,
        },
        Basis::BlocksApart {
            first_blocks,
            other_blocks,
            least_requests,
        } => Paired::BlocksApart {
            first_blocks,
            other_blocks,
            least_requests_per_block: least_requests,
        },
    }
}

fn row(of: &Compared, sentence: String) -> Row<'_> {
    let (finding, more_blocks) = match of.finding {
        Finding::First => ("first_better", None),
        Finding::Other => ("other_better", None),
        Finding::Same => ("same_within_margin", None),
        Finding::Undecided { more_blocks } => ("undecided", more_blocks),
        Finding::Unknown => ("unknown", None),
    };
    Row {
        metric: key(of.metric),
        primary: of.primary,
        ratio: of.ratio.map(|ratio| ratio.point),
        ratio_low: of.ratio.map(|ratio| ratio.low),
        ratio_high: of.ratio.map(|ratio| ratio.high),
        ratio_by_block: &of.blocks,
        finding,
        more_blocks,
        sentence,
    }
}

/// A metric's name for machines.
fn key(metric: Metric) -> &'static str {
    match metric {
        Metric::OutputTokensPerS => "output_tokens_per_s",
        Metric::TotalTokensPerS => "total_tokens_per_s",
        Metric::RequestsPerS => "requests_per_s",
        Metric::FtlMean => "ttft_mean",
        Metric::FtlP50 => "ttft_p50",
        Metric::FtlP99 => "ttft_p99",
        Metric::FirstEventMean => "first_event_mean",
        Metric::TpotMean => "tpot_mean",
        Metric::TpotP99 => "tpot_p99",
        Metric::ItlMean => "itl_mean",
        Metric::ItlP99 => "itl_p99",
        Metric::E2eMean => "e2e_mean",
        Metric::E2eP50 => "e2e_p50",
        Metric::E2eP99 => "e2e_p99",
    }
}
