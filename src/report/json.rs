//! The report for machines.

use super::findings::Findings;

/// The whole report.
#[must_use]
pub fn page(findings: &Findings<'_>) -> String {
    findings.names().join(" ")
}
