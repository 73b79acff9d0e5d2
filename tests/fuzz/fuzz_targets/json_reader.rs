//! See `../targets/json_reader.rs`.
#![no_main]

#[path = "../bounded.rs"]
mod bounded;
#[path = "../targets/json_reader.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded::run(|| target::run(data)));
