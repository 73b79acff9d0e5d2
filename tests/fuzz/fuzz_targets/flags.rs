//! See `../targets/flags.rs`, and `backends::fuzzing::address` for addresses.
#![no_main]

#[path = "../bounded.rs"]
mod bounded;
#[path = "../targets/flags.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bounded::run(|| {
        target::run(data);
        if let Some((_, text)) = data.split_first() {
            backends::fuzzing::address(&String::from_utf8_lossy(text));
        }
    })
});
