//! See `../targets/csv_header.rs`.
#![no_main]

#[path = "../bounded.rs"]
mod bounded;
#[path = "../targets/csv_header.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded::run(|| target::run(data)));
