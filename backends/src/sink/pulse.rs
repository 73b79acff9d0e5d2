//! What others see of a request in flight. Reads no clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// When a slot's request last made progress, readable from outside while the
/// request runs: how the runner tells a slow answer from a dead one.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Beat>);

/// In a cache line of its own: another thread looks at it.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Beat {
    last_ns: AtomicU64,
    tokens: AtomicU64,
    given_up: AtomicBool,
    flooded: AtomicBool,
}

impl Pulse {
    /// Time of the last message that carried tokens, or of the request's
    /// start; and whether a token has come yet.
    #[must_use]
    pub fn read(&self) -> (u64, bool) {
        let pieces = self.0.tokens.load(Ordering::Acquire);
        (self.0.last_ns.load(Ordering::Acquire), pieces > 0)
    }

    /// Looks at it without learning anything.
    #[inline]
    pub(super) fn look_ahead(&self) -> u64 {
        // Relaxed: what is read behind it need not wait for it.
        self.0.last_ns.load(Ordering::Relaxed)
    }

    /// Says that nobody waits for the request any more. It is for whoever polls
    /// it to look, as it ends by being dropped.
    pub fn give_up(&self) {
        self.0.given_up.store(true, Ordering::Release);
    }

    /// Whether the request was given up.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.0.given_up.load(Ordering::Acquire)
    }

    /// Whether it was given up as its answer does not end.
    #[must_use]
    pub fn is_flooded(&self) -> bool {
        self.0.flooded.load(Ordering::Acquire)
    }

    pub(super) fn flood(&self) {
        self.0.flooded.store(true, Ordering::Release);
        self.give_up();
    }

    pub(super) fn reset(&self, at_ns: u64) {
        self.0.flooded.store(false, Ordering::Release);
        self.0.given_up.store(false, Ordering::Release);
        self.0.tokens.store(0, Ordering::Release);
        self.0.last_ns.store(at_ns, Ordering::Release);
    }

    #[inline]
    pub(super) fn beat(&self, at_ns: u64) {
        // One writer (whoever has the sink): plain stores, no read-modify-write.
        self.0.last_ns.store(at_ns, Ordering::Release);
        self.0.tokens.store(1, Ordering::Release);
    }
}
