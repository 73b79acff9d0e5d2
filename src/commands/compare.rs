//! `pairbench compare` and `pairbench demo`: several arms, the same requests,
//! side by side.

use std::path::Path;

use anyhow::Result;

use super::measure::{append, measure};
use super::{Exit, show};
use crate::config::Config;
use crate::record::Run;
use crate::{report, stats};

/// Measures all arms of `config` and prints them side by side.
///
/// # Errors
/// Whatever keeps the runs from starting, or their results from being written.
pub(super) fn compare(config: &Config) -> Result<Exit> {
    let measured = measure(config)?;
    let runs: Vec<Run> = measured.iter().map(|one| one.run.clone()).collect();
    let exit = side_by_side(&runs, Some(&config.run.csv))?;
    show("records:\n");
    for one in &measured {
        show(&format!("  {}\n", one.folder.display()));
    }
    Ok(exit)
}

/// Prints runs side by side and appends their rows to `csv`, if given.
///
/// # Errors
/// When the rows cannot be written.
pub(super) fn side_by_side(runs: &[Run], csv: Option<&Path>) -> Result<Exit> {
    let arms: Vec<stats::Arm> = runs.iter().map(stats::Arm::of).collect();
    let together = stats::judge_together(&arms);
    show(&report::text::compare(&arms, &together));
    if let Some(csv) = csv {
        let rows: Vec<_> = arms
            .iter()
            .map(|arm| report::csv::row(arm.run, &arm.summary, &arm.verdict))
            .collect();
        append(csv, &rows)?;
        show(&format!("\nrows appended to {}\n", csv.display()));
    }
    Ok(Exit::of(together.is_valid()))
}
