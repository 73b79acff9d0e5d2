//! Rows that come back as they went in, and files that are left alone.

use std::collections::HashMap;
use std::path::Path;

use proptest::prelude::*;

use super::super::samples;
use super::{HEADER, append, check, row};
use crate::record::Run;
use crate::stats::fixture::{failed, record, run, sound};
use crate::stats::{Verdict, judge, summarize};

fn row_of(run: &Run) -> Vec<String> {
    let summary = summarize(run);
    row(run, &summary, &judge(run, &summary))
}

fn named(row: &[String]) -> HashMap<&str, &str> {
    assert_eq!(row.len(), HEADER.len());
    HEADER
        .into_iter()
        .zip(row.iter().map(String::as_str))
        .collect()
}

fn read(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(path)
        .expect("there");
    reader
        .records()
        .map(|record| record.expect("whole").iter().map(str::to_owned).collect())
        .collect()
}

/// The same with rows of any length.
fn read_flexible(path: &Path) -> Vec<csv::ByteRecord> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_path(path)
        .expect("there");
    let records = reader.byte_records().map(|record| record.expect("read"));
    records.collect()
}

#[test]
fn lmdeploys_nine_columns_come_first() {
    let line = HEADER[..9].join(",");
    assert_eq!(
        line,
        "batch,num_prompts,RPS,RPM,FTL(ave)(s),FTL(min)(s),FTL(max)(s),throughput(out tok/s),throughput(total tok/s)"
    );
    let row = row_of(&sound());
    // Four requests in 4 ms, 1 ms to the first token, 12 of 52 tokens generated.
    assert_eq!(
        row[..9].join(","),
        "2,4,1000.000,60000.000,0.001,0.001,0.001,3000.000,13000.000"
    );
}

#[test]
fn every_cell_of_a_known_run() {
    let mut run = sound();
    if let Some(end) = &mut run.end {
        end.client_cpu_ns = Some(end.span_ns / 2);
    }
    let row = row_of(&run);
    let cell = named(&row);
    for (column, expected) in [
        ("backend", "tis"),
        ("server", "triton 2.51.0"),
        ("model", "turbomind"),
        ("prompt_mode", "raw"),
        ("stream", "true"),
        ("seed", "0"),
        ("workload", "a1b2c3d4"),
        ("prompt_tokens", "40"),
        ("completion_tokens", "12"),
        ("requested_tokens", "12"),
        ("token_source", "ids"),
        ("failed", "0"),
        ("elapsed(s)", "0.004000"),
        ("FTL(p50)(s)", "0.001000"),
        ("FTL(p99)(s)", "0.001000"),
        ("TPOT(ave)(s)", "0.000500"),
        ("TPOT(p95)(s)", "0.000500"),
        ("ITL(ave)(s)", "0.000500"),
        ("ITL(p90)(s)", "0.000500"),
        ("E2E(ave)(s)", "0.002000"),
        ("E2E(p50)(s)", "0.002000"),
        ("first_event(ave)(s)", "0.000750"),
        ("in_flight_peak", "2"),
        ("slip_p99(s)", "0.000000"),
        ("client_cpu(%)", "50.0"),
        ("valid", "yes"),
        ("reasons", "-"),
        ("tool_version", "0.1.0"),
        ("started_utc", "2026-01-02T03:04:05Z"),
    ] {
        assert_eq!(cell[column], expected, "{column}");
    }
}

/// Each column gets its own figure: percentiles that all differ.
#[test]
fn percentiles_go_to_their_columns() {
    let requests = 101_u32;
    let run = run((0..requests)
        .map(|index| {
            let i = u64::from(index);
            let mut made = record(index, 0, (i + 1) * 1_000_000, (i + 1) * 2_000_000, 2);
            // Four tokens in the second message: TPOT is a quarter of the gap.
            made.marks[1].tokens = 4;
            made.completion_tokens = Some(5);
            made.requested_tokens = 5;
            made
        })
        .collect());
    let row = row_of(&run);
    let cell = named(&row);
    // The samples are 1 to 101 units: the percentile p is p + 1 of them.
    for (name, unit_ms) in [("FTL", 1.0), ("TPOT", 0.5), ("ITL", 2.0), ("E2E", 3.0)] {
        for percent in [50, 90, 95, 99] {
            let column = format!("{name}(p{percent})(s)");
            let expected = f64::from(percent + 1) * unit_ms / 1e3;
            assert_eq!(cell[column.as_str()], format!("{expected:.6}"), "{column}");
        }
    }
}

#[test]
fn absent_figures_are_a_dash_and_reasons_are_codes() {
    let mut whole = sound();
    whole.header.stream = false;
    let row = row_of(&whole);
    let cell = named(&row);
    for (column, value) in &cell {
        let streams = ["FTL", "TPOT", "ITL", "first_event"];
        let absent = streams.iter().any(|name| column.starts_with(name));
        assert_eq!(
            *value == "-",
            absent || ["client_cpu(%)", "reasons"].contains(column),
            "{column}: {value}"
        );
    }
    let mut nothing = run(vec![failed(0, "connect", "refused")]);
    nothing.end = None;
    let row = row_of(&nothing);
    let cell = named(&row);
    assert_eq!(
        (cell["RPS"], cell["elapsed(s)"], cell["token_source"]),
        ("-", "-", "-")
    );
    assert_eq!((cell["failed"], cell["valid"]), ("1", "no"));
    assert_eq!(cell["reasons"], "died; failed; too_short");
    assert_eq!(
        named(&row_of(&samples::troubled()))["token_source"],
        "usage (text +1.3%)"
    );
}

#[test]
fn a_servers_words_are_no_formula() {
    for (server, expected) in [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'=1"),
        ("\r@1", "'@1"),
        ("＝1+1", "'＝1+1"),
        ("a;=1+1", "a;'=1+1"),
        ("a; \"=1+1", "a; \"'=1+1"),
        ("a|-1", "a|'-1"),
        ("a-1;b=2", "a-1;b=2"),
        ("-", "-"),
        ("", "-"),
        ("a,\"b\"\nc", "a,\"b\" c"),
        ("lmdeploy 0.18.0", "lmdeploy 0.18.0"),
    ] {
        let mut run = sound();
        run.header.server = server.to_owned();
        run.header.model = server.to_owned();
        let row = row_of(&run);
        let cell = named(&row);
        assert_eq!((cell["server"], cell["model"]), (expected, expected));
    }
}

#[test]
fn rows_come_back_below_one_header() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("rows.csv");
    let rows: Vec<Vec<String>> = samples::arms().iter().map(row_of).collect();
    check(&path).expect("a new file is fine");
    assert!(!path.exists(), "checking makes nothing");
    append(&path, &rows[..2]).expect("writable");
    check(&path).expect("its own header");
    append(&path, &rows[2..]).expect("writable");
    let found = read(&path);
    assert_eq!(found[0], HEADER);
    assert_eq!(found[1..], rows);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("there").collect();
    assert_eq!(left.len(), 1, "no temporary file stays");
}

#[cfg(unix)]
#[test]
fn a_new_file_is_an_ordinary_one() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("temporary folder");
    let (ours, plain) = (folder.path().join("a.csv"), folder.path().join("b"));
    append(&ours, &[row_of(&sound())]).expect("writable");
    std::fs::write(&plain, "").expect("writable");
    let mode = |path| std::fs::metadata(path).expect("there").permissions().mode();
    assert_eq!(mode(ours), mode(plain));
}

#[test]
fn a_file_is_taken_up_where_it_ends() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("rows.csv");
    let row = row_of(&sound());
    let header = HEADER.join(",");
    // (what is there, rows that are there afterwards, header included).
    for (there, expected) in [
        (String::new(), 2),
        (header.clone(), 2),
        (format!("{header}\n"), 2),
        (format!("{header}\r\n"), 2),
        (format!("\u{feff}{header}\n"), 2),
        (format!("{header}\n{}", row.join(",")), 3),
    ] {
        std::fs::write(&path, &there).expect("writable");
        check(&path).expect("fits");
        append(&path, std::slice::from_ref(&row)).expect("fits");
        let found = read(&path);
        assert_eq!(
            (found.len(), found.last()),
            (expected, Some(&row)),
            "{there:?}"
        );
        assert!(
            std::fs::read_to_string(&path)
                .expect("text")
                .starts_with(&there)
        );
    }
}

#[test]
fn another_header_is_refused_and_stays() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("rows.csv");
    let mut renamed = HEADER;
    renamed[3] = "rpm";
    let header = HEADER.join(",");
    for (there, words) in [
        (
            format!("{}\n1,2\n", HEADER[..9].join(",")),
            "column 10 is nothing where `backend` belongs",
        ),
        (renamed.join(","), "column 4 is `rpm` where `RPM` belongs"),
        (
            format!("{header},more\n"),
            "column 50 is `more` where nothing belongs",
        ),
        ("{\"a\": 1}\n".to_owned(), "column 1 is"),
        ("\u{0}\u{1}\u{2}".to_owned(), "column 1 is"),
        ("x".repeat(200_000), "column 1 is"),
    ] {
        std::fs::write(&path, &there).expect("writable");
        for error in [check(&path), append(&path, &[row_of(&sound())])] {
            let error = format!("{:#}", error.expect_err("another header"));
            assert!(
                error.contains(words) && error.contains("rows.csv"),
                "{error}"
            );
            assert!(error.contains("--csv"), "{error}");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("there"), there);
    }
}

/// Found by the fuzzer: behind a quote that nobody closed, rows became part of the
/// cell, and no reader would have found them.
#[test]
fn rows_are_not_swallowed_by_an_open_cell() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("rows.csv");
    let header = HEADER.join(",");
    let there = format!("{header}\n1,\"cut off");
    std::fs::write(&path, &there).expect("writable");
    for error in [check(&path), append(&path, &[row_of(&sound())])] {
        let error = format!("{:#}", error.expect_err("an open cell"));
        assert!(
            error.contains("quote") && error.contains("--csv"),
            "{error}"
        );
    }
    assert_eq!(std::fs::read_to_string(&path).expect("there"), there);
    std::fs::write(&path, format!("{there}\"")).expect("writable");
    append(&path, &[row_of(&sound())]).expect("closed");
    assert_eq!(read_flexible(&path).len(), 3);
}

#[test]
fn what_cannot_be_written_is_refused_before_the_run() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("writable");
    let mut table = vec![
        (folder.path().to_owned(), "is a folder"),
        (folder.path().join("none/rows.csv"), "does not exist"),
        (file.join("rows.csv"), "cannot write the CSV"),
    ];
    if cfg!(target_os = "linux") {
        table.push(("/proc/rows.csv".into(), "cannot write the CSV"));
    }
    for (path, words) in table {
        let error = format!("{:#}", check(&path).expect_err("unwritable"));
        assert!(error.contains(words) && error.contains("--csv"), "{error}");
    }
    check(Path::new("no-folder-given.csv")).expect("here");
    assert!(!Path::new("no-folder-given.csv").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_no_file_to_read_a_header_from() {
    check(Path::new("/dev/null")).expect("takes everything");
    append(Path::new("/dev/null"), &[row_of(&sound())]).expect("takes everything");
}

#[test]
fn processes_do_not_mix_their_lines() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("rows.csv");
    let row = row_of(&sound());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    append(&path, &[row.clone(), row.clone()]).expect("writable");
                }
            });
        }
    });
    let found = read(&path);
    assert_eq!(found.len(), 1 + 8 * 25 * 2);
    assert_eq!(found[0], HEADER);
    assert!(found[1..].iter().all(|line| *line == row));
}

proptest! {
    #[test]
    fn any_words_come_back(server in "\\PC{0,40}", model in any::<String>()) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("rows.csv");
        let mut run = sound();
        run.header.server = server;
        run.header.model = model;
        let row = row(&run, &summarize(&run), &Verdict::default());
        append(&path, std::slice::from_ref(&row)).expect("writable");
        let found = read(&path);
        prop_assert_eq!(&found[1], &row);
        for cell in &row {
            prop_assert!(cell == "-" || !cell.starts_with(['=', '+', '-', '@']), "{}", cell);
        }
        let text = std::fs::read_to_string(&path).expect("text");
        prop_assert_eq!(text.lines().count(), 2);
    }
}
