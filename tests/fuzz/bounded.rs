//! A limit on what an input may take of memory: whatever a server or a file says,
//! a few kilobytes of it are no reason to ask for more than a few megabytes. Who
//! does is ended by the allocator, which the fuzzer takes for a crash.

use std::alloc::System;

use cap::Cap;

/// The most that one input may take beyond what is taken already.
const INPUT_BYTES_MAX: usize = 16 << 20;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

pub fn run(target: impl FnOnce()) {
    let limit = MEMORY.allocated() + INPUT_BYTES_MAX;
    MEMORY.set_limit(limit).expect("more than is taken");
    target();
    MEMORY.set_limit(usize::MAX).expect("no limit");
}
