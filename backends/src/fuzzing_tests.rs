//! Seeds of the targets, played.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

/// The seeds of a target: those that were written by hand and those that the
/// fuzzer found worth keeping.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fuzz/seeds")
        .join(target);
    let mut played = 0;
    for entry in fs::read_dir(&folder).expect("the target has seeds") {
        let path = entry.expect("readable").path();
        let bytes = fs::read(&path).expect("readable");
        let outcome = catch_unwind(|| run(&bytes));
        assert!(outcome.is_ok(), "seed {}", path.display());
        played += 1;
    }
    assert!(played >= 10, "{played} seeds below {}", folder.display());
}

#[test]
fn seeds_of_events_hold() {
    replay("sse_events", super::events);
}

#[test]
fn seeds_of_json_hold() {
    replay("api_json", super::json);
}

#[test]
fn seeds_of_tensors_hold() {
    replay("grpc_tensors", super::tensors);
}

#[test]
fn seeds_of_frames_hold() {
    replay("http2_frames", super::frames);
}

#[test]
fn pieces_are_all_of_it() {
    for lengths in [&[][..], &[0], &[3, 200]] {
        let bytes = [7; 1000];
        let pieces = super::pieces(&bytes, lengths);
        assert_eq!(pieces.concat(), bytes);
        assert!(pieces.iter().all(|piece| !piece.is_empty()));
    }
}
