//! `pairbench profile`: one server, one row.

use anyhow::Result;

use super::measure::{Outcome, append, measure};
use super::{Exit, complain, show};
use crate::config::Config;
use crate::{report, stats};

/// Measures the one arm of `config` and prints its report, also of a run that
/// came to no good end.
///
/// # Errors
/// Whatever keeps the run from starting, or its results from being written.
pub(super) fn profile(config: &Config) -> Result<Exit> {
    let mut valid = true;
    let Outcome { measured, trouble } = measure(config)?;
    for measured in measured {
        let summary = stats::summarize(&measured.run);
        let verdict = stats::judge(&measured.run, &summary);
        valid &= verdict.is_valid();
        show(&report::text::profile(&measured.run, &summary, &verdict))?;
        show(&format!("\nrecords in {}\n", measured.folder.display()))?;
        let row = report::csv::row(&measured.run, &summary, &verdict);
        append(&config.run.csv, &[row])?;
        show(&format!("row appended to {}\n", config.run.csv.display()))?;
    }
    Ok(trouble.map_or(Exit::of(valid), |error| complain(&error)))
}
