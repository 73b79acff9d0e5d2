//! Runs that are no arms of one experiment: all forms agree on them, too, whether
//! both have blocks or none.

use serde_json::Value;

use super::{agree, plain};
use crate::record::{Experiment, Run};
use crate::report::{Findings, html, json, markdown, samples, text};
use crate::stats::{
    Arm, Comparison, Options, Summary, compare_apart, judge_together, summarize, waterfalls,
};

fn with_apart(runs: &[Run], look: impl FnOnce(&Findings<'_>, Option<&Comparison>)) {
    let summaries: Vec<Summary> = runs.iter().map(summarize).collect();
    let arms = runs.iter().zip(&summaries);
    let arms: Vec<Arm<'_>> = arms.map(|(run, summary)| Arm { run, summary }).collect();
    let comparison = compare_apart(&arms[0], &arms[1], &Options::of(&runs[0])).ok();
    let findings = Findings {
        arms: &arms,
        verdict: &judge_together(&arms),
        comparison: comparison.as_ref(),
        conditions: &[],
        waterfalls: &waterfalls(&arms),
    };
    look(&findings, comparison.as_ref());
}

/// The sample experiment's arms as if each had been measured by itself.
fn apart() -> Vec<Run> {
    let mut runs = samples::experiment(&[0, 4]);
    for (place, run) in runs.iter_mut().enumerate() {
        let of = run.header.experiment.take().expect("an experiment");
        run.header.experiment = Some(Experiment {
            id: place.to_string(),
            ..of
        });
    }
    runs
}

#[test]
fn runs_with_blocks_of_their_own_agree_in_all_forms() {
    with_apart(&apart(), |findings, comparison| {
        assert!(comparison.is_some() && !findings.waterfalls.is_empty());
        agree(findings);
        let report: Value = serde_json::from_str(&json::page(findings)).expect("JSON");
        assert_eq!(report["comparison"]["basis"]["kind"], "blocks_apart");
        for page in [
            text::compare(findings),
            markdown::page(findings),
            html::page(findings),
        ] {
            let page = plain(&page);
            assert!(
                page.contains("These runs were made apart (6 blocks of the first"),
                "{page}"
            );
            assert!(page.contains("no order of blocks could cancel"), "{page}");
            assert!(page.contains("A p99 is taken per block of"), "{page}");
        }
    });
}

#[test]
fn runs_of_other_work_show_nothing_that_was_worked_out_of_both() {
    let mut runs = apart();
    runs[1].header.workload = "another".to_owned();
    runs[1].header.seed += 1;
    with_apart(&runs, |findings, comparison| {
        assert!(comparison.is_none() && findings.waterfalls.is_empty());
        let report: Value = serde_json::from_str(&json::page(findings)).expect("JSON");
        assert_eq!(report["comparison"], Value::Null);
        assert_eq!(report["reasons"][0]["code"], "workload_differs");
        for page in [
            text::compare(findings),
            markdown::page(findings),
            html::page(findings),
        ] {
            let page = plain(&page);
            assert!(page.contains("have seed"), "{page}");
            assert!(!page.contains("ratio to"), "{page}");
        }
    });
}
