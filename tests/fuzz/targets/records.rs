//! A run folder with any bytes in its files, as a crash or a stranger may leave
//! them: read as far as it goes or refused in words, and whatever is read can be
//! reported, alone and beside another.
//!
//! The input's first byte says which good files stand for missing ones and which
//! report is made, its second how much of the list of requests is torn off. Behind
//! them lie files, each behind a line with its name.

use std::fs;
use std::path::Path;

use pairbench::record::{self, Block, Calibration, FORMAT, Record, Run, RunHeader};
use pairbench::report::{self, Findings};
use pairbench::stats::{self, Arm, Options};

const FILES: [&str; 6] = [
    "run.json",
    "requests.jsonl",
    "blocks.jsonl",
    "recount.json",
    "end.json",
    "calibration.json",
];

pub(crate) fn run(data: &[u8]) {
    let Some((&[kind, torn], rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    if kind & 1 == 0 {
        fs::write(folder.join("run.json"), good_header()).expect("writable");
    }
    if kind & 2 == 0 {
        fs::write(folder.join("requests.jsonl"), "").expect("writable");
    }
    for (name, content) in files(rest) {
        fs::write(folder.join(name), content).expect("writable");
    }
    calibrated(folder);
    let Some(run) = loaded(folder) else {
        return;
    };
    torn_off(folder, &run, torn);
    reported(&run, kind);
    let number = run.blocks.first().map_or(0, |block| block.number);
    if let Some(block) = run.of_block(number) {
        let verdict = stats::judge(&block, &stats::summarize(&block));
        assert!(verdict.is_valid() == verdict.reasons.is_empty());
    }
}

fn good_header() -> Vec<u8> {
    let header = RunHeader {
        format: FORMAT,
        stream: true,
        concurrency: 2,
        num_prompts: 2,
        ..RunHeader::default()
    };
    serde_json::to_vec(&header).expect("plain values")
}

/// The files of an input.
fn files(mut rest: &[u8]) -> Vec<(&'static str, &[u8])> {
    let named = |line: &[u8]| FILES.into_iter().find(|name| name.as_bytes() == line);
    let mut files = Vec::new();
    let mut open: Option<(&str, &[u8])> = None;
    let mut length = 0;
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b'\n');
        let line = &rest[..end.unwrap_or(rest.len())];
        let behind = end.map_or(&[][..], |end| &rest[end + 1..]);
        if let Some(name) = named(line) {
            files.extend(open.take().map(|(name, from)| (name, &from[..length])));
            open = Some((name, behind));
            length = 0;
        } else {
            length += rest.len() - behind.len();
        }
        rest = behind;
    }
    files.extend(open.map(|(name, from)| (name, &from[..length])));
    files
}

/// The run, if it is one: every line is a record or counted as broken.
fn loaded(folder: &Path) -> Option<Run> {
    let run = match record::load(folder) {
        Ok(run) => run,
        Err(error) => {
            let words = format!("{error:#}");
            assert!(words.len() < 2_000, "{} bytes of error", words.len());
            return None;
        }
    };
    let (requests, broken_requests) = lines_of(folder, "requests.jsonl", |line| {
        serde_json::from_slice::<Record>(line).is_ok()
    });
    let (_, broken_blocks) = lines_of(folder, "blocks.jsonl", |line| {
        serde_json::from_slice::<Block>(line).is_ok()
    });
    let read = run.records.len() + run.lead_in.len();
    assert_eq!(
        (read, run.broken_lines as usize),
        (requests, broken_requests + broken_blocks)
    );
    Some(run)
}

/// How many lines of a list are what they should be, and how many are not.
fn lines_of(folder: &Path, name: &str, is_whole: fn(&[u8]) -> bool) -> (usize, usize) {
    // A run that died at its begin has no lists.
    let list = fs::read(folder.join(name)).unwrap_or_default();
    let mut lines: Vec<_> = list.split(|&byte| byte == b'\n').collect();
    // What follows the last line feed is a line only if there is anything.
    lines.pop_if(|last| last.is_empty());
    let whole = lines.iter().filter(|line| is_whole(line)).count();
    (whole, lines.len() - whole)
}

/// A list of requests that ends anywhere loses nothing but its last line.
fn torn_off(folder: &Path, run: &Run, torn: u8) {
    let path = folder.join("requests.jsonl");
    let list = fs::read(&path).unwrap_or_default();
    let left = &list[..list.len().saturating_sub(usize::from(torn))];
    let feeds = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count();
    fs::write(&path, left).expect("writable");
    let short = record::load(folder).expect("nothing else has changed");
    fs::write(&path, &list).expect("writable");
    let count = |run: &Run| run.records.len() + run.lead_in.len() + run.broken_lines as usize;
    assert!(count(&short) >= feeds(left) && count(&short) <= count(run));
    for record in short.records.iter().chain(&short.lead_in) {
        let there = run
            .records
            .iter()
            .chain(&run.lead_in)
            .any(|one| one == record);
        // Half a line may be a whole object only where the rest of it was no JSON.
        assert!(there || short.broken_lines < run.broken_lines);
    }
}

/// What `report` makes of it, alone and beside another; `kind` says in which way and
/// form, as all of them at once would take long.
fn reported(run: &Run, kind: u8) {
    let summary = stats::summarize(run);
    let verdict = stats::judge(run, &summary);
    let text = report::text::profile(run, &summary, &verdict);
    assert!(text.starts_with("VALID") || text.starts_with("INVALID"));
    let row = report::csv::row(run, &summary, &verdict);
    assert_eq!(row.len(), report::csv::HEADER.len());
    let mut other = run.clone();
    if let Some(experiment) = &mut other.header.experiment {
        experiment.arm = experiment.arm.wrapping_add(1);
    }
    let summaries = [&summary, &stats::summarize(&other)];
    let arms: Vec<Arm<'_>> = [run, &other]
        .into_iter()
        .zip(summaries)
        .map(|(run, summary)| Arm { run, summary })
        .collect();
    let options = Options::of(run);
    let comparison = match kind >> 2 & 3 {
        0 => Some(stats::compare_blocks(&arms, &options)),
        1 => stats::compare_apart(&arms[0], &arms[1], &options).ok(),
        _ => None,
    };
    let findings = Findings {
        arms: &arms,
        verdict: &stats::judge_together(&arms),
        comparison: comparison.as_ref(),
        waterfalls: &stats::waterfalls(&arms),
        conditions: &[],
    };
    let page = match kind >> 4 & 3 {
        0 => report::text::compare(&findings),
        1 => report::markdown::page(&findings),
        2 => report::html::page(&findings),
        _ => report::json::page(&findings),
    };
    match kind >> 4 & 3 {
        2 => assert!(!page.contains("<script>alert"), "a server's words are text"),
        3 => drop(serde_json::from_str::<serde_json::Value>(&page).expect("JSON")),
        _ => assert!(!page.is_empty()),
    }
}

/// The same for what a calibration left.
fn calibrated(folder: &Path) {
    match Calibration::load(folder) {
        Ok(Some(calibration)) => {
            let page = report::calibrate::page(&calibration, &stats::noise(&calibration));
            assert!(!page.is_empty());
            if let [first, other, ..] = calibration.backends.as_slice() {
                let _ = stats::difference(first, other);
            }
        }
        Ok(None) => {}
        Err(error) => assert!(format!("{error:#}").len() < 2_000, "an error for people"),
    }
}
