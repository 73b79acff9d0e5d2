//! `pairbench compare` and `pairbench demo`: several arms, the same requests,
//! side by side.

use std::path::Path;

use anyhow::Result;

use super::measure::{append, measure};
use super::{Exit, show};
use crate::config::Config;
use crate::record::Run;
use crate::report;
use crate::stats::{self, Arm, Summary};

/// Measures all arms of `config` and prints them side by side.
///
/// # Errors
/// Whatever keeps the runs from starting, or their results from being written.
pub(super) fn compare(config: &Config) -> Result<Exit> {
    let (runs, folders): (Vec<Run>, Vec<_>) = measure(config)?
        .into_iter()
        .map(|one| (one.run, one.folder))
        .unzip();
    let exit = side_by_side(&runs, Some(&config.run.csv))?;
    show("records:\n");
    for folder in folders {
        show(&format!("  {}\n", folder.display()));
    }
    Ok(exit)
}

/// Prints runs side by side and appends their rows to `csv`, if given. A row
/// carries what is wrong with its own run and with all of them together.
///
/// # Errors
/// When the rows cannot be written.
pub(super) fn side_by_side(runs: &[Run], csv: Option<&Path>) -> Result<Exit> {
    let summaries: Vec<Summary> = runs.iter().map(stats::summarize).collect();
    let arms: Vec<Arm> = runs
        .iter()
        .zip(&summaries)
        .map(|(run, summary)| Arm { run, summary })
        .collect();
    let verdict = stats::judge_together(&arms);
    show(&report::text::compare(&arms, &verdict));
    if let Some(csv) = csv {
        let rows: Vec<_> = arms
            .iter()
            .enumerate()
            .map(|(place, arm)| report::csv::row(arm.run, arm.summary, &verdict.of_arm(place)))
            .collect();
        append(csv, &rows)?;
        show(&format!("\nrows appended to {}\n", csv.display()));
    }
    Ok(Exit::of(verdict.is_valid()))
}
