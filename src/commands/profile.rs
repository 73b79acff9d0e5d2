//! `pairbench profile`: one server, one row.

use anyhow::Result;

use super::measure::{append, measure};
use super::{Exit, show};
use crate::config::Config;
use crate::{report, stats};

/// Measures the one arm of `config` and prints its report.
///
/// # Errors
/// Whatever keeps the run from starting, or its results from being written.
pub(super) fn profile(config: &Config) -> Result<Exit> {
    let mut valid = true;
    for measured in measure(config)? {
        let summary = stats::summarize(&measured.run);
        let verdict = stats::judge(&measured.run, &summary);
        valid &= verdict.is_valid();
        show(&report::text::profile(&measured.run, &summary, &verdict));
        let row = report::csv::row(&measured.run, &summary, &verdict);
        append(&config.run.csv, &[row])?;
        show(&format!(
            "\nrow appended to {}; records in {}\n",
            config.run.csv.display(),
            measured.folder.display()
        ));
    }
    Ok(Exit::of(valid))
}
