//! Byte-level BPE by ranks, as tiktoken does it, id for id.
//!
//! Knows a vocabulary of byte strings, each with its rank, and how text is cut
//! before. It refuses to know files, special tokens and families.
//!
//! The algorithm is that of tiktoken 0.14's `lib.rs`: a stretch that is a token is
//! that token; else the two neighbours merge whose joined bytes have the lowest
//! rank, leftmost first, until none merge. All the pairs that join to a token are
//! in a table, so the merging is that of the SentencePiece encoder beside it.

mod file;
mod pattern;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail, ensure};
use regex::Regex;

use super::sentencepiece::{
    ChunkCache, LONGEST_CHUNK_BYTES, Merge, MergeTable, Merging, Placed, QuickMap, check_cuts,
};
pub(super) use file::parse as parse_file;
pub(super) use pattern::Pattern;

/// Longest token, in bytes; longer ones are no vocabulary but a broken file, and
/// would make the table of pairs grow without end.
const LONGEST_TOKEN_BYTES: usize = 1024;

/// A vocabulary of ranks, ready to encode from many threads.
pub(super) struct Ranks {
    tokens: Vec<Box<[u8]>>,
    ids: QuickMap<Box<[u8]>, u32>,
    bytes: [u32; 256],
    merges: MergeTable,
    regex: Regex,
    /// Buffers, caches and regex scratch that no thread is using now.
    idle: Mutex<Vec<Workspace>>,
}

/// What one thread needs while it encodes.
struct Workspace {
    /// Of its own: threads that share one wait for each other.
    regex: Regex,
    merging: Merging,
    cache: ChunkCache,
}

impl Ranks {
    /// Takes tokens in the order of their ranks, from rank 0.
    ///
    /// # Errors
    /// A byte has no token, or there is no token, one twice or one too long, or too
    /// many are long.
    pub(super) fn new(tokens: Vec<Box<[u8]>>, pattern: Pattern) -> Result<Self> {
        let mut ids = QuickMap::default();
        for (id, token) in (0_u32..).zip(&tokens) {
            ensure!(!token.is_empty(), "the token of rank {id} is empty");
            ensure!(
                token.len() <= LONGEST_TOKEN_BYTES,
                "the token of rank {id} has {} bytes, more than {LONGEST_TOKEN_BYTES}",
                token.len()
            );
            if let Some(first) = ids.insert(token.clone(), id) {
                bail!("the token of rank {id} is also that of rank {first}");
            }
        }
        let mut bytes = [0; 256];
        for (byte, slot) in (0_u8..=255).zip(&mut bytes) {
            let Some(&id) = ids.get([byte].as_slice()) else {
                bail!(
                    "the vocabulary has no token for the single byte 0x{byte:02X}, so it cannot \
                     write every text; was the file cut off, or is it no byte-level vocabulary?"
                );
            };
            *slot = id;
        }
        check_cuts(tokens.iter().map(|token| token.len()))?;
        let mut merges = MergeTable::default();
        for (id, token) in (0_u32..).zip(&tokens) {
            for at in 1..token.len() {
                let (left, right) = token.split_at(at);
                if let (Some(&left), Some(&right)) = (ids.get(left), ids.get(right)) {
                    merges.insert(
                        left,
                        right,
                        Merge {
                            turn: id,
                            symbol: id,
                        },
                    );
                }
            }
        }
        Ok(Self {
            tokens,
            ids,
            bytes,
            merges,
            regex: pattern.regex()?,
            idle: Mutex::default(),
        })
    }

    /// Appends the ids of `text` to `ids`.
    pub(super) fn encode_into(&self, text: &str, ids: &mut Vec<u32>) {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut workspace = taken.unwrap_or_else(|| Workspace {
            regex: self.regex.clone(),
            merging: Merging::default(),
            cache: ChunkCache::default(),
        });
        let Workspace {
            regex,
            merging,
            cache,
        } = &mut workspace;
        pattern::split(regex, text, |stretch| {
            self.encode_stretch(stretch.as_bytes(), merging, cache, ids);
        });
        idle().push(workspace);
    }

    fn encode_stretch(
        &self,
        stretch: &[u8],
        merging: &mut Merging,
        cache: &mut ChunkCache,
        ids: &mut Vec<u32>,
    ) {
        if let Some(&id) = self.ids.get(stretch) {
            ids.push(id);
            return;
        }
        let is_short = stretch.len() <= LONGEST_CHUNK_BYTES;
        if is_short && let Some(known) = cache.get(stretch) {
            ids.extend_from_slice(known);
            return;
        }
        merging.row.clear();
        let bytes = stretch.iter().enumerate();
        merging.row.extend(bytes.map(|(at, &byte)| Placed {
            symbol: self.bytes[usize::from(byte)],
            at,
        }));
        merging.run(&self.merges);
        let before = ids.len();
        ids.extend(merging.row.iter().map(|placed| placed.symbol));
        if is_short {
            cache.insert(stretch, &ids[before..]);
        }
    }

    /// The bytes of a token; `None` for an id that is no rank.
    pub(super) fn token(&self, id: u32) -> Option<&[u8]> {
        Some(self.tokens.get(usize::try_from(id).ok()?)?)
    }
}
