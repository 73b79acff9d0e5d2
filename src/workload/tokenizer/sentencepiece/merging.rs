//! Byte pair merging: the highest score first, the leftmost on ties.
//!
//! Knows a table of merges and a row of symbols, and does what SentencePiece's
//! `bpe_model.cc` does to it. It refuses to know characters, pieces and ids.

use anyhow::{Result, ensure};

use super::quick_hash::QuickMap;
use super::tables::pair_key;
use super::turn_queue::TurnQueue;

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

/// Bytes that are hashed to look at every cut of every token: some 9 million for
/// real vocabularies, and within a few seconds up to here.
const MOST_CUT_BYTES: usize = 1 << 31;

/// Objects to so many long tokens that making the table of pairs would not end.
pub(in super::super) fn check_cuts(lengths_bytes: impl Iterator<Item = usize>) -> Result<()> {
    let cut = lengths_bytes.fold(0_usize, |sum, len| sum.saturating_add(len * len));
    ensure!(
        cut <= MOST_CUT_BYTES,
        "the vocabulary has too many long tokens (their squared lengths add up to {cut} bytes, \
         more than {MOST_CUT_BYTES}), as no model has: was the file damaged?"
    );
    Ok(())
}

/// A symbol and the byte of the text at which it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Placed {
    pub(in super::super) symbol: u32,
    pub(in super::super) at: usize,
}

/// Up to this many symbols, looking at all of them again after each merge is
/// quicker than keeping a queue; beyond it the queue keeps long texts linear.
const SCANNED_SYMBOLS: usize = 48;

/// The row of symbols under work, with buffers that are used again.
#[derive(Default)]
pub(in super::super) struct Merging {
    /// Filled by the caller; what cannot merge any further after [`Self::run`].
    pub(in super::super) row: Vec<Placed>,
    candidates: Vec<Merge>,
    links: Vec<Link>,
    queue: TurnQueue,
    /// The two symbols of the last merge that was done.
    pub(in super::super) last: Option<(u32, u32)>,
}

/// A symbol in the doubly linked row that the queue works on. Small, because long
/// rows are walked through many times.
#[derive(Clone, Copy)]
struct Link {
    symbol: u32,
    previous: u32,
    next: u32,
    /// Of this symbol and the next; [`NEVER`] also once this one was merged away.
    merge: Merge,
}

/// In place of a neighbour at the ends of the row, and of symbols merged away.
const NOBODY: u32 = u32::MAX;

impl Merging {
    /// Merges until nothing merges.
    pub(in super::super) fn run(&mut self, table: &MergeTable) {
        self.last = None;
        match u32::try_from(self.row.len()) {
            Ok(count) if self.row.len() > SCANNED_SYMBOLS && count < NOBODY => {
                self.queue(table, count);
            }
            _ => self.scan(table),
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

    fn queue(&mut self, table: &MergeTable, count: u32) {
        let Self {
            row,
            links,
            queue,
            last,
            ..
        } = self;
        links.clear();
        links.extend((0..count).zip(&*row).map(|(at, placed)| Link {
            symbol: placed.symbol,
            previous: at.checked_sub(1).unwrap_or(NOBODY),
            next: if at + 1 < count { at + 1 } else { NOBODY },
            merge: NEVER,
        }));
        queue.clear();
        for left in 0..count {
            consider(table, links, queue, left);
        }
        while let Some((turn, at)) = queue.pop() {
            let left = links[at as usize];
            // Something else was done here since this turn was written down.
            if left.merge == NEVER || left.merge.turn != turn {
                continue;
            }
            let right = links[left.next as usize];
            *last = Some((left.symbol, right.symbol));
            links[left.next as usize].merge = NEVER;
            links[at as usize].symbol = left.merge.symbol;
            links[at as usize].next = right.next;
            if let Some(after) = links.get_mut(right.next as usize) {
                after.previous = at;
            }
            consider(table, links, queue, left.previous);
            consider(table, links, queue, at);
        }
        self.gather();
    }

    /// Writes what the linked row holds back into the row.
    fn gather(&mut self) {
        let mut at = 0;
        let mut kept = 0;
        while let Some(&link) = self.links.get(at) {
            self.row[kept] = Placed {
                symbol: link.symbol,
                at: self.row[at].at,
            };
            kept += 1;
            at = link.next as usize;
        }
        self.row.truncate(kept);
    }
}

/// Writes down what the symbol at `left` and its next can become.
fn consider(table: &MergeTable, links: &mut [Link], queue: &mut TurnQueue, left: u32) {
    let Some(&first) = links.get(left as usize) else {
        return;
    };
    let next = links.get(first.next as usize);
    let merge = next.map_or(NEVER, |next| table.get(first.symbol, next.symbol));
    links[left as usize].merge = merge;
    if merge != NEVER {
        queue.push(merge.turn, left);
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
        /// The scan and the queue are two ways to the same row.
        #[test]
        fn scan_and_queue_agree(
            entries in proptest::collection::vec((0_u32..6, 0_u32..6, 0_u32..5, 0_u32..6), 0..20),
            symbols in proptest::collection::vec(0_u32..6, 0..120),
        ) {
            let table = table(&entries);
            let mut scanned = Merging { row: row(&symbols), ..Merging::default() };
            scanned.scan(&table);
            let mut queued = Merging { row: row(&symbols), ..Merging::default() };
            queued.queue(&table, u32::try_from(symbols.len()).unwrap());
            prop_assert_eq!(scanned.row, queued.row);
            prop_assert_eq!(scanned.last, queued.last);
        }
    }
}
