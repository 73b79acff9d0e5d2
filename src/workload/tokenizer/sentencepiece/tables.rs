//! Look-up tables over characters: numbers, neighbours, user-defined pieces.
//!
//! Knows which characters and which pairs of them occur in a vocabulary. It
//! refuses to know merges and ids that come out.

use super::model_file::{Kind, Piece};
use super::quick_hash::{QuickMap, QuickSet, spread};

/// The symbol of a character that occurs in no piece. It never merges.
pub(super) const FOREIGN: u32 = u32::MAX;

/// From characters to symbols: a plain table up to U+FFFF, a map above.
pub(super) struct CharTable {
    low: Vec<u32>,
    high: QuickMap<char, u32>,
}

impl Default for CharTable {
    fn default() -> Self {
        Self {
            low: vec![FOREIGN; 0x1_0000],
            high: QuickMap::default(),
        }
    }
}

impl CharTable {
    /// The symbol of `character`, [`FOREIGN`] where it has none.
    pub(super) fn get(&self, character: char) -> u32 {
        match self.low.get(character as usize) {
            Some(&symbol) => symbol,
            None => self.high.get(&character).copied().unwrap_or(FOREIGN),
        }
    }

    pub(super) fn insert(&mut self, character: char, symbol: u32) {
        match self.low.get_mut(character as usize) {
            Some(slot) => *slot = symbol,
            None => {
                self.high.insert(character, symbol);
            }
        }
    }
}

/// Ordered pairs of characters, with a bitmap in front that answers most "no"s.
pub(super) struct NeighbourSet {
    bitmap: Vec<u64>,
    pairs: QuickSet<u64>,
}

/// 2^22 bits: half a megabyte, which stays in the second-level cache.
const BITMAP_BITS: u32 = 22;

impl NeighbourSet {
    pub(super) fn of(pieces: &[Piece]) -> Self {
        let mut set = Self {
            bitmap: vec![0; 1 << (BITMAP_BITS - 6)],
            pairs: QuickSet::default(),
        };
        for piece in pieces {
            if matches!(piece.kind, Kind::Normal | Kind::Unused | Kind::UserDefined) {
                for (left, right) in piece.text.chars().zip(piece.text.chars().skip(1)) {
                    let key = pair_key(left as u32, right as u32);
                    let (word, bit) = Self::place(key);
                    set.bitmap[word] |= bit;
                    set.pairs.insert(key);
                }
            }
        }
        set
    }

    fn place(key: u64) -> (usize, u64) {
        let hash = (spread(key) >> (64 - BITMAP_BITS)) as u32;
        ((hash >> 6) as usize, 1 << (hash & 63))
    }

    /// Whether some piece holds `left` directly before `right`.
    pub(super) fn contains(&self, left: char, right: char) -> bool {
        let key = pair_key(left as u32, right as u32);
        let (word, bit) = Self::place(key);
        self.bitmap[word] & bit != 0 && self.pairs.contains(&key)
    }
}

/// The pieces that are matched in text before anything is merged.
pub(super) struct UserDefined {
    /// By first character: the lengths in bytes that occur, longest first.
    lengths: QuickMap<char, Vec<usize>>,
    symbols: QuickMap<Box<str>, u32>,
}

impl UserDefined {
    pub(super) fn of(pieces: &[Piece]) -> Self {
        let mut found = Self {
            lengths: QuickMap::default(),
            symbols: QuickMap::default(),
        };
        for (id, piece) in (0_u32..).zip(pieces) {
            if piece.kind == Kind::UserDefined
                && let Some(first) = piece.text.chars().next()
            {
                found
                    .lengths
                    .entry(first)
                    .or_default()
                    .push(piece.text.len());
                found.symbols.insert(piece.text.as_str().into(), id);
            }
        }
        for lengths in found.lengths.values_mut() {
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.dedup();
        }
        found
    }

    /// The longest piece that `text` begins with, and its bytes; `first` is the
    /// first character of `text`.
    pub(super) fn longest_prefix(&self, first: char, text: &str) -> Option<(u32, usize)> {
        if self.symbols.is_empty() {
            return None;
        }
        self.lengths.get(&first)?.iter().find_map(|&length| {
            let symbol = self.symbols.get(text.get(..length)?)?;
            Some((*symbol, length))
        })
    }
}

/// Two numbers as one key.
pub(super) fn pair_key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}
