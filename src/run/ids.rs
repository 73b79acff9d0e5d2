//! Ids of requests, none handed out twice. Knows numbers only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where ids of requests come from; clones share it. Arms that ask one server
/// must: a Triton server refuses an id that is running.
#[derive(Clone, Debug)]
pub struct Ids(Arc<AtomicU64>);

impl Ids {
    /// Ids from `first` on; see [`super::Wall::first_id`].
    #[must_use]
    pub fn from(first: u64) -> Self {
        Self(Arc::new(AtomicU64::new(first)))
    }

    /// The id that will be handed out next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The first of `count` ids in a row that nobody else gets.
    pub(super) fn take(&self, count: usize) -> u64 {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.0.fetch_add(count, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn clones_hand_out_other_ids() {
        let ids = Ids::from(7);
        let others = ids.clone();
        assert_eq!([ids.take(3), others.take(2), ids.take(1)], [7, 10, 12]);
        assert_eq!(others.next(), 13);
    }
}
