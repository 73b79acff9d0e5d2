//! The fuzzer's targets, played with their seeds alone: what was found once stays
//! found, and no target rots. See `tests/fuzz/README.md`; the targets of the wires
//! are played in `backends/src/fuzzing_tests.rs`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise"
)]
#![allow(
    clippy::duplicate_mod,
    reason = "each target stands by itself, with the plain reference that two of them need"
)]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[path = "fuzz/targets/csv_header.rs"]
mod csv_header;
#[path = "fuzz/targets/flags.rs"]
mod flags;
#[path = "fuzz/targets/json_reader.rs"]
mod json_reader;
#[path = "fuzz/targets/records.rs"]
mod records;
#[path = "fuzz/targets/sp_encoder.rs"]
mod sp_encoder;
#[path = "fuzz/targets/sp_loader.rs"]
mod sp_loader;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/seeds")
        .join(target);
    let mut played = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let outcome = catch_unwind(|| run(&bytes));
        assert!(outcome.is_ok(), "seed {}", path.display());
        played += 1;
    }
    assert!(played > 3, "{played} seeds below {}", folder.display());
}

#[test]
fn seeds_of_csv_header_hold() {
    replay("csv_header", csv_header::run);
}

#[test]
fn seeds_of_flags_hold() {
    replay("flags", flags::run);
}

#[test]
fn seeds_of_json_reader_hold() {
    replay("json_reader", json_reader::run);
}

#[test]
fn seeds_of_records_hold() {
    replay("records", records::run);
}

#[test]
fn seeds_of_sp_encoder_hold() {
    replay("sp_encoder", sp_encoder::run);
}

#[test]
fn seeds_of_sp_loader_hold() {
    replay("sp_loader", sp_loader::run);
}
