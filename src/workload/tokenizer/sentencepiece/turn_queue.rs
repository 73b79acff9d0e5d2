//! A queue of places, the first turn first, and the leftmost place of a turn.
//!
//! Knows turns and places. It refuses to know what is done at a place, and
//! whether it still can be: who pops checks.
//!
//! A binary heap over all places costs more per place the more there are, since
//! every step down misses the processor's cache. Turns are few (as many as the
//! vocabulary has scores), so only they are kept in a heap. The places of a turn
//! nearly always arrive from left to right, because a row is worked through from
//! left to right; those are a plain list, and only what comes late needs a heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::quick_hash::QuickMap;

/// See the head of this file.
#[derive(Default)]
pub(super) struct TurnQueue {
    /// Turns that have places, each once.
    turns: BinaryHeap<Reverse<u32>>,
    /// By turn: its bucket.
    slots: QuickMap<u32, usize>,
    /// The first `slots.len()` are in use, the others keep their memory.
    buckets: Vec<Bucket>,
}

/// The places of one turn.
#[derive(Default)]
struct Bucket {
    /// Ascending; those before `taken` are gone.
    in_order: Vec<u32>,
    taken: usize,
    late: BinaryHeap<Reverse<u32>>,
}

impl Bucket {
    fn clear(&mut self) {
        self.in_order.clear();
        self.taken = 0;
        self.late.clear();
    }

    fn is_empty(&self) -> bool {
        self.taken == self.in_order.len() && self.late.is_empty()
    }

    fn push(&mut self, place: u32) {
        if self.in_order.last().is_none_or(|&last| last <= place) {
            self.in_order.push(place);
        } else {
            self.late.push(Reverse(place));
        }
    }

    fn pop(&mut self) -> Option<u32> {
        let next = self.in_order.get(self.taken).copied();
        match (next, self.late.peek()) {
            (Some(next), late) if late.is_none_or(|&Reverse(late)| next <= late) => {
                self.taken += 1;
                Some(next)
            }
            _ => self.late.pop().map(|Reverse(place)| place),
        }
    }
}

impl TurnQueue {
    /// Forgets all places and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.turns.clear();
        self.slots.clear();
    }

    pub(super) fn push(&mut self, turn: u32, place: u32) {
        let free = self.slots.len();
        let slot = *self.slots.entry(turn).or_insert(free);
        if slot == self.buckets.len() {
            self.buckets.push(Bucket::default());
        }
        let bucket = &mut self.buckets[slot];
        if slot == free {
            bucket.clear();
        }
        if bucket.is_empty() {
            bucket.clear();
            self.turns.push(Reverse(turn));
        }
        bucket.push(place);
    }

    /// The leftmost place of the first turn.
    pub(super) fn pop(&mut self) -> Option<(u32, u32)> {
        let &Reverse(turn) = self.turns.peek()?;
        let bucket = self.slots.get(&turn).map(|&slot| &mut self.buckets[slot])?;
        let place = bucket.pop()?;
        if bucket.is_empty() {
            self.turns.pop();
        }
        Some((turn, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Pushes and pops in any order give what one sorted list gives, also
        /// when the queue is used again.
        #[test]
        fn the_smallest_comes_first(
            steps in proptest::collection::vec((any::<bool>(), 0_u32..5, 0_u32..20), 0..200),
        ) {
            let mut queue = TurnQueue::default();
            for _ in 0..2 {
                queue.clear();
                let mut plain: Vec<(u32, u32)> = Vec::new();
                for &(is_push, turn, place) in &steps {
                    if is_push {
                        queue.push(turn, place);
                        plain.push((turn, place));
                        plain.sort_unstable();
                    } else {
                        let first = (!plain.is_empty()).then(|| plain.remove(0));
                        prop_assert_eq!(queue.pop(), first);
                    }
                }
            }
        }
    }
}
