//! The figures by which runs are set side by side, and their ratios. A ratio
//! here is plain arithmetic of two runs: how certain it is, it does not say.

use super::distribution::Distribution;
use super::summary::Summary;

/// A figure that arms are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Generated tokens per second.
    OutputTokensPerS,
    /// Prompt and generated tokens per second.
    TotalTokensPerS,
    /// Finished requests per second.
    RequestsPerS,
    /// Mean first-token latency, ns.
    FtlMean,
    /// Median first-token latency, ns.
    FtlP50,
    /// 99th percentile of the first-token latency, ns.
    FtlP99,
    /// Mean latency of the first message of any kind, ns.
    FirstEventMean,
    /// Mean time per output token, ns.
    TpotMean,
    /// 99th percentile of the time per output token, ns.
    TpotP99,
    /// Mean gap between messages, ns.
    ItlMean,
    /// 99th percentile of the gap between messages, ns.
    ItlP99,
    /// Mean end-to-end latency, ns.
    E2eMean,
    /// Median end-to-end latency, ns.
    E2eP50,
    /// 99th percentile of the end-to-end latency, ns.
    E2eP99,
}

impl Metric {
    /// The figure of one run, in the unit that the variant names; absent where
    /// the run does not have it.
    #[must_use]
    pub fn of(self, summary: &Summary) -> Option<f64> {
        let latencies = &summary.latencies;
        let mean = |of: Option<Distribution>| of.map(|of| of.mean);
        let p50 = |of: Option<Distribution>| of.map(|of| of.p50);
        let p99 = |of: Option<Distribution>| of.map(|of| of.p99);
        match self {
            Self::OutputTokensPerS => summary.output_tokens_per_s,
            Self::TotalTokensPerS => summary.total_tokens_per_s,
            Self::RequestsPerS => summary.requests_per_s,
            Self::FtlMean => mean(latencies.ftl),
            Self::FtlP50 => p50(latencies.ftl),
            Self::FtlP99 => p99(latencies.ftl),
            Self::FirstEventMean => mean(latencies.first_event),
            Self::TpotMean => mean(latencies.tpot),
            Self::TpotP99 => p99(latencies.tpot),
            Self::ItlMean => mean(latencies.itl),
            Self::ItlP99 => p99(latencies.itl),
            Self::E2eMean => mean(latencies.e2e),
            Self::E2eP50 => p50(latencies.e2e),
            Self::E2eP99 => p99(latencies.e2e),
        }
    }
}

/// `other` divided by `first`; absent where either figure is, or where the
/// first is zero.
#[must_use]
pub fn ratio(metric: Metric, first: &Summary, other: &Summary) -> Option<f64> {
    let first = metric.of(first).filter(|first| *first != 0.0)?;
    Some(metric.of(other)? / first).filter(|ratio| ratio.is_finite())
}

#[cfg(test)]
mod tests {
    use super::{Metric, ratio};
    use crate::stats::Summary;

    fn summary(requests_per_s: Option<f64>) -> Summary {
        Summary {
            requests_per_s,
            ..Summary::default()
        }
    }

    #[test]
    fn ratios_by_hand() {
        for (first, other, expected) in [
            (Some(4.0), Some(6.0), Some(1.5)),
            (Some(4.0), Some(0.0), Some(0.0)),
            (Some(0.0), Some(6.0), None),
            (None, Some(6.0), None),
            (Some(4.0), None, None),
        ] {
            let found = ratio(Metric::RequestsPerS, &summary(first), &summary(other));
            assert_eq!(found, expected, "{other:?} / {first:?}");
        }
    }
}
