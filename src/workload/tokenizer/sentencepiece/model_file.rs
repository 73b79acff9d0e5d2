//! Reads a SentencePiece `tokenizer.model` and says whether we can follow it.
//!
//! Knows the message of `sentencepiece_model.proto` (field numbers below) and
//! the rules that SentencePiece itself puts on a model. It refuses what the
//! encoder does not do exactly: Unigram, rewriting normalisers, white space
//! that is dropped. It encodes nothing.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};

use super::protobuf::{Fields, Value};

/// What a piece is for (`ModelProto.SentencePiece.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Found in text and made by merges.
    Normal,
    /// Stands for text that no piece covers; exactly one.
    Unknown,
    /// Inserted by programs, never matched in text (`<s>`).
    Control,
    /// Matched in text before any merge, and never merged.
    UserDefined,
    /// Made by merges, then taken apart again.
    Unused,
    /// One byte of a character that no piece covers (`<0x0A>`).
    Byte(u8),
}

/// One entry of the vocabulary; its id is its place in the list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// The higher, the earlier a BPE merge makes this piece.
    pub(super) score: f32,
    pub(super) kind: Kind,
}

/// A checked BPE model.
#[derive(Debug, Clone)]
pub(super) struct ModelFile {
    pub(super) pieces: Vec<Piece>,
    pub(super) unk_id: u32,
    pub(super) bos_id: Option<u32>,
    pub(super) eos_id: Option<u32>,
    /// What the unknown piece is written as in decoded text.
    pub(super) unk_surface: String,
    pub(super) byte_fallback: bool,
    /// U+2581 goes in front of every text.
    pub(super) add_dummy_prefix: bool,
    /// Spaces become U+2581.
    pub(super) escape_whitespaces: bool,
}

/// `ModelProto`, before anything is checked; defaults as in the published file.
struct Raw<'a> {
    pieces: Vec<Piece>,
    model_type: u64,
    byte_fallback: bool,
    white_space_as_suffix: bool,
    unk_surface: &'a [u8],
    bos_piece: &'a [u8],
    eos_piece: &'a [u8],
    charsmap: &'a [u8],
    add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    escape_whitespaces: bool,
}

/// Longest piece that merges may make, in bytes. Trainers stop at 16 characters
/// unless told otherwise; without a limit a broken file could cost hours.
const LONGEST_PIECE_BYTES: usize = 1024;

const UNIGRAM: u64 = 1;
const BPE: u64 = 2;

impl ModelFile {
    /// Reads and checks the bytes of a `tokenizer.model`.
    ///
    /// # Errors
    /// The bytes are no SentencePiece model, break one of SentencePiece's own
    /// rules, or ask for something that this encoder does not do exactly.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        ensure!(!bytes.is_empty(), "the file is empty");
        let raw =
            Raw::parse(bytes).context("this is no SentencePiece model, or one that was cut off")?;
        ensure!(
            !raw.pieces.is_empty(),
            "this is no SentencePiece model: it holds no pieces"
        );
        raw.refuse_what_we_do_not_follow()?;
        let unk_id = check_pieces(&raw.pieces, raw.byte_fallback)?;
        let control = |name: &[u8]| {
            raw.pieces
                .iter()
                .position(|piece| piece.kind == Kind::Control && piece.text.as_bytes() == name)
                .and_then(|id| u32::try_from(id).ok())
        };
        Ok(Self {
            unk_id,
            bos_id: control(raw.bos_piece),
            eos_id: control(raw.eos_piece),
            unk_surface: String::from_utf8_lossy(raw.unk_surface).into_owned(),
            byte_fallback: raw.byte_fallback,
            add_dummy_prefix: raw.add_dummy_prefix,
            escape_whitespaces: raw.escape_whitespaces,
            pieces: raw.pieces,
        })
    }
}

impl<'a> Raw<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut raw = Self {
            pieces: Vec::new(),
            model_type: UNIGRAM,
            byte_fallback: false,
            white_space_as_suffix: false,
            unk_surface: " \u{2047} ".as_bytes(),
            bos_piece: b"<s>",
            eos_piece: b"</s>",
            charsmap: b"",
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
        };
        for field in Fields::of(bytes) {
            match field? {
                (1, Value::Bytes(message)) => {
                    let id = raw.pieces.len();
                    let piece = parse_piece(message).with_context(|| format!("piece {id}"))?;
                    raw.pieces.push(piece);
                }
                (2, Value::Bytes(message)) => raw.trainer_spec(message)?,
                (3, Value::Bytes(message)) => raw.normalizer_spec(message)?,
                _ => {}
            }
        }
        Ok(raw)
    }

    fn trainer_spec(&mut self, message: &'a [u8]) -> Result<()> {
        for field in Fields::of(message) {
            match field? {
                (3, Value::Varint(value)) => self.model_type = value,
                (24, Value::Varint(value)) => self.white_space_as_suffix = value != 0,
                (35, Value::Varint(value)) => self.byte_fallback = value != 0,
                (44, Value::Bytes(value)) => self.unk_surface = value,
                (46, Value::Bytes(value)) => self.bos_piece = value,
                (47, Value::Bytes(value)) => self.eos_piece = value,
                _ => {}
            }
        }
        Ok(())
    }

    fn normalizer_spec(&mut self, message: &'a [u8]) -> Result<()> {
        for field in Fields::of(message) {
            match field? {
                (2, Value::Bytes(value)) => self.charsmap = value,
                (3, Value::Varint(value)) => self.add_dummy_prefix = value != 0,
                (4, Value::Varint(value)) => self.remove_extra_whitespaces = value != 0,
                (5, Value::Varint(value)) => self.escape_whitespaces = value != 0,
                _ => {}
            }
        }
        Ok(())
    }

    fn refuse_what_we_do_not_follow(&self) -> Result<()> {
        const CURE: &str = "use the model's `tokenizer.json` instead \
            (Hugging Face publishes one for most models; give its path)";
        match self.model_type {
            BPE => {}
            UNIGRAM => bail!("a SentencePiece Unigram model; only BPE is read here: {CURE}"),
            3 => bail!("a SentencePiece word model; only BPE is read here: {CURE}"),
            4 => bail!("a SentencePiece character model; only BPE is read here: {CURE}"),
            other => bail!("a SentencePiece model of the unknown type {other}: {CURE}"),
        }
        ensure!(
            self.charsmap.is_empty(),
            "a SentencePiece model that rewrites text before it cuts it (a normaliser such as \
             nmt_nfkc), which is not done here: {CURE}"
        );
        ensure!(
            !self.remove_extra_whitespaces,
            "a SentencePiece model that drops extra white space, which is not done here: {CURE}"
        );
        ensure!(
            !self.white_space_as_suffix,
            "a SentencePiece model that puts the space behind the word, which is not done here: \
             {CURE}"
        );
        Ok(())
    }
}

fn parse_piece(message: &[u8]) -> Result<Piece> {
    let mut text: &[u8] = b"";
    let mut score = 0.0;
    let mut kind = 1;
    for field in Fields::of(message) {
        match field? {
            (1, Value::Bytes(value)) => text = value,
            (2, Value::Fixed32(value)) => score = f32::from_le_bytes(value),
            (3, Value::Varint(value)) => kind = value,
            _ => {}
        }
    }
    let text = std::str::from_utf8(text).context("its text is not UTF-8")?;
    ensure!(!text.is_empty(), "its text is empty");
    ensure!(!score.is_nan(), "its score is not a number");
    let kind = match kind {
        1 => Kind::Normal,
        2 => Kind::Unknown,
        3 => Kind::Control,
        4 => Kind::UserDefined,
        5 => Kind::Unused,
        6 => Kind::Byte(byte_of(text).with_context(|| format!("{text:?} is no byte"))?),
        other => bail!("its type {other} is unknown"),
    };
    ensure!(
        text.len() <= LONGEST_PIECE_BYTES || !matches!(kind, Kind::Normal | Kind::Unused),
        "its text has {} bytes, more than {LONGEST_PIECE_BYTES}",
        text.len()
    );
    Ok(Piece {
        text: text.to_owned(),
        score,
        kind,
    })
}

/// The byte that `<0x41>` names; two upper-case digits, as SentencePiece writes.
fn byte_of(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let byte = u8::from_str_radix(digits, 16).ok()?;
    (format!("{byte:02X}") == digits).then_some(byte)
}

/// SentencePiece's own rules: one unknown piece, no text twice, all bytes or none.
fn check_pieces(pieces: &[Piece], byte_fallback: bool) -> Result<u32> {
    let mut texts = HashSet::new();
    let mut unknown = None;
    let mut bytes = [false; 256];
    for (id, piece) in (0_u32..).zip(pieces) {
        let text = piece.text.as_str();
        ensure!(texts.insert(text), "piece {id} ({text:?}) is there twice");
        match piece.kind {
            Kind::Unknown => {
                ensure!(unknown.is_none(), "piece {id} is a second unknown piece");
                unknown = Some(id);
            }
            Kind::Byte(byte) => {
                ensure!(
                    byte_fallback,
                    "piece {id} is a byte, but the model does not use bytes"
                );
                bytes[usize::from(byte)] = true;
            }
            _ => {}
        }
    }
    if byte_fallback && let Some(missing) = bytes.iter().position(|found| !found) {
        bail!("the model falls back to bytes, but has no piece <0x{missing:02X}>");
    }
    unknown.context("the model has no unknown piece")
}
