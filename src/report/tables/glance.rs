//! The arms at a glance, a row each: the few figures that most people look for,
//! and how sure the difference to the first arm is. All of them are in the tables
//! below, too.

use super::super::findings::Findings;
use super::super::format::{ABSENT, ms, number};
use super::super::sentences::{metric_name, off};
use super::Sheet;
use crate::stats::{ArmPair, Compared, Metric};

/// The table.
pub(in super::super) fn sheet(findings: &Findings<'_>, names: &[String]) -> Sheet {
    let decides = |pair: &ArmPair| pair.metrics.first().map(|of| of.metric);
    let comparison = findings.comparison;
    let metric = comparison.and_then(|of| decides(of.pairs.first()?));
    let first = names.first().map_or(ABSENT, String::as_str);
    let against = metric.map(|of| match of {
        Metric::OutputTokensPerS => format!("against {first}, 95 % interval"),
        other => format!("{} against {first}, 95 % interval", metric_name(other)),
    });
    let mut sheet = Sheet::new(&["", "output tokens/s"]);
    sheet.head.extend(against.clone());
    sheet
        .head
        .extend(["FTL mean, ms", "ITL mean, ms"].map(str::to_owned));
    for (place, (arm, name)) in findings.arms.iter().zip(names).enumerate() {
        let of = |metric: Metric| metric.of(arm.summary);
        let mut cells = vec![number(of(Metric::OutputTokensPerS), 1)];
        if against.is_some() {
            let pairs: &[ArmPair] = comparison.map_or(&[], |of| of.pairs.as_slice());
            let pair = pairs.iter().find(|pair| pair.other == place);
            cells.push(difference(pair.and_then(|pair| pair.metrics.first())));
        }
        let times = [Metric::FtlMean, Metric::ItlMean];
        cells.extend(times.map(|time| ms(of(time))));
        sheet.row(name, cells);
    }
    sheet
}

/// `+6.4 %, +5.1 to +7.7 %`; the first arm has none.
fn difference(of: Option<&Compared>) -> String {
    let ratio = of.and_then(|of| of.ratio);
    ratio.map_or(ABSENT.to_owned(), |ratio| {
        let [point, low, high] = off(ratio);
        format!("{point} %, {low} to {high} %")
    })
}
