//! One row per run and backend, in a file that grows. The first nine columns
//! have the names and formats of LMDeploy's profiling scripts
//! (`benchmark/profile_restful_api.py` and `profile_serving.py`, v0.1 to v0.6),
//! so that old and new rows can be laid side by side. A file of another header
//! is refused and stays as it is.

mod there;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::there::{Begun, ends_with_line_feed, rows_fit};
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
/// a leading apostrophe makes it text again. On one line, so that a row stays
/// a line.
fn words(text: &str) -> String {
    let cell = one_line(text, 200);
    match cell.chars().next() {
        None => ABSENT.to_owned(),
        Some('=' | '+' | '-' | '@') if cell != ABSENT => format!("'{cell}"),
        Some(_) => cell,
    }
}

/// Whether rows can be appended to `path`. To be called before a run; makes and
/// changes nothing.
///
/// # Errors
/// When `path` is a folder, lies in none, cannot be written, or is a file with
/// another header or that ends within a cell.
pub fn check(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => bail!(
            "{} is a folder: give the name of a file with --csv",
            path.display()
        ),
        // A pipe or a device has no header, and opening it may wait for ever.
        Ok(found) if !found.is_file() => Ok(()),
        Ok(_) => {
            // Opened for appending and not written: nothing changes.
            let opened = OpenOptions::new().append(true).open(path);
            opened.with_context(|| unwritable(path))?;
            rows_fit(path).map(drop)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = folder(path);
            if !folder.is_dir() {
                bail!(
                    "the folder {} of the CSV {} does not exist: make it, or give another file with --csv",
                    folder.display(),
                    path.display()
                );
            }
            // Has no name and is gone at once: the folder takes files.
            tempfile::tempfile_in(&folder).with_context(|| unwritable(path))?;
            Ok(())
        }
        Err(error) => Err(error).with_context(|| unwritable(path)),
    }
}

fn unwritable(path: &Path) -> String {
    format!(
        "cannot write the CSV {}; give another file with --csv",
        path.display()
    )
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("."),
    }
}

/// Appends `rows`, after the header where the file is new. All rows go out in
/// one write at the file's end, so that two processes that append to one file
/// do not mix their lines; a new file appears with its rows already in it.
///
/// # Errors
/// As [`check`], and when writing fails.
pub fn append(path: &Path, rows: &[Vec<String>]) -> Result<()> {
    check(path)?;
    if !path.exists() {
        let text = lines(true, rows)?;
        match create_whole(path, &text) {
            Ok(()) => return Ok(()),
            // Somebody else made it in the meantime: append to theirs.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check(path)?,
            // Not every file system can do it. The rows are worth a plain
            // attempt, which says what is wrong if it fails too.
            Err(_) => {}
        }
    }
    let regular = fs::metadata(path).is_ok_and(|found| found.is_file());
    let begun = match regular {
        true => rows_fit(path)?,
        false => Begun::Empty,
    };
    let mut text = lines(begun == Begun::Empty, rows)?;
    if regular && begun == Begun::Headed && !ends_with_line_feed(path)? {
        text.insert(0, b'\n');
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| unwritable(path))?;
    match regular {
        true => write_or_cut(&mut file, &text),
        false => file.write_all(&text),
    }
    .with_context(|| unwritable(path))
}

/// A file as far as [`write_or_cut`] needs it.
trait Tail: Write {
    fn length(&self) -> io::Result<u64>;
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Tail for File {
    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|found| found.len())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Writes all of `text` at the end, or nothing: half a row, as a full disk
/// leaves it, is cut off again. Not where another process has appended since:
/// its rows are worth more than a clean end.
fn write_or_cut(file: &mut impl Tail, text: &[u8]) -> io::Result<()> {
    let mut length = file.length()?;
    let before = length;
    let mut rest = text;
    while !rest.is_empty() {
        let error = match file.write(rest) {
            Ok(0) => io::ErrorKind::WriteZero.into(),
            Ok(written) => {
                rest = &rest[written..];
                length += written as u64;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        if file.length().is_ok_and(|found| found == length) {
            // What went wrong first is what the reader has to know.
            let _ = file.cut(before);
        }
        return Err(error);
    }
    Ok(())
}

/// Header, if wanted, and rows as bytes.
fn lines(with_header: bool, rows: &[Vec<String>]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if with_header {
        writer.write_record(HEADER)?;
    }
    for row in rows {
        writer.write_record(row)?;
    }
    writer
        .into_inner()
        .context("cannot put the rows of the CSV together")
}

/// Makes the file with its content or not at all, and never over another.
fn create_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut made = tempfile::Builder::new();
    // An ordinary file for everybody, as far as the process's mask allows;
    // temporary files are private otherwise.
    #[cfg(unix)]
    made.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = made.prefix(".pairbench-csv-").tempfile_in(folder(path))?;
    file.write_all(text)?;
    file.persist_noclobber(path)
        .map(drop)
        .map_err(|error| error.error)
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "csv_full_disk_tests.rs"]
mod full_disk;
