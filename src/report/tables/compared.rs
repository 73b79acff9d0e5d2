//! Each other arm against the first, a row per metric: ratio, interval, what
//! follows. Says which metrics decide and which are only looked at.

use super::super::format::{ABSENT, number};
use super::super::sentences::{arms, basis, finding, is_tail, metric_name};
use super::Sheet;
use crate::stats::{ArmPair, Basis, Comparison, Ratio};

/// Below so many samples, a 99th percentile is the slowest one or two of them.
const TAIL_SAMPLES: u32 = 200;

/// One pair of arms.
pub(in super::super) struct Table {
    /// Which arms, in words.
    pub(in super::super) title: String,
    /// The rows.
    pub(in super::super) sheet: Sheet,
}

/// A table for each other arm.
pub(in super::super) fn tables(comparison: &Comparison) -> Vec<Table> {
    let table = |pair| Table {
        title: title(comparison, pair),
        sheet: sheet(comparison, pair),
    };
    comparison.pairs.iter().map(table).collect()
}

fn title(comparison: &Comparison, pair: &ArmPair) -> String {
    let (first, other) = arms(comparison, pair.other);
    format!("{other} divided by {first}")
}

fn sheet(comparison: &Comparison, pair: &ArmPair) -> Sheet {
    let (first, other) = arms(comparison, pair.other);
    let mut sheet = Sheet::new(&["metric", "ratio", "95 % interval", "finding"]);
    for compared in &pair.metrics {
        let kind = if compared.primary { "" } else { " (secondary)" };
        sheet.row(
            &format!("{}{kind}", metric_name(compared.metric)),
            vec![
                ratio(compared.ratio.map(|ratio| ratio.point)),
                interval(compared.ratio),
                finding(compared, &first, &other),
            ],
        );
    }
    sheet
}

/// A ratio in four places.
pub(in super::super) fn ratio(ratio: Option<f64>) -> String {
    number(ratio, 4)
}

/// `1.0513 to 1.0771`.
pub(in super::super) fn interval(of: Option<Ratio>) -> String {
    of.map_or(ABSENT.to_owned(), |of| {
        format!("{} to {}", ratio(Some(of.low)), ratio(Some(of.high)))
    })
}

/// What must be known to read the tables.
pub(in super::super) fn notes(comparison: &Comparison) -> Vec<String> {
    let primary = comparison.pairs.first().map_or(0, |pair| {
        pair.metrics.iter().filter(|of| of.primary).count()
    });
    let corrected = match primary {
        0 | 1 => "",
        _ => ", their intervals corrected for their number",
    };
    let mut notes = vec![
        format!("compared over {}", basis(&comparison.basis)),
        format!(
            "a difference of up to {} % counts as none; secondary metrics are looked at and decide \
             nothing{}",
            comparison.margin * 100.0,
            match primary {
                0 | 1 => String::new(),
                many => format!("; {many} metrics are primary{corrected}"),
            }
        ),
    ];
    notes.extend(tail_caveat(comparison));
    notes
}

/// A percentile of a small block is a bad estimate, and says so.
fn tail_caveat(comparison: &Comparison) -> Option<String> {
    let Basis::Blocks { requests, .. } = comparison.basis else {
        return None;
    };
    let tails = comparison
        .pairs
        .iter()
        .flat_map(|pair| &pair.metrics)
        .any(|of| is_tail(of.metric));
    (tails && requests < TAIL_SAMPLES).then(|| {
        format!(
            "p99 is taken of each block: of {requests} requests it is all but the slowest one, so it \
             speaks of a block's slowest requests, not of one in a hundred"
        )
    })
}
