//! Byte pair merging: the highest score first, the leftmost on ties.
//!
//! Knows a table of merges and a row of symbols, and does what SentencePiece's
//! `bpe_model.cc` does to it. It refuses to know characters, pieces and ids.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::quick_hash::QuickMap;
use super::tables::pair_key;

/// A merge: when its turn is (0 first) and the symbol that it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Merge {
    pub(in super::super) turn: u32,
    pub(in super::super) symbol: u32,
}

/// Stands in the row of candidates where two neighbours do not merge.
const NEVER: Merge = Merge {
    turn: u32::MAX,
    symbol: u32::MAX,
};

/// Which two symbols side by side merge, and into what.
#[derive(Default)]
pub(in super::super) struct MergeTable(QuickMap<u64, Merge>);

impl MergeTable {
    pub(in super::super) fn insert(&mut self, left: u32, right: u32, merge: Merge) {
        self.0.insert(pair_key(left, right), merge);
    }

    fn get(&self, left: u32, right: u32) -> Merge {
        self.0.get(&pair_key(left, right)).copied().unwrap_or(NEVER)
    }
}

/// A symbol and the byte of the text at which it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Placed {
    pub(in super::super) symbol: u32,
    pub(in super::super) at: usize,
}

/// Up to this many symbols, looking at all of them again after each merge is
/// quicker than keeping a heap; beyond it the heap keeps long texts linear.
const SCANNED_SYMBOLS: usize = 48;

/// The row of symbols under work, with buffers that are used again.
#[derive(Default)]
pub(in super::super) struct Merging {
    /// Filled by the caller; what cannot merge any further after [`Self::run`].
    pub(in super::super) row: Vec<Placed>,
    candidates: Vec<Merge>,
    links: Vec<Link>,
    heap: BinaryHeap<Reverse<Candidate>>,
    /// The two symbols of the last merge that was done.
    pub(in super::super) last: Option<(u32, u32)>,
}

/// A symbol in the doubly linked row that the heap works on.
struct Link {
    placed: Placed,
    previous: Option<usize>,
    next: Option<usize>,
    /// How many of the first symbols it covers; 0 once it was merged away.
    span: usize,
}

/// A merge that was possible when it was written down. Sorted by turn, then place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    turn: u32,
    left: usize,
    right: usize,
    /// Spans of both together: unequal as soon as one of them has changed.
    span: usize,
    symbol: u32,
}

impl Merging {
    /// Merges until nothing merges.
    pub(in super::super) fn run(&mut self, table: &MergeTable) {
        self.last = None;
        if self.row.len() <= SCANNED_SYMBOLS {
            self.scan(table);
        } else {
            self.heap(table);
        }
    }

    fn scan(&mut self, table: &MergeTable) {
        let Self {
            row,
            candidates,
            last,
            ..
        } = self;
        candidates.clear();
        let pairs = row.windows(2);
        candidates.extend(pairs.map(|pair| table.get(pair[0].symbol, pair[1].symbol)));
        while let Some((at, merge)) = best_of(candidates) {
            *last = Some((row[at].symbol, row[at + 1].symbol));
            row[at].symbol = merge.symbol;
            row.remove(at + 1);
            candidates.remove(at);
            if at > 0 {
                candidates[at - 1] = table.get(row[at - 1].symbol, merge.symbol);
            }
            if at < candidates.len() {
                candidates[at] = table.get(merge.symbol, row[at + 1].symbol);
            }
        }
    }

    fn heap(&mut self, table: &MergeTable) {
        let count = self.row.len();
        self.links.clear();
        self.links
            .extend(self.row.iter().enumerate().map(|(at, &placed)| Link {
                placed,
                previous: at.checked_sub(1),
                next: Some(at + 1).filter(|&next| next < count),
                span: 1,
            }));
        self.heap.clear();
        for right in 1..count {
            self.consider(table, Some(right - 1), Some(right));
        }
        while let Some(Reverse(best)) = self.heap.pop() {
            let (left, right) = (&self.links[best.left], &self.links[best.right]);
            if left.span == 0 || right.span == 0 || left.span + right.span != best.span {
                continue;
            }
            self.last = Some((left.placed.symbol, right.placed.symbol));
            let (previous, next) = (left.previous, right.next);
            self.links[best.right].span = 0;
            let merged = &mut self.links[best.left];
            merged.placed.symbol = best.symbol;
            merged.span = best.span;
            merged.next = next;
            if let Some(next) = next {
                self.links[next].previous = Some(best.left);
            }
            self.consider(table, previous, Some(best.left));
            self.consider(table, Some(best.left), next);
        }
        self.row.clear();
        let left_over = self.links.iter().filter(|link| link.span > 0);
        self.row.extend(left_over.map(|link| link.placed));
    }

    fn consider(&mut self, table: &MergeTable, left: Option<usize>, right: Option<usize>) {
        let (Some(left), Some(right)) = (left, right) else {
            return;
        };
        let (first, second) = (&self.links[left], &self.links[right]);
        let merge = table.get(first.placed.symbol, second.placed.symbol);
        if merge != NEVER {
            let span = first.span + second.span;
            let candidate = Candidate {
                turn: merge.turn,
                left,
                right,
                span,
                symbol: merge.symbol,
            };
            self.heap.push(Reverse(candidate));
        }
    }
}

/// The candidate whose turn is first, the leftmost of equals.
fn best_of(candidates: &[Merge]) -> Option<(usize, Merge)> {
    let (at, merge) = candidates
        .iter()
        .copied()
        .enumerate()
        .min_by_key(|&(_, merge)| merge.turn)?;
    (merge != NEVER).then_some((at, merge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Symbols 0..4 merge pairwise into each other by an arbitrary table.
    fn table(entries: &[(u32, u32, u32, u32)]) -> MergeTable {
        let mut table = MergeTable::default();
        for &(left, right, turn, symbol) in entries {
            table.insert(left, right, Merge { turn, symbol });
        }
        table
    }

    fn row(symbols: &[u32]) -> Vec<Placed> {
        symbols
            .iter()
            .enumerate()
            .map(|(at, &symbol)| Placed { symbol, at })
            .collect()
    }

    #[test]
    fn the_first_turn_wins_and_the_leftmost_of_equals() {
        // a=0 b=1 c=2: bc before ab; aa merges from the left.
        let table = table(&[(0, 1, 1, 10), (1, 2, 0, 11), (0, 0, 2, 12)]);
        for (before, after) in [
            (&[0, 1, 2][..], &[0, 11][..]),
            (&[0, 1, 1, 2], &[10, 11]),
            (&[0, 0, 0], &[12, 0]),
            (&[2], &[2]),
            (&[], &[]),
        ] {
            let mut merging = Merging {
                row: row(before),
                ..Merging::default()
            };
            merging.run(&table);
            let symbols: Vec<u32> = merging.row.iter().map(|placed| placed.symbol).collect();
            assert_eq!(symbols, after);
        }
    }

    #[test]
    fn the_last_merge_is_remembered() {
        let table = table(&[(0, 1, 0, 10), (10, 2, 1, 11)]);
        let mut merging = Merging {
            row: row(&[0, 1, 2]),
            ..Merging::default()
        };
        merging.run(&table);
        assert_eq!(merging.last, Some((10, 2)));
        merging.row = row(&[2, 2]);
        merging.run(&table);
        assert_eq!(merging.last, None);
    }

    proptest! {
        /// The scan and the heap are two ways to the same row.
        #[test]
        fn scan_and_heap_agree(
            entries in proptest::collection::vec((0_u32..6, 0_u32..6, 0_u32..5, 0_u32..6), 0..20),
            symbols in proptest::collection::vec(0_u32..6, 0..120),
        ) {
            let table = table(&entries);
            let mut scanned = Merging { row: row(&symbols), ..Merging::default() };
            scanned.scan(&table);
            let mut heaped = Merging { row: row(&symbols), ..Merging::default() };
            heaped.heap(&table);
            prop_assert_eq!(scanned.row, heaped.row);
            prop_assert_eq!(scanned.last, heaped.last);
        }
    }
}
