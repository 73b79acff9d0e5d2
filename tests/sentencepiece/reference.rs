//! SentencePiece's BPE written as plainly as it can be, to compare with.
//!
//! Knows the model file and the algorithm, and shares no code with the encoder
//! under test: no cuts, no cache, no heap, no numbers for symbols; texts are
//! merged as texts. It refuses to be fast, and to read what the encoder refuses.
//!
//! Sources: `sentencepiece_model.proto`, `bpe_model.cc`, `model_interface.cc` and
//! `sentencepiece_processor.cc` of SentencePiece 0.1.99.

use std::collections::HashMap;

const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
const USER_DEFINED: u64 = 4;
const UNUSED: u64 = 5;
const BYTE: u64 = 6;

/// A model that the encoder has accepted.
pub(crate) struct Reference {
    /// Text and kind, by id.
    pub(crate) pieces: Vec<(String, u64)>,
    scores: Vec<f32>,
    /// The pieces that text can become, by their text.
    matched: HashMap<String, u32>,
    longest_user_defined_bytes: usize,
    unk_id: u32,
    bytes: HashMap<u8, u32>,
    pub(crate) byte_fallback: bool,
    pub(crate) add_dummy_prefix: bool,
    escape_whitespaces: bool,
}

/// The fields of a well-formed message: number and wire type, integer, bytes. A
/// known number with an unexpected wire type is an unknown field.
fn fields(mut message: &[u8]) -> Vec<((u64, u64), u64, &[u8])> {
    fn varint(message: &mut &[u8]) -> u64 {
        let mut value = 0_u64;
        let mut shift = 0;
        loop {
            let byte = message[0];
            *message = &message[1..];
            value |= u64::from(byte & 0x7F) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let (mut integer, mut length) = (0, 0);
        match tag & 7 {
            0 => integer = varint(&mut message),
            1 => length = 8,
            2 => length = usize::try_from(varint(&mut message)).unwrap(),
            5 => length = 4,
            other => panic!("wire type {other}"),
        }
        let (bytes, rest) = message.split_at(length);
        found.push(((tag >> 3, tag & 7), integer, bytes));
        message = rest;
    }
    found
}

impl Reference {
    /// Reads a model that the encoder under test has accepted already; panics
    /// on anything else.
    pub(crate) fn of(model: &[u8]) -> Self {
        let mut reference = Self {
            pieces: Vec::new(),
            scores: Vec::new(),
            matched: HashMap::new(),
            longest_user_defined_bytes: 0,
            unk_id: 0,
            bytes: HashMap::new(),
            byte_fallback: false,
            add_dummy_prefix: true,
            escape_whitespaces: true,
        };
        for (field, _, message) in fields(model) {
            match field {
                (1, 2) => reference.add_piece(message),
                (2, 2) => {
                    for (field, value, _) in fields(message) {
                        if field == (35, 0) {
                            reference.byte_fallback = value != 0;
                        }
                    }
                }
                (3, 2) => {
                    for (field, value, _) in fields(message) {
                        match field {
                            (3, 0) => reference.add_dummy_prefix = value != 0,
                            (5, 0) => reference.escape_whitespaces = value != 0,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        reference
    }

    fn add_piece(&mut self, message: &[u8]) {
        let (mut text, mut score, mut kind) = (&b""[..], 0.0, NORMAL);
        for (field, value, bytes) in fields(message) {
            match field {
                (1, 2) => text = bytes,
                (2, 5) => score = f32::from_le_bytes(bytes.try_into().unwrap()),
                (3, 0) => kind = value,
                _ => {}
            }
        }
        // Only now: of a field that comes twice, the last one counts.
        let text = std::str::from_utf8(text).unwrap();
        let id = u32::try_from(self.pieces.len()).unwrap();
        match kind {
            NORMAL | USER_DEFINED | UNUSED => {
                self.matched.insert(text.to_owned(), id);
            }
            UNKNOWN => self.unk_id = id,
            BYTE => {
                let byte = u8::from_str_radix(&text[3..5], 16).unwrap();
                self.bytes.insert(byte, id);
            }
            _ => {}
        }
        if kind == USER_DEFINED {
            self.longest_user_defined_bytes = self.longest_user_defined_bytes.max(text.len());
        }
        self.pieces.push((text.to_owned(), kind));
        self.scores.push(score);
    }

    fn kind_of(&self, id: u32) -> u64 {
        self.pieces[id as usize].1
    }

    /// The ids of `text`.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        let space = if self.escape_whitespaces {
            "\u{2581}"
        } else {
            " "
        };
        let prefix = if self.add_dummy_prefix && !text.is_empty() {
            space
        } else {
            ""
        };
        let text = format!("{prefix}{}", text.replace(' ', space));
        let mut made_of = HashMap::new();
        let mut ids = Vec::new();
        let mut is_after_unknown = false;
        for (from, to) in self.merge(&text, &mut made_of) {
            let mut parts = Vec::new();
            self.take_apart(&text[from..to], &made_of, &mut parts);
            for part in parts {
                let id = self.matched.get(part).copied();
                match id {
                    Some(id) => ids.push(id),
                    None if self.byte_fallback => {
                        ids.extend(part.bytes().map(|byte| self.bytes[&byte]));
                    }
                    None if is_after_unknown => {}
                    None => ids.push(self.unk_id),
                }
                is_after_unknown = id.is_none();
            }
        }
        ids
    }

    /// Characters and user-defined pieces, merged until nothing merges; where
    /// each symbol starts and ends. `made_of` gets the halves of unused pieces.
    fn merge<'a>(
        &self,
        text: &'a str,
        made_of: &mut HashMap<&'a str, (&'a str, &'a str)>,
    ) -> Vec<(usize, usize)> {
        // Start, end, and whether it is left alone.
        let mut row: Vec<(usize, usize, bool)> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let first = text[at..].chars().next().unwrap().len_utf8();
            let longest = (1..=self.longest_user_defined_bytes.min(text.len() - at))
                .rev()
                .find(|&length| {
                    let id = text
                        .get(at..at + length)
                        .and_then(|text| self.matched.get(text));
                    id.is_some_and(|&id| self.kind_of(id) == USER_DEFINED)
                });
            let end = at + longest.unwrap_or(first);
            row.push((at, end, longest.is_some()));
            at = end;
        }
        let candidate = |left: (usize, usize, bool), right: (usize, usize, bool)| {
            let id = *self.matched.get(&text[left.0..right.1])?;
            (!left.2 && !right.2).then_some(id)
        };
        let mut candidates: Vec<Option<u32>> = row
            .windows(2)
            .map(|pair| candidate(pair[0], pair[1]))
            .collect();
        loop {
            let mut best: Option<(f32, usize, u32)> = None;
            for (place, &candidate) in candidates.iter().enumerate() {
                if let Some(id) = candidate
                    && best.is_none_or(|(score, ..)| self.scores[id as usize] > score)
                {
                    best = Some((self.scores[id as usize], place, id));
                }
            }
            let Some((_, place, id)) = best else {
                return row.iter().map(|&(from, to, _)| (from, to)).collect();
            };
            let (left, right) = (row[place], row[place + 1]);
            if self.kind_of(id) == UNUSED {
                let halves = (&text[left.0..left.1], &text[right.0..right.1]);
                made_of.insert(&text[left.0..right.1], halves);
            }
            row[place] = (left.0, right.1, false);
            row.remove(place + 1);
            candidates.remove(place);
            if place > 0 {
                candidates[place - 1] = candidate(row[place - 1], row[place]);
            }
            if place < candidates.len() {
                candidates[place] = candidate(row[place], row[place + 1]);
            }
        }
    }

    fn take_apart<'a>(
        &self,
        symbol: &'a str,
        made_of: &HashMap<&'a str, (&'a str, &'a str)>,
        parts: &mut Vec<&'a str>,
    ) {
        let is_unused = self
            .matched
            .get(symbol)
            .is_some_and(|&id| self.kind_of(id) == UNUSED);
        match made_of.get(symbol) {
            Some(&(left, right)) if is_unused => {
                self.take_apart(left, made_of, parts);
                self.take_apart(right, made_of, parts);
            }
            _ => parts.push(symbol),
        }
    }
}
