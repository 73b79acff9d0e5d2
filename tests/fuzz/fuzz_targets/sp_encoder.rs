//! See `../targets/sp_encoder.rs`.
#![no_main]

#[path = "../bounded.rs"]
mod bounded;
#[path = "../targets/sp_encoder.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded::run(|| target::run(data)));
