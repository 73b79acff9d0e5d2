//! How metrics and findings are called in tables, and which sentences of a
//! comparison come first. The sentences themselves are made by `stats`.

use super::findings::Findings;
use super::format::{ABSENT, capitalised};
use crate::stats::words::{counted, one_line};
use crate::stats::{self, Basis, Compared, Comparison, Finding, Metric, Ratio};

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

/// A share in percent, without the noise of a float: 0.07 is 7, not
/// 7.000000000000001.
pub(super) fn share(share: f64) -> f64 {
    (share * 1e6).round() / 1e4
}

/// A ratio and its bounds as what they are above or below 1, in percent.
pub(super) fn off(ratio: Ratio) -> [String; 3] {
    let fine = ratio.high - ratio.low < 0.01;
    [ratio.point, ratio.low, ratio.high].map(|of| percent(of - 1.0, fine))
}

/// `+6.4 % (95 % interval +5.1 to +7.7 %)`.
pub(super) fn change(ratio: Ratio) -> String {
    let [point, low, high] = off(ratio);
    format!("{point} % (95 % interval {low} to {high} %)")
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
            "not decided; about {} would",
            counted(u64::from(more), "more block", "more blocks")
        ),
        Finding::Undecided { more_blocks: None } => "not decided".to_owned(),
        Finding::Unknown => "too little to say".to_owned(),
    }
}

/// What was paired, in words.
pub(super) fn basis(basis: &Basis) -> String {
    match basis {
        Basis::Blocks {
            blocks,
            requests,
            duet,
            precision,
            wanted,
        } => format!(
            "{} of {}, {}{}{}",
            counted(u64::from(*blocks), "block", "blocks"),
            counted(u64::from(*requests), "request", "requests"),
            match duet {
                true => "played by all arms at the same moment",
                false => "played by one arm after the other in alternating order",
            },
            precision.map_or(String::new(), |wanted| format!(
                ", for a precision of {} %",
                share(wanted)
            )),
            wanted
                .filter(|wanted| wanted > blocks)
                .map_or(String::new(), |wanted| format!(
                    "; that takes {}, and the run ended before them",
                    counted(u64::from(wanted), "block", "blocks")
                ))
        ),
        Basis::Requests { pairs, .. } => format!(
            "{} of two runs made apart",
            counted(u64::from(*pairs), "pair of requests", "pairs of requests")
        ),
        Basis::BlocksApart {
            first_blocks,
            other_blocks,
            ..
        } => format!(
            "{} of one run and {other_blocks} of another, made apart and so no pairs",
            counted(u64::from(*first_blocks), "block", "blocks")
        ),
    }
}

/// The sentences that come first: the widest gap, then each other arm against the
/// first by the primary metrics, each once. Empty where nothing was compared.
pub(super) fn headline(findings: &Findings<'_>) -> Vec<String> {
    let Some(comparison) = findings.comparison else {
        return Vec::new();
    };
    let mut lines = vec![stats::headline(comparison)];
    for pair in &comparison.pairs {
        for compared in pair.metrics.iter().filter(|of| of.primary) {
            let said = stats::sentence(comparison, pair, compared.metric);
            if !lines.iter().any(|line| line.starts_with(&said)) {
                lines.push(format!("{said}."));
            }
        }
    }
    lines.retain(|line| !line.is_empty());
    let mut lines: Vec<String> = lines.iter().map(|line| one_line(line, 1_000)).collect();
    if !findings.verdict.is_valid() {
        let others = match lines.len() {
            ..=1 => "",
            _ => ", nor does what follows",
        };
        if let Some(first) = lines.first_mut() {
            *first = format!("Does not count (INVALID){others}: {first}");
        }
    }
    let begun = lines.iter().map(|line| begun(line, &comparison.arms));
    begun.collect()
}

/// A sentence as it begins: with a capital, or with an arm's name as it is.
fn begun(sentence: &str, arms: &[String]) -> String {
    let named = |name: &String| {
        let after = sentence.strip_prefix(name.as_str());
        after.is_some_and(|after| after.starts_with([' ', '\'']))
    };
    match arms.iter().any(named) {
        true => sentence.to_owned(),
        false => capitalised(sentence),
    }
}

/// The first arm and the one at `other`, by name.
pub(super) fn arms(comparison: &Comparison, other: usize) -> (String, String) {
    let name = |place: usize| {
        let name = comparison.arms.get(place).map_or(ABSENT, String::as_str);
        one_line(name, 28)
    };
    (name(0), name(other))
}

#[cfg(test)]
mod tests {
    use super::begun;

    #[test]
    fn a_sentence_begins_with_a_capital_but_for_a_name() {
        let arms = ["tis", "api_server"].map(str::to_owned);
        for (sentence, expected) in [
            (
                "no difference larger than 2 %",
                "No difference larger than 2 %",
            ),
            ("tis generates more", "tis generates more"),
            (
                "api_server's mean is shorter",
                "api_server's mean is shorter",
            ),
            ("tissue", "Tissue"),
            ("", ""),
        ] {
            assert_eq!(begun(sentence, &arms), expected);
        }
    }
}
