//! See `backends::fuzzing::frames`.
#![no_main]

#[path = "../bounded.rs"]
mod bounded;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded::run(|| backends::fuzzing::frames(data)));
