//! The report as one HTML file.

use super::findings::Findings;

/// The whole page.
#[must_use]
pub fn page(findings: &Findings<'_>) -> String {
    findings.names().join(" ")
}
