//! What was handed over and when, on the clock that the client shares. Costs a
//! reading of the clock per token and a lock per request.

use std::sync::{Arc, Mutex, PoisonError};

/// One request that was answered to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Its number, as the client named it (Triton request id, HTTP
    /// `x-request-id`); `u64::MAX` where it named none or no number.
    pub request: u64,
    /// When it had been read, in nanoseconds on the shared clock.
    pub arrived_ns: u64,
    /// For each message with a token: when it was handed to the system, right
    /// before the write to the socket that carried its end. HTTP writes each token
    /// by itself; on a gRPC connection what several streams have to say at one
    /// moment goes with as few writes as it fits in (64 KiB and somewhat more
    /// each), and has their times. What the system does not take at once has the
    /// time of the first try: early, never late.
    pub at_ns: Vec<u64>,
}

/// The finished requests. Clones share it. Grows until it is taken.
#[derive(Clone, Debug, Default)]
pub struct Book(Arc<Mutex<Vec<Handed>>>);

impl Book {
    /// Takes all entries out, in the order in which the requests ended.
    #[must_use]
    pub fn take(&self) -> Vec<Handed> {
        // One push is the only change, so a broken lock protects nothing worse.
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Enters a request.
    pub(super) fn enter(&self, handed: Handed) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(handed);
    }
}
