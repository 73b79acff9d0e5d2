//! The simulated servers' own book: when each message was handed to the
//! socket, on the clock that the client shares. What the client says it saw is
//! checked against it.

use std::sync::{Arc, Mutex};

use super::lock;
use crate::Clock;

/// One message that a simulated server handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The request, as the client named it (Triton request id, HTTP
    /// `x-request-id`); empty where it named none.
    pub request: String,
    /// When, on the engine's clock.
    pub at_ns: u64,
    /// Tokens of the answer up to and with this message.
    pub total_tokens: u32,
}

/// The list of hand-overs. Clones share it. Off until somebody listens, so
/// that a long run of `serve` does not fill the memory.
#[derive(Clone, Debug)]
pub struct Ledger {
    clock: Clock,
    entries: Arc<Mutex<Option<Vec<Handover>>>>,
}

impl Ledger {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            entries: Arc::default(),
        }
    }

    /// Starts to keep entries.
    pub fn listen(&self) {
        lock(&self.entries).get_or_insert_default();
    }

    /// Enters a message that is handed to the transport now.
    pub fn hand_over(&self, request: &str, total_tokens: u32) {
        let at_ns = self.clock.now_ns();
        if let Some(entries) = lock(&self.entries).as_mut() {
            entries.push(Handover {
                request: request.to_owned(),
                at_ns,
                total_tokens,
            });
        }
    }

    /// Takes all entries out, in the order in which they were made.
    #[must_use]
    pub fn take(&self) -> Vec<Handover> {
        lock(&self.entries)
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }
}
