//! Memory for long messages that are under way: how much all calls of a client may
//! take together, whatever lengths a server states. Knows bytes and no message.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most that long messages of all calls of a client may take together, bytes.
/// A client has 128 requests in flight by default: 8 MiB for each, twice what
/// turbomind sends for a token of a session of a million tokens.
pub(super) const TOGETHER_BYTES_MAX: usize = 1 << 30;

/// What all calls of a client have taken. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

/// What one call has taken; given back when dropped.
#[derive(Debug, Default)]
pub(super) struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// Nothing yet.
    pub(super) fn of(budget: &Budget) -> Self {
        Self {
            budget: budget.clone(),
            bytes: 0,
        }
    }

    /// Takes so many bytes in place of what it had; whether there are so many.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let taken = &self.budget.0;
        taken.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
        let before = taken.fetch_add(bytes, Ordering::Relaxed);
        self.bytes = bytes;
        if before.saturating_add(bytes) <= TOGETHER_BYTES_MAX {
            return true;
        }
        taken.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
        false
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Share, TOGETHER_BYTES_MAX};

    #[test]
    fn shares_are_given_back() {
        let budget = Budget::default();
        let (mut one, mut other) = (Share::of(&budget), Share::of(&budget));
        assert!(one.take(TOGETHER_BYTES_MAX) && !other.take(1));
        // In place of what it had, not beside it.
        assert!(one.take(TOGETHER_BYTES_MAX));
        assert!(one.take(TOGETHER_BYTES_MAX - 7) && !other.take(8) && other.take(7));
        drop(one);
        assert!(other.take(TOGETHER_BYTES_MAX));
        drop(other);
        assert!(Share::of(&budget).take(TOGETHER_BYTES_MAX));
    }
}
