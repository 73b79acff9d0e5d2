//! A fast hash for tables that this program fills and nobody attacks.
//!
//! Knows how to mix bytes and integers. It refuses to resist keys that were
//! chosen to collide: the standard hasher does that, at several times the cost.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map over [`QuickHasher`].
pub(in super::super) type QuickMap<K, V> = HashMap<K, V, BuildHasherDefault<QuickHasher>>;
/// A set over [`QuickHasher`].
pub(super) type QuickSet<K> = HashSet<K, BuildHasherDefault<QuickHasher>>;

/// Odd, and without a pattern in its bits (the fraction of the golden ratio).
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Rotate, xor, multiply: one word at a time.
#[derive(Default, Clone, Copy)]
pub(in super::super) struct QuickHasher(u64);

impl QuickHasher {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
    }
}

impl Hasher for QuickHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.mix(u64::from_le_bytes(last));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.mix(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }

    // Multiplying moves entropy to the high bits; the table reads low ones too.
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

/// Spreads one integer over all 64 bits; the high ones are the good ones.
pub(super) fn spread(key: u64) -> u64 {
    key.wrapping_mul(MULTIPLIER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, Hash};

    fn hash_of<T: Hash + ?Sized>(value: &T) -> u64 {
        BuildHasherDefault::<QuickHasher>::default().hash_one(value)
    }

    #[test]
    fn short_keys_do_not_collide() {
        let mut seen = QuickSet::default();
        for a in 0_u8..=255 {
            for b in 0_u8..=255 {
                assert!(seen.insert(hash_of([a, b].as_slice())), "{a} {b}");
            }
        }
    }

    #[test]
    fn a_zero_tail_is_not_the_same_as_no_tail() {
        assert_ne!(hash_of(b"word".as_slice()), hash_of(b"word\0".as_slice()));
        assert_ne!(
            hash_of(b"12345678".as_slice()),
            hash_of(b"12345678\0".as_slice())
        );
    }
}
