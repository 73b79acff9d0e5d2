//! A limit on what an input may take of memory: whatever a server or a file says,
//! a few kilobytes of it are no reason to ask for more than a few megabytes. Who
//! does is ended by the allocator, which the fuzzer takes for a crash.

use std::alloc::System;
use std::panic;
use std::sync::Once;

use cap::Cap;

/// The most that one input may take beyond what is taken already.
const INPUT_BYTES_MAX: usize = 16 << 20;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

static PREPARED: Once = Once::new();

/// Runs one input. The first has no limit: models are loaded then, and runtimes made.
pub fn run(target: impl FnOnce()) {
    if !PREPARED.is_completed() {
        PREPARED.call_once(prepare);
        return target();
    }
    let limit = MEMORY.allocated() + INPUT_BYTES_MAX;
    MEMORY.set_limit(limit).expect("more than is taken");
    target();
    MEMORY.set_limit(usize::MAX).expect("no limit");
}

fn prepare() {
    // What tells of a panic reads the binary's own lines, which takes more.
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        let _ = MEMORY.set_limit(usize::MAX);
        tell(what);
    }));
}
