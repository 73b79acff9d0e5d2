//! Each other arm against the first, a row per metric: ratio, interval, what
//! follows. Says which metrics decide and which are only looked at.

use super::super::format::{ABSENT, number};
use super::super::sentences::{arms, basis, finding, metric_name, share};
use super::Sheet;
use crate::stats::words::one_line;
use crate::stats::{Arm, ArmPair, Comparison, Ratio, caveats};

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
pub(in super::super) fn notes(comparison: &Comparison, arms: &[Arm<'_>]) -> Vec<String> {
    let mut notes = vec![
        format!("Compared over {}", basis(&comparison.basis)),
        format!(
            "A difference of up to {} % counts as none; secondary metrics are looked at and decide \
             nothing",
            share(comparison.margin)
        ),
    ];
    notes.extend(caveats(comparison, arms));
    notes.iter().map(|note| one_line(note, 600)).collect()
}
