//! One row per run and backend, in a file that grows. The first nine columns
//! have the names and formats of LMDeploy's profiling scripts
//! (`benchmark/profile_restful_api.py` and `profile_serving.py`, v0.1 to v0.6),
//! so that old and new rows can be laid side by side. A file of another header
//! is refused and stays as it is.

mod file;
mod there;

pub use file::{append, check};

use super::format::{ABSENT, plain, seconds, token_source};
use crate::record::Run;
use crate::stats::words::one_line;
use crate::stats::{Distribution, Summary, Verdict};

/// The columns, in order.
pub const HEADER: [&str; 49] = [
    // LMDeploy's nine.
    "batch",
    "num_prompts",
    "RPS",
    "RPM",
    "FTL(ave)(s)",
    "FTL(min)(s)",
    "FTL(max)(s)",
    "throughput(out tok/s)",
    "throughput(total tok/s)",
    // What was run.
    "backend",
    "server",
    "model",
    "prompt_mode",
    "stream",
    "seed",
    "workload",
    "prompt_tokens",
    "completion_tokens",
    "requested_tokens",
    "token_source",
    "failed",
    "elapsed(s)",
    "FTL(p50)(s)",
    "FTL(p90)(s)",
    "FTL(p95)(s)",
    "FTL(p99)(s)",
    "TPOT(ave)(s)",
    "TPOT(p50)(s)",
    "TPOT(p90)(s)",
    "TPOT(p95)(s)",
    "TPOT(p99)(s)",
    "ITL(ave)(s)",
    "ITL(p50)(s)",
    "ITL(p90)(s)",
    "ITL(p95)(s)",
    "ITL(p99)(s)",
    "E2E(ave)(s)",
    "E2E(p50)(s)",
    "E2E(p90)(s)",
    "E2E(p95)(s)",
    "E2E(p99)(s)",
    "first_event(ave)(s)",
    "in_flight_peak",
    "slip_p99(s)",
    "client_cpu(%)",
    "valid",
    "reasons",
    "tool_version",
    "started_utc",
];

/// Places of the seconds after LMDeploy's columns: microseconds.
const FINE: usize = 6;

/// The row of one run, as long as [`HEADER`]. `-` stands for what the run does
/// not have.
#[must_use]
pub fn row(run: &Run, summary: &Summary, verdict: &Verdict) -> Vec<String> {
    let header = &run.header;
    let latencies = &summary.latencies;
    let ftl = |part: fn(Distribution) -> f64| seconds(latencies.ftl.map(part), 3);
    let mut row = vec![
        header.concurrency.to_string(),
        header.num_prompts.to_string(),
        plain(summary.requests_per_s, 3),
        plain(summary.requests_per_min, 3),
        ftl(|of| of.mean),
        ftl(|of| of.min),
        ftl(|of| of.max),
        plain(summary.output_tokens_per_s, 3),
        plain(summary.total_tokens_per_s, 3),
        words(&header.backend),
        words(&header.server),
        words(&header.model),
        words(&header.prompt_mode),
        header.stream.to_string(),
        header.seed.to_string(),
        words(&header.workload),
        summary.tokens.prompt.to_string(),
        whole(summary.tokens.generated),
        summary.tokens.requested.to_string(),
        words(&token_source(&summary.tokens)),
        summary.counts.failed().to_string(),
        seconds(summary.elapsed_ns.map(|elapsed_ns| elapsed_ns as f64), FINE),
    ];
    row.extend(percentiles(latencies.ftl));
    for of in [latencies.tpot, latencies.itl, latencies.e2e] {
        row.push(seconds(of.map(|of| of.mean), FINE));
        row.extend(percentiles(of));
    }
    row.extend([
        seconds(latencies.first_event.map(|of| of.mean), FINE),
        summary.client.in_flight_peak.to_string(),
        seconds(latencies.slip.map(|of| of.p99), FINE),
        plain(summary.client.cpu_percent, 1),
        if verdict.is_valid() { "yes" } else { "no" }.to_owned(),
        reasons(verdict),
        words(&header.tool_version),
        words(&header.started_utc),
    ]);
    row
}

fn percentiles(of: Option<Distribution>) -> [String; 4] {
    let parts: [fn(Distribution) -> f64; 4] = [|of| of.p50, |of| of.p90, |of| of.p95, |of| of.p99];
    parts.map(|part| seconds(of.map(part), FINE))
}

fn whole(count: Option<u64>) -> String {
    count.map_or(ABSENT.to_owned(), |count| count.to_string())
}

/// Codes of the reasons, each once; `-` when there is none.
fn reasons(verdict: &Verdict) -> String {
    let mut codes: Vec<&str> = Vec::new();
    for reason in &verdict.reasons {
        if !codes.contains(&reason.code) {
            codes.push(reason.code);
        }
    }
    match codes.is_empty() {
        true => ABSENT.to_owned(),
        false => codes.join("; "),
    }
}

/// A cell of words that may come from a server. Spreadsheets run a cell that
/// begins with one of these characters as a formula (OWASP, "CSV Injection"):
/// a leading apostrophe makes it text again. So it does behind a semicolon or a
/// bar, where another spreadsheet than ours may see a cell begin. On one line, so
/// that a row stays a line; numbers are written by others and stay numbers.
fn words(text: &str) -> String {
    let cell = one_line(text, 200);
    if cell.is_empty() || cell == ABSENT {
        return ABSENT.to_owned();
    }
    let mut out = String::with_capacity(cell.len() + 1);
    let mut begins = true;
    for letter in cell.chars() {
        // The wide ones stand for the others in East Asian spreadsheets.
        if begins && matches!(letter, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠') {
            out.push('\'');
        }
        // A quote, too, is skipped by a reader that takes it for the cell's.
        begins = matches!(letter, ';' | '|') || (begins && matches!(letter, ' ' | '"'));
        out.push(letter);
    }
    out
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
