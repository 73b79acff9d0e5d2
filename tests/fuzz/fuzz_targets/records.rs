//! See `../targets/records.rs`.
#![no_main]

#[path = "../bounded.rs"]
mod bounded;
#[path = "../targets/records.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded::run(|| target::run(data)));
