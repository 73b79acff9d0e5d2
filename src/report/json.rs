//! The report for machines, as docs/report-schema.md describes it: every figure
//! unrounded, units in the names, `null` for what was not measured.

mod comparison;
mod condition;
mod figures;
mod server;
mod waterfall;

use serde::Serialize;

use super::findings::Findings;
use super::sentences::headline;
use crate::record::RunHeader;
use crate::stats::words::is_steering;

/// Version of the layout. A field may be added without a new number; none is
/// renamed, removed or given another meaning.
pub const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Report<'a> {
    format: u32,
    tool: &'static str,
    tool_version: &'a str,
    valid: bool,
    reasons: Vec<Reason<'a>>,
    headline: Vec<String>,
    simulated: Option<String>,
    unchecked: Option<String>,
    warnings: Vec<String>,
    conditions: Vec<condition::Shown<'a>>,
    arms: Vec<Arm<'a>>,
    comparison: Option<comparison::Shown<'a>>,
    waterfalls: Vec<waterfall::Shown<'a>>,
}

#[derive(Serialize)]
struct Reason<'a> {
    rule: u8,
    code: &'a str,
    arm: Option<usize>,
    text: &'a str,
    cure: &'a str,
}

#[derive(Serialize)]
struct Arm<'a> {
    name: String,
    /// The run's header as its folder has it: the whole configuration.
    setup: &'a RunHeader,
    figures: figures::Figures<'a>,
}

/// The whole report: one JSON object on indented lines. Ends with a line feed.
#[must_use]
pub fn page(findings: &Findings<'_>) -> String {
    let arms = findings.arms.iter().zip(findings.names());
    let first = findings.arms.first();
    let report = Report {
        format: FORMAT,
        tool: "pairbench",
        tool_version: first.map_or("", |arm| &arm.run.header.tool_version),
        valid: findings.verdict.is_valid(),
        reasons: findings.verdict.reasons.iter().map(reason).collect(),
        headline: headline(findings),
        simulated: findings.simulated(),
        unchecked: findings.unchecked(),
        warnings: findings.warnings(),
        conditions: findings
            .conditions
            .iter()
            .map(condition::Shown::of)
            .collect(),
        arms: arms
            .map(|(arm, name)| Arm {
                name,
                setup: &arm.run.header,
                figures: figures::Figures::of(arm.run, arm.summary),
            })
            .collect(),
        comparison: findings
            .comparison
            .map(|comparison| comparison::Shown::of(comparison, findings.arms)),
        waterfalls: findings
            .waterfalls
            .iter()
            .map(waterfall::Shown::of)
            .collect(),
    };
    // Maps have text for keys, and floats that are no number become null:
    // nothing here can fail to be written.
    let mut text = escaped(&serde_json::to_string_pretty(&report).unwrap_or_default());
    text.push('\n');
    text
}

/// The same JSON for a terminal: steering characters, which stand within strings
/// only (but for line feeds), are written by their numbers.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            letter if is_steering(letter) && letter != '\n' => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    out
}

fn reason(of: &crate::stats::Reason) -> Reason<'_> {
    Reason {
        rule: of.rule,
        code: of.code,
        arm: of.arm,
        text: &of.text,
        cure: &of.cure,
    }
}
