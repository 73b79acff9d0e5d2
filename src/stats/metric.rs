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

/// What a comparison looks at: the contract's metrics, in the order of a page.
pub const COMPARED: [Metric; 8] = [
    Metric::OutputTokensPerS,
    Metric::RequestsPerS,
    Metric::FtlMean,
    Metric::FtlP99,
    Metric::TpotMean,
    Metric::ItlMean,
    Metric::ItlP99,
    Metric::E2eMean,
];

/// Names by which a user asks for a metric, the first for each is its own.
const NAMES: [(&str, Metric); 18] = [
    ("throughput", Metric::OutputTokensPerS),
    ("total_throughput", Metric::TotalTokensPerS),
    ("rps", Metric::RequestsPerS),
    ("ttft", Metric::FtlMean),
    ("ttft_p50", Metric::FtlP50),
    ("ttft_p99", Metric::FtlP99),
    ("first_event", Metric::FirstEventMean),
    ("tpot", Metric::TpotMean),
    ("tpot_p99", Metric::TpotP99),
    ("itl", Metric::ItlMean),
    ("itl_p99", Metric::ItlP99),
    ("e2e", Metric::E2eMean),
    ("e2e_p50", Metric::E2eP50),
    ("e2e_p99", Metric::E2eP99),
    // As the records and the tables of a page say it.
    ("ftl", Metric::FtlMean),
    ("ftl_p50", Metric::FtlP50),
    ("ftl_p99", Metric::FtlP99),
    ("output_tokens_per_s", Metric::OutputTokensPerS),
];

impl Metric {
    /// The metric that is called so, as in `--fail-if`; case does not matter.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let mut names = NAMES.iter();
        let found = names.find(|(known, _)| known.eq_ignore_ascii_case(name.trim()))?;
        Some(found.1)
    }

    /// Its name, as [`Metric::of_name`] takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut names = NAMES.iter();
        let found = names.find(|(_, metric)| *metric == self);
        found.map_or("", |(name, _)| *name)
    }

    /// Every metric's own name, for errors and help.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        let own = |(name, metric): &(&'static str, Self)| (metric.name() == *name).then_some(*name);
        NAMES.iter().filter_map(own).collect()
    }

    /// More of it is better; of a latency less is.
    #[must_use]
    pub fn is_rate(self) -> bool {
        matches!(
            self,
            Self::OutputTokensPerS | Self::TotalTokensPerS | Self::RequestsPerS
        )
    }

    /// A 99th percentile: of a block of few requests it is little else than
    /// their largest.
    #[must_use]
    pub fn is_p99(self) -> bool {
        matches!(
            self,
            Self::FtlP99 | Self::TpotP99 | Self::ItlP99 | Self::E2eP99
        )
    }

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
    fn names_lead_to_metrics_and_back() {
        for name in Metric::names() {
            let metric = Metric::of_name(name).expect("known");
            assert_eq!(metric.name(), name);
        }
        assert_eq!(Metric::names().len(), 14);
        assert_eq!(Metric::of_name(" TTFT_p99 "), Some(Metric::FtlP99));
        assert_eq!(Metric::of_name("ftl"), Metric::of_name("ttft"));
        assert_eq!(Metric::of_name("speed"), None);
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
