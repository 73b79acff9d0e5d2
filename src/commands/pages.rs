//! Runs set side by side, or one by itself: what follows from them, in the forms
//! that were asked for. Computes nothing and draws nothing: it takes runs to
//! `stats` and what they found to `report`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::experiment;
use super::measure::append;
use super::{Exit, advise, show, tell};
use crate::config::{Format, Judgement, Pages};
use crate::record::{self, Run};
use crate::report::{self, Findings};
use crate::stats::{
    self, Arm, Comparison, Condition, Holds, Options, Outcome, PairedBlocks, Reason, Summary,
    Verdict,
};

/// What goes with runs that are shown.
pub(super) struct Page<'a> {
    /// What is held to be a difference.
    pub(super) judgement: &'a Judgement,
    /// Forms of the report.
    pub(super) pages: &'a Pages,
    /// What is wrong beside what the runs themselves show.
    pub(super) objection: Option<Reason>,
    /// Text for people below a report.
    pub(super) footer: &'a str,
    /// File that gets the rows.
    pub(super) csv: Option<&'a Path>,
}

/// Whether the HTML page can be written, found out before anything is measured.
///
/// # Errors
/// When it cannot.
pub(super) fn check(pages: &Pages) -> Result<()> {
    let Some(path) = &pages.html else {
        return Ok(());
    };
    tempfile::tempfile_in(parent(path)).with_context(|| cannot_write(path))?;
    Ok(())
}

/// Decides the conditions, shows runs side by side (one by itself, as `profile`
/// does), writes the HTML page if there is to be one and appends their rows. A row
/// carries what is wrong with its own run and with all of them together.
///
/// # Errors
/// When the rows or the page cannot be written, or a condition names an arm that
/// there is not.
pub(super) fn side_by_side(runs: &[Run], page: &Page) -> Result<Exit> {
    let summaries: Vec<Summary> = runs.iter().map(stats::summarize).collect();
    let arms: Vec<Arm> = runs
        .iter()
        .zip(&summaries)
        .map(|(run, summary)| Arm { run, summary })
        .collect();
    let mut verdict = stats::judge_together(&arms);
    verdict.reasons.splice(0..0, page.objection.clone());
    let comparison = compared(&arms, page.judgement)?;
    let waterfalls = stats::waterfalls(&arms);
    // One that cannot be decided costs no report, only the good exit.
    let decided = conditions(&arms, comparison.as_ref(), page.judgement);
    let findings = Findings {
        arms: &arms,
        verdict: &verdict,
        comparison: comparison.as_ref(),
        waterfalls: &waterfalls,
        conditions: decided.as_deref().unwrap_or_default(),
    };
    let form = page.pages.format;
    show(&match form {
        // One whose fellows are missing is shown as what is left of a comparison.
        Format::Text => match arms.as_slice() {
            [one] if page.objection.is_none() => {
                report::text::profile(one.run, one.summary, &verdict)
            }
            _ => report::text::compare(&findings),
        },
        Format::Markdown => report::markdown::page(&findings),
        Format::Json => report::json::page(&findings),
    })?;
    // What is read by machines or pasted elsewhere is the report alone.
    let beside = |text: &str| match form {
        Format::Text => show(text),
        Format::Markdown | Format::Json => {
            tell(text);
            Ok(())
        }
    };
    beside(page.footer)?;
    if let Some(path) = &page.pages.html {
        write(path, &report::html::page(&findings))?;
        beside(&format!("page written to {}\n", path.display()))?;
    }
    if let Some(csv) = page.csv {
        append(csv, &rows(&arms, &verdict))?;
        let rows = if arms.len() == 1 { "row" } else { "rows" };
        beside(&format!("{rows} appended to {}\n", csv.display()))?;
    }
    for line in findings.decided() {
        beside(&format!("{line}\n"))?;
    }
    let failed = decided?.iter().any(|of| of.holds == Holds::Yes);
    Ok(Exit::of(verdict.is_valid() && !failed))
}

fn rows(arms: &[Arm<'_>], verdict: &Verdict) -> Vec<Vec<String>> {
    let row = |(place, arm): (usize, &Arm<'_>)| {
        report::csv::row(arm.run, arm.summary, &verdict.of_arm(place))
    };
    arms.iter().enumerate().map(row).collect()
}

/// The arms compared: by blocks where they are arms of one experiment, as runs
/// made apart where there are two; `None`: there is nothing to pair.
fn compared(arms: &[Arm<'_>], judgement: &Judgement) -> Result<Option<Comparison>> {
    let Some((first, others)) = arms.split_first() else {
        return Ok(None);
    };
    let mut options = Options::of(first.run);
    options.margin = judgement.margin.unwrap_or(options.margin);
    if !judgement.primary.is_empty() {
        options.primary = experiment::primary(judgement)?;
    }
    Ok(match others {
        [_, ..] if stats::one_experiment(arms) => Some(stats::compare_blocks(arms, &options)),
        [other] => match stats::compare_apart(first, other, &options) {
            Ok(comparison) => Some(comparison),
            Err(why) => {
                advise(&why);
                None
            }
        },
        [] => None,
        _ => {
            advise(
                "runs made apart are compared two at a time, so no interval is told here; name \
                 two of them, or play all with one `compare`",
            );
            None
        }
    })
}

/// Decides the conditions of `--fail-if`.
fn conditions(
    arms: &[Arm<'_>],
    comparison: Option<&Comparison>,
    judgement: &Judgement,
) -> Result<Vec<Outcome>> {
    // Blocks are summed up for whoever asks.
    if judgement.fail_if.is_empty() {
        return Ok(Vec::new());
    }
    let runs: Vec<&Run> = arms.iter().map(|arm| arm.run).collect();
    let blocks = PairedBlocks::of(&runs);
    let outcome = |text: &String| {
        let condition = Condition::parse(text).map_err(anyhow::Error::msg)?;
        let comparison = comparison
            .with_context(|| format!("--fail-if '{text}': there is nothing to compare"))?;
        stats::evaluate(&condition, comparison, &blocks)
            .map_err(|why| anyhow::anyhow!("--fail-if: {why}"))
    };
    judgement.fail_if.iter().map(outcome).collect()
}

fn parent(path: &Path) -> PathBuf {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

fn cannot_write(path: &Path) -> String {
    format!(
        "cannot write the page {}; choose another place with --html",
        path.display()
    )
}

/// Writes the page whole or not at all.
fn write(path: &Path, page: &str) -> Result<()> {
    record::write_whole(path, page.as_bytes()).with_context(|| cannot_write(path))
}
