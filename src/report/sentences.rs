//! What a comparison found, in sentences: the headline and the word for each
//! finding. Knows how metrics are called and which of them is better when high.

use super::findings::Findings;
use super::format::ABSENT;
use crate::stats::words::{counted, one_line};
use crate::stats::{Basis, Compared, Comparison, Finding, Metric, Ratio};

/// What people call a metric.
pub(super) fn metric_name(metric: Metric) -> &'static str {
    match metric {
        Metric::OutputTokensPerS => "output tokens/s",
        Metric::TotalTokensPerS => "total tokens/s",
        Metric::RequestsPerS => "requests/s",
        Metric::FtlMean => "FTL mean",
        Metric::FtlP50 => "FTL p50",
        Metric::FtlP99 => "FTL p99",
        Metric::FirstEventMean => "first event mean",
        Metric::TpotMean => "TPOT mean",
        Metric::TpotP99 => "TPOT p99",
        Metric::ItlMean => "ITL mean",
        Metric::ItlP99 => "ITL p99",
        Metric::E2eMean => "E2E mean",
        Metric::E2eP50 => "E2E p50",
        Metric::E2eP99 => "E2E p99",
    }
}

/// Whether more of it is better.
pub(super) fn is_rate(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::OutputTokensPerS | Metric::TotalTokensPerS | Metric::RequestsPerS
    )
}

/// Whether it looks at the slowest hundredth.
pub(super) fn is_tail(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::FtlP99 | Metric::TpotP99 | Metric::ItlP99 | Metric::E2eP99
    )
}

/// `+6.4 %`; in hundredths where the interval is narrower than a percent.
fn percent(share: f64, fine: bool) -> String {
    let decimals = if fine { 2 } else { 1 };
    let text = format!("{:+.decimals$}", share * 100.0);
    match text.as_str() {
        "-0.0" => "+0.0".to_owned(),
        "-0.00" => "+0.00".to_owned(),
        _ => text,
    }
}

/// `+6.4 % (95 % interval +5.1 to +7.7 %)`.
pub(super) fn change(ratio: Ratio) -> String {
    let fine = ratio.high - ratio.low < 0.01;
    format!(
        "{} % (95 % interval {} to {} %)",
        percent(ratio.point - 1.0, fine),
        percent(ratio.low - 1.0, fine),
        percent(ratio.high - 1.0, fine)
    )
}

/// What a cell says of a finding.
pub(super) fn finding(compared: &Compared, first: &str, other: &str) -> String {
    match compared.finding {
        Finding::First => format!("{first} is better"),
        Finding::Other => format!("{other} is better"),
        Finding::Same => "no difference beyond the margin".to_owned(),
        Finding::Undecided {
            more_blocks: Some(more),
        } => format!(
            "not decided; about {} more would",
            counted(u64::from(more), "block", "blocks")
        ),
        Finding::Undecided { more_blocks: None } => "not decided".to_owned(),
        Finding::Unknown => "too little to say".to_owned(),
    }
}

/// One metric of two arms in a sentence.
pub(super) fn sentence(compared: &Compared, first: &str, other: &str, margin: f64) -> String {
    let metric = metric_name(compared.metric);
    let change = compared.ratio.map_or(ABSENT.to_owned(), change);
    let better = |better: &str, worse: &str| match is_rate(compared.metric) {
        true => format!("{better} is faster than {worse}"),
        false => format!("{better} has the lower {metric}, against {worse}"),
    };
    let found = match compared.finding {
        Finding::First => better(first, other),
        Finding::Other => better(other, first),
        Finding::Same => format!(
            "no difference larger than {} % between {other} and {first}",
            margin * 100.0
        ),
        Finding::Undecided { more_blocks } => {
            let more = more_blocks.map_or(String::new(), |more| {
                format!(
                    " (about {} would decide it)",
                    counted(u64::from(more), "more block", "more blocks")
                )
            });
            format!("not decided between {other} and {first}{more}")
        }
        Finding::Unknown => {
            return format!("too little to compare {metric} of {other} with that of {first}");
        }
    };
    format!("{found}: {metric} of {other} {change} against {first}")
}

/// What was paired, in words.
pub(super) fn basis(basis: &Basis) -> String {
    match basis {
        Basis::Blocks {
            blocks,
            requests,
            duet,
            precision,
        } => format!(
            "{} of {}, {}{}",
            counted(u64::from(*blocks), "block", "blocks"),
            counted(u64::from(*requests), "request", "requests"),
            match duet {
                true => "played by all arms at the same moment",
                false => "played by one arm after the other in alternating order",
            },
            precision.map_or(String::new(), |wanted| format!(
                ", for a precision of {} %",
                wanted * 100.0
            ))
        ),
        Basis::Requests { pairs } => format!(
            "{} of runs made apart: whatever changed between the runs is in every figure",
            counted(u64::from(*pairs), "pair of requests", "pairs of requests")
        ),
    }
}

/// The sentences that come first: each other arm against the first, by the
/// primary metrics. Empty where nothing was compared.
pub(super) fn headline(findings: &Findings<'_>) -> Vec<String> {
    let Some(comparison) = findings.comparison else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for pair in &comparison.pairs {
        let (first, other) = arms(comparison, pair.other);
        for compared in pair.metrics.iter().filter(|of| of.primary) {
            lines.push(sentence(compared, &first, &other, comparison.margin));
        }
    }
    lines
}

/// The first arm and the one at `other`, by name.
pub(super) fn arms(comparison: &Comparison, other: usize) -> (String, String) {
    let name = |place: usize| {
        let name = comparison.arms.get(place).map_or(ABSENT, String::as_str);
        one_line(name, 28)
    };
    (name(0), name(other))
}
