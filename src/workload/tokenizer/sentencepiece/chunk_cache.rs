//! Remembers the ids of short stretches of text.
//!
//! Knows bytes and ids, and when it is full. It refuses to grow without end:
//! beyond its limits it keeps what it has and takes in nothing new.

use super::quick_hash::QuickMap;

/// Longer stretches seldom come twice.
pub(in super::super) const LONGEST_CHUNK_BYTES: usize = 64;
const MOST_CHUNKS: usize = 300_000;
const MOST_IDS: usize = 4_000_000;

/// From a stretch of text to its ids, kept in one arena.
#[derive(Default)]
pub(in super::super) struct ChunkCache {
    places: QuickMap<Box<[u8]>, (u32, u32)>,
    ids: Vec<u32>,
}

impl ChunkCache {
    /// The ids of `chunk`, if they are remembered.
    pub(in super::super) fn get(&self, chunk: &[u8]) -> Option<&[u32]> {
        let &(start, end) = self.places.get(chunk)?;
        self.ids.get(start as usize..end as usize)
    }

    /// Remembers `ids` for `chunk`, while there is room.
    pub(in super::super) fn insert(&mut self, chunk: &[u8], ids: &[u32]) {
        if self.places.len() >= MOST_CHUNKS || self.ids.len() + ids.len() > MOST_IDS {
            return;
        }
        let start = self.ids.len();
        let place = (u32::try_from(start), u32::try_from(start + ids.len()));
        if let (Ok(start), Ok(end)) = place {
            self.ids.extend_from_slice(ids);
            self.places.insert(chunk.into(), (start, end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_comes_out() {
        let mut cache = ChunkCache::default();
        cache.insert(b"one", &[1]);
        cache.insert(b"", &[]);
        cache.insert(b"two", &[2, 3]);
        assert_eq!(cache.get(b"one"), Some(&[1][..]));
        assert_eq!(cache.get(b"two"), Some(&[2, 3][..]));
        assert_eq!(cache.get(b""), Some(&[][..]));
        assert_eq!(cache.get(b"three"), None);
    }

    #[test]
    fn a_full_cache_keeps_what_it_has() {
        let mut cache = ChunkCache::default();
        for number in 0..u32::try_from(MOST_CHUNKS).unwrap() + 10 {
            cache.insert(&number.to_le_bytes(), &[number]);
        }
        assert_eq!(cache.places.len(), MOST_CHUNKS);
        assert_eq!(cache.get(&7_u32.to_le_bytes()), Some(&[7][..]));
        assert_eq!(cache.get(&u32::MAX.to_le_bytes()), None);

        let mut cache = ChunkCache::default();
        let many = vec![9; MOST_IDS];
        cache.insert(b"many", &many);
        cache.insert(b"more", &[1]);
        assert_eq!(cache.get(b"many"), Some(many.as_slice()));
        assert_eq!(cache.get(b"more"), None);
    }
}
