//! `pairbench report`: the same pages again, from the records alone.

use anyhow::{Result, ensure};

use super::pages::{Page, side_by_side};
use super::{Exit, experiment, pages as shown};
use crate::cli::ReportArgs;
use crate::config::{Judgement, Pages};
use crate::record::{self, Run};
use crate::report;

/// Prints the report of one run, or several runs side by side.
///
/// # Errors
/// When a folder is no run folder, something is asked for that one run has not,
/// or the rows or the page cannot be written.
pub(super) fn report(args: ReportArgs) -> Result<Exit> {
    let (judgement, asked) = (Judgement::of(args.judge)?, Pages::of(args.page));
    if args.folders.len() == 1 {
        nothing_to_compare(&judgement)?;
    }
    experiment::check(&judgement)?;
    shown::check(&asked)?;
    if let Some(csv) = &args.csv {
        report::csv::check(csv)?;
    }
    let runs: Vec<Run> = args
        .folders
        .iter()
        .map(|folder| record::load(folder))
        .collect::<Result<_>>()?;
    let writes = asked.html.is_some() || args.csv.is_some();
    let page = Page {
        judgement: &judgement,
        pages: &asked,
        objection: None,
        footer: if writes { "\n" } else { "" },
        csv: args.csv.as_deref(),
    };
    side_by_side(&runs, &page)
}

/// A flag that says how runs are compared would be passed over with one run, and
/// a pipeline would take that for a pass.
fn nothing_to_compare(judgement: &Judgement) -> Result<()> {
    let flags = [
        ("--fail-if", !judgement.fail_if.is_empty()),
        ("--margin", judgement.margin.is_some()),
        ("--primary", !judgement.primary.is_empty()),
    ];
    for (flag, given) in flags {
        ensure!(
            !given,
            "{flag}: one run has nothing that it could be compared to; give the folders of two or \
             more, or leave {flag} out"
        );
    }
    Ok(())
}
