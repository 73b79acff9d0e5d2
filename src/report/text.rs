//! The report for people: the verdict first, then what was run, then the
//! figures. Names every unit, says `-` for what was not measured, and says so
//! when the engine was simulated.

use super::findings::{Findings, UNCHECKED};
use super::format::wrap;
use super::sentences::headline;
use super::{profile as one, side_by_side};
use crate::record::Run;
use crate::stats::words::counted;
use crate::stats::{Summary, Verdict};

/// One run. Ends with a line feed; where the records lie is the caller's to
/// say.
#[must_use]
pub fn profile(run: &Run, summary: &Summary, verdict: &Verdict) -> String {
    let mut out = String::new();
    judgement(&mut out, verdict, &[]);
    if run.header.simulated {
        out.push_str("\nThe engine is simulated: these figures say nothing about a real server\n");
    }
    if run
        .header
        .encryption
        .as_ref()
        .is_some_and(|of| !of.is_checked())
    {
        out.push('\n');
        wrap(&mut out, "", UNCHECKED);
    }
    one::render(&mut out, run, summary);
    out
}

/// Several runs side by side, and what follows from them. Ends with a line
/// feed.
#[must_use]
pub fn compare(findings: &Findings<'_>) -> String {
    let names = findings.names();
    let mut out = String::new();
    judgement(&mut out, findings.verdict, &names);
    for sentence in headline(findings) {
        wrap(&mut out, "", &sentence);
    }
    for warning in findings.warnings() {
        out.push('\n');
        wrap(&mut out, "", &warning);
    }
    side_by_side::render(&mut out, findings, &names);
    out
}

fn judgement(out: &mut String, verdict: &Verdict, names: &[String]) {
    if verdict.is_valid() {
        out.push_str("VALID\n");
        return;
    }
    let count = u64::try_from(verdict.reasons.len()).unwrap_or(u64::MAX);
    out.push_str(&format!(
        "INVALID: {}\n",
        counted(count, "reason", "reasons")
    ));
    for (place, reason) in (1..).zip(&verdict.reasons) {
        let arm = reason.arm.and_then(|arm| names.get(arm));
        let about = arm.map_or(String::new(), |name| format!("{name}: "));
        let rule = match reason.rule {
            0 => String::new(),
            rule => format!(" (rule {rule})"),
        };
        wrap(
            out,
            &format!("{place:>3}. "),
            &format!("{about}{}{rule}", reason.text),
        );
        wrap(out, "     cure: ", &reason.cure);
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::{Findings, compare, profile};
    use crate::record::Run;
    use crate::stats::{Arm, Summary, judge, judge_together, summarize};

    fn of_one(run: &Run) -> String {
        let summary = summarize(run);
        profile(run, &summary, &judge(run, &summary))
    }

    fn of_all(runs: &[Run]) -> String {
        let summaries: Vec<Summary> = runs.iter().map(summarize).collect();
        let arms: Vec<Arm<'_>> = runs
            .iter()
            .zip(&summaries)
            .map(|(run, summary)| Arm { run, summary })
            .collect();
        compare(&Findings {
            arms: &arms,
            verdict: &judge_together(&arms),
            comparison: None,
            waterfalls: &[],
            conditions: &[],
        })
    }

    /// Compares with a page under `testdata`. To accept a change, run the
    /// tests with `PAIRBENCH_ACCEPT=1` and read what git shows.
    fn golden(name: &str, found: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/report/testdata")
            .join(name);
        if std::env::var_os("PAIRBENCH_ACCEPT").is_some() {
            std::fs::write(&path, found).expect("writable");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{name} has changed:\n{found}");
    }

    fn sane(page: &str) {
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
        for line in page.lines() {
            assert!(line.chars().count() <= 100, "too wide: {line}");
            assert_eq!(line.trim_end(), line, "blanks at the end");
        }
        assert!(page.ends_with('\n') && !page.ends_with("\n\n"));
    }

    #[test]
    fn pages_look_as_they_should() {
        let arms = samples::arms();
        let pages = [
            ("profile_valid.txt", of_one(&arms[1])),
            ("profile_invalid.txt", of_one(&samples::troubled())),
            ("profile_whole.txt", of_one(&samples::whole())),
            ("profile_nothing.txt", of_one(&samples::nothing())),
            ("compare_valid.txt", of_all(&arms)),
            (
                "compare_invalid.txt",
                of_all(&[arms[1].clone(), samples::troubled()]),
            ),
        ];
        for (name, page) in &pages {
            sane(page);
            golden(name, page);
        }
    }

    #[test]
    fn the_verdict_comes_first_and_the_simulation_is_named() {
        let mut arms = samples::arms();
        assert!(of_one(&arms[0]).starts_with("VALID\n"));
        assert!(of_one(&samples::troubled()).starts_with("INVALID: "));
        let all = of_all(&arms);
        assert!(
            all.starts_with("VALID\n") && all.contains("The engine is simulated"),
            "{all}"
        );
        arms[0].header.simulated = false;
        assert!(!of_one(&arms[0]).contains("is simulated"));
        let some = of_all(&arms[..2]);
        assert!(some.contains("The engine of tis is simulated"), "{some}");
    }

    #[test]
    fn figures_are_on_the_page() {
        let run = &samples::arms()[1];
        let summary = summarize(run);
        let page = of_one(run);
        for figure in [
            summary.output_tokens_per_s,
            summary.requests_per_s,
            summary.latencies.ftl.map(|of| of.p99 / 1e6),
            summary.latencies.tpot.map(|of| of.mean / 1e6),
            summary.latencies.e2e.map(|of| of.max / 1e6),
            summary.way.hops.first().map(|hop| hop.until_first_ns / 1e6),
        ] {
            let shown = super::super::format::number(figure, 2);
            assert!(
                shown != "-" && page.contains(&shown),
                "{shown} is not in\n{page}"
            );
        }
    }

    #[test]
    fn foreign_words_cannot_break_a_page() {
        let mut run = samples::arms()[0].clone();
        run.header.server = "evil\u{1b}[2J\nserver".to_owned();
        run.header.model = "m".repeat(5_000);
        run.header.backend = "x\ny".repeat(50);
        for page in [of_one(&run), of_all(&[run.clone(), run])] {
            assert!(
                page.contains("evil [2J server") && !page.contains('\u{1b}'),
                "{page}"
            );
            sane(&page);
        }
        assert!(of_all(&[]).starts_with("VALID"), "no arm, no panic");
    }
}
