//! `pairbench report`: the same pages again, from the records alone.

use anyhow::Result;

use super::pages::{Page, side_by_side};
use super::{Exit, experiment, measure, pages as shown, show};
use crate::cli::ReportArgs;
use crate::config::{Judgement, Pages};
use crate::record::{self, Run};
use crate::{report as pages, stats};

/// Prints the report of one run, or several runs side by side.
///
/// # Errors
/// When a folder is no run folder, or the rows cannot be written.
pub(super) fn report(args: ReportArgs) -> Result<Exit> {
    let (judgement, asked) = (Judgement::of(args.judge)?, Pages::of(args.page));
    experiment::check(&judgement)?;
    shown::check(&asked)?;
    if let Some(csv) = &args.csv {
        pages::csv::check(csv)?;
    }
    let runs: Vec<Run> = args
        .folders
        .iter()
        .map(|folder| record::load(folder))
        .collect::<Result<_>>()?;
    let [run] = runs.as_slice() else {
        let page = Page {
            judgement: &judgement,
            pages: &asked,
            objection: None,
            footer: "",
            csv: args.csv.as_deref(),
        };
        return side_by_side(&runs, &page);
    };
    let summary = stats::summarize(run);
    let verdict = stats::judge(run, &summary);
    show(&pages::text::profile(run, &summary, &verdict))?;
    if let Some(csv) = &args.csv {
        measure::append(csv, &[pages::csv::row(run, &summary, &verdict)])?;
        show(&format!("\nrow appended to {}\n", csv.display()))?;
    }
    Ok(Exit::of(verdict.is_valid()))
}
