//! `pairbench compare` and `pairbench demo`: several arms, the same requests,
//! side by side.

use std::path::Path;

use anyhow::Result;

use super::measure::{Outcome, append, measure};
use super::{Exit, complain, show};
use crate::config::Config;
use crate::record::Run;
use crate::report;
use crate::stats::{self, Arm, Reason, Summary};

/// Measures all arms of `config` and prints them side by side. If a later arm
/// cannot be measured, those before it are printed and kept all the same.
///
/// # Errors
/// Whatever keeps the runs from starting, or their results from being written.
pub(super) fn compare(config: &Config) -> Result<Exit> {
    let Outcome { measured, trouble } = measure(config)?;
    let missing: Vec<&str> = config.arms[measured.len()..]
        .iter()
        .map(|arm| arm.entry.name)
        .collect();
    let mut folders = String::from("\nrecords:\n");
    let mut runs = Vec::new();
    for one in measured {
        folders.push_str(&format!("  {}\n", one.folder.display()));
        runs.push(one.run);
    }
    let page = Page {
        objection: stats::arms_missing(&missing),
        footer: &folders,
        csv: Some(&config.run.csv),
    };
    let exit = side_by_side(&runs, page)?;
    Ok(trouble.map_or(exit, |error| complain(&error)))
}

/// What goes with runs that are set side by side.
#[derive(Default)]
pub(super) struct Page<'a> {
    /// What is wrong beside what the runs themselves show.
    pub(super) objection: Option<Reason>,
    /// Text below the tables.
    pub(super) footer: &'a str,
    /// File that gets the rows.
    pub(super) csv: Option<&'a Path>,
}

/// Prints runs side by side and appends their rows. A row carries what is wrong
/// with its own run and with all of them together.
///
/// # Errors
/// When the rows cannot be written.
pub(super) fn side_by_side(runs: &[Run], page: Page) -> Result<Exit> {
    let summaries: Vec<Summary> = runs.iter().map(stats::summarize).collect();
    let arms: Vec<Arm> = runs
        .iter()
        .zip(&summaries)
        .map(|(run, summary)| Arm { run, summary })
        .collect();
    let mut verdict = stats::judge_together(&arms);
    verdict.reasons.splice(0..0, page.objection);
    let findings = report::Findings {
        arms: &arms,
        verdict: &verdict,
        comparison: None,
        waterfalls: &[],
    };
    show(&report::text::compare(&findings))?;
    show(page.footer)?;
    if let Some(csv) = page.csv {
        let rows: Vec<_> = arms
            .iter()
            .enumerate()
            .map(|(place, arm)| report::csv::row(arm.run, arm.summary, &verdict.of_arm(place)))
            .collect();
        append(csv, &rows)?;
        show(&format!("rows appended to {}\n", csv.display()))?;
    }
    Ok(Exit::of(verdict.is_valid()))
}
