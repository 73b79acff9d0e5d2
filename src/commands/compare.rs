//! `pairbench compare` and `pairbench demo`: several arms, the same requests,
//! side by side.

use anyhow::Result;

use super::measure::{Outcome, make_folder_of, measure};
use super::pages::{self, Page, side_by_side};
use super::{Exit, complain};
use crate::config::Config;
use crate::stats;

/// Measures all arms of `config` and shows them side by side. If an arm cannot
/// be measured, the others are shown and kept all the same.
///
/// # Errors
/// Whatever keeps the runs from starting, or their results from being written.
pub(super) fn compare(config: &Config) -> Result<Exit> {
    if let Some(page) = &config.pages.html {
        make_folder_of(page, &config.run.records)?;
    }
    pages::check(&config.pages)?;
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
        judgement: &config.judgement,
        pages: &config.pages,
        objection: stats::arms_missing(&missing),
        footer: &folders,
        csv: Some(&config.run.csv),
    };
    let exit = side_by_side(&runs, &page)?;
    Ok(trouble.map_or(exit, |error| complain(&error)))
}
