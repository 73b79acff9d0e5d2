//! Encodes text as SentencePiece's BPE does, id for id, without its C++.
//!
//! Knows one `tokenizer.model`: how text is written before it is cut, where it
//! can be cut, and what each piece stands for. It refuses to insert anything
//! (no begin or end of sequence) and to match the names of control pieces. It
//! depends on nothing of this program and could be a crate of its own.
//!
//! # Format
//! A `tokenizer.model` is the protobuf message `ModelProto` of
//! `sentencepiece_model.proto`. `protobuf` reads fields, `model_file` gives them
//! meaning and checks them: pieces (text, score, kind), `trainer_spec` (model type,
//! byte fallback, names of special pieces) and `normalizer_spec` (dummy prefix,
//! white space). A piece's id is its place in the file.
//!
//! # Algorithm
//! That of `normalizer.cc`, `bpe_model.cc`, `model_interface.cc` and
//! `sentencepiece_processor.cc` (SentencePiece 0.1.99):
//! 1. A space becomes U+2581, and one is put in front of a text that is not empty
//!    (each if the model says so).
//! 2. The text becomes a row of symbols: user-defined pieces where one begins (the
//!    longest, left alone from then on), characters elsewhere.
//! 3. Of all neighbours that together are a piece, those with the highest score
//!    merge, the leftmost of equals; again until none do (`merging`).
//! 4. A result that is of the kind "unused" is taken apart by the merge that made
//!    it. What is no piece becomes its bytes' pieces, or the unknown piece, one
//!    for a run of them.
//!
//! Four things are added for speed, none of which can change an id:
//! - Merges are looked up as pairs of numbers, not as texts. The table holds every
//!   way to cut every piece in two (`lexicon`).
//! - Text is cut between two characters that no piece holds side by side, because
//!   no merge reaches across (`tables`). Scripts with spaces fall into words.
//! - The ids of stretches of up to 64 bytes are remembered, within a limit
//!   (`chunk_cache`).
//! - Long stretches are merged with a queue by turn (`turn_queue`) instead of
//!   looking at all pairs again: time grows with the length, not with its square.
//!
//! # Guarantees and limits
//! - The ids are those of SentencePiece 0.1.99, which 0.2 gives too but for a NUL
//!   that is a piece of the vocabulary: 0.2.3 writes its byte. A piece that is one
//!   character and of the kind "control" is text here, as in 0.2.3; 0.1.99 refuses
//!   to encode that character.
//! - Unigram, word and character models, rewriting normalisers, dropped white space
//!   and the space behind the word are refused in words, never guessed at.
//! - Any bytes may be given as a model and any text may be encoded: nothing panics,
//!   and the time stays linear in the text's bytes.
//! - Threads share one model. Each thread that encodes has its own buffers and
//!   cache, tens of megabytes at most on text that never repeats.
//!
//! # Example
//! The module is private, so this is for reading; `tests` has the running ones.
//! ```text
//! let model = SentencePiece::parse(&std::fs::read("tokenizer.model")?)?;
//! let ids = model.encode("Hello world");         // [22557, 1526] by Mistral v1
//! assert_eq!(model.count("Hello world"), ids.len());
//! let mut bytes = Vec::new();
//! ids.iter().for_each(|&id| model.decode_into(id, &mut bytes));
//! assert_eq!(bytes, b" Hello world");            // with the dummy prefix
//! ```

mod chunk_cache;
mod lexicon;
mod merging;
mod model_file;
mod protobuf;
mod quick_hash;
mod tables;
#[cfg(test)]
mod tests;
mod turn_queue;

use std::sync::{Mutex, PoisonError};

use anyhow::Result;

pub(super) use chunk_cache::{ChunkCache, LONGEST_CHUNK_BYTES};
use lexicon::Lexicon;
pub(super) use merging::{Merge, MergeTable, Merging, Placed, check_cuts};
use model_file::{Kind, ModelFile};
pub(super) use quick_hash::QuickMap;

/// What SentencePiece writes for a space.
const SPACE_SYMBOL: char = '\u{2581}';

/// A SentencePiece BPE model, ready to encode from many threads.
pub(super) struct SentencePiece {
    model: ModelFile,
    lexicon: Lexicon,
    /// Buffers and caches that no thread is using now; as many as ever encoded
    /// at the same time, so that each busy thread has its own.
    idle: Mutex<Vec<Workspace>>,
}

/// What one thread needs while it encodes.
#[derive(Default)]
struct Workspace {
    normalized: String,
    ids: Vec<u32>,
    merging: Merging,
    cache: ChunkCache,
}

impl SentencePiece {
    /// Reads the bytes of a `tokenizer.model`.
    ///
    /// # Errors
    /// As [`ModelFile::parse`].
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let model = ModelFile::parse(bytes)?;
        let lexicon = Lexicon::of(&model)?;
        Ok(Self {
            model,
            lexicon,
            idle: Mutex::default(),
        })
    }

    /// The ids of `text`; nothing is inserted.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        self.with_workspace(|workspace| {
            self.encode_into(text, workspace);
            workspace.ids.clone()
        })
    }

    /// How many ids [`Self::encode`] gives.
    pub(super) fn count(&self, text: &str) -> usize {
        self.with_workspace(|workspace| {
            self.encode_into(text, workspace);
            workspace.ids.len()
        })
    }

    fn with_workspace<T>(&self, work: impl FnOnce(&mut Workspace) -> T) -> T {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workspace = idle().pop().unwrap_or_default();
        let result = work(&mut workspace);
        idle().push(workspace);
        result
    }

    fn encode_into(&self, text: &str, workspace: &mut Workspace) {
        let Workspace {
            normalized,
            ids,
            merging,
            cache,
        } = workspace;
        ids.clear();
        self.normalize(text, normalized);
        let mut start = 0;
        let mut previous = None;
        for (at, character) in normalized.char_indices() {
            if let Some(previous) = previous
                && !self.lexicon.may_join(previous, character)
            {
                self.encode_chunk(&normalized[start..at], merging, cache, ids);
                start = at;
            }
            previous = Some(character);
        }
        self.encode_chunk(&normalized[start..], merging, cache, ids);
        if !self.model.byte_fallback {
            // SentencePiece makes one unknown piece of a run of them.
            ids.dedup_by(|next, kept| next == kept && *kept == self.model.unk_id);
        }
    }

    fn normalize(&self, text: &str, normalized: &mut String) {
        normalized.clear();
        let space = if self.model.escape_whitespaces {
            SPACE_SYMBOL
        } else {
            ' '
        };
        if self.model.add_dummy_prefix && !text.is_empty() {
            normalized.push(space);
        }
        for (number, part) in text.split(' ').enumerate() {
            if number > 0 {
                normalized.push(space);
            }
            normalized.push_str(part);
        }
    }

    fn encode_chunk(
        &self,
        chunk: &str,
        merging: &mut Merging,
        cache: &mut ChunkCache,
        ids: &mut Vec<u32>,
    ) {
        let mut characters = chunk.chars();
        let Some(first) = characters.next() else {
            return;
        };
        if characters.next().is_none() {
            self.lexicon
                .write(self.lexicon.character(first), first, ids);
            return;
        }
        let is_short = chunk.len() <= LONGEST_CHUNK_BYTES;
        if is_short && let Some(known) = cache.get(chunk.as_bytes()) {
            ids.extend_from_slice(known);
            return;
        }
        let before = ids.len();
        self.split(chunk, &mut merging.row);
        merging.run(self.lexicon.merges());
        for placed in &merging.row {
            let character = chunk[placed.at..].chars().next().unwrap_or(first);
            self.lexicon.write(placed.symbol, character, ids);
        }
        if is_short {
            cache.insert(chunk.as_bytes(), &ids[before..]);
        }
    }

    /// Characters, and user-defined pieces where one begins, the longest first.
    fn split(&self, chunk: &str, row: &mut Vec<Placed>) {
        row.clear();
        let mut at = 0;
        while let Some(character) = chunk[at..].chars().next() {
            let (symbol, bytes) = self
                .lexicon
                .user_defined(character, &chunk[at..])
                .unwrap_or_else(|| (self.lexicon.character(character), character.len_utf8()));
            row.push(Placed { symbol, at });
            at += bytes;
        }
    }

    /// The bytes that `id` stands for, appended to `bytes`: spaces as spaces, byte
    /// pieces as their byte, control pieces and ids that do not exist as nothing.
    pub(super) fn decode_into(&self, id: u32, bytes: &mut Vec<u8>) {
        let Some(piece) = self.model.pieces.get(id as usize) else {
            return;
        };
        match piece.kind {
            Kind::Byte(byte) => bytes.push(byte),
            Kind::Control => {}
            Kind::Unknown => bytes.extend_from_slice(self.model.unk_surface.as_bytes()),
            Kind::Normal | Kind::UserDefined | Kind::Unused => {
                for (number, part) in piece.text.split(SPACE_SYMBOL).enumerate() {
                    if number > 0 {
                        bytes.push(b' ');
                    }
                    bytes.extend_from_slice(part.as_bytes());
                }
            }
        }
    }

    /// The id of the piece that is written so, whatever it is for.
    pub(super) fn piece_id(&self, text: &str) -> Option<u32> {
        let place = self
            .model
            .pieces
            .iter()
            .position(|piece| piece.text == text);
        place.and_then(|id| u32::try_from(id).ok())
    }

    /// Number of pieces.
    pub(super) fn len(&self) -> usize {
        self.model.pieces.len()
    }

    /// The begin-of-sequence piece, if the model has one.
    pub(super) fn bos_id(&self) -> Option<u32> {
        self.model.bos_id
    }

    /// The end-of-sequence piece, if the model has one.
    pub(super) fn eos_id(&self) -> Option<u32> {
        self.model.eos_id
    }

    /// Whether a space is put in front of every text.
    pub(super) fn adds_dummy_prefix(&self) -> bool {
        self.model.add_dummy_prefix
    }
}
