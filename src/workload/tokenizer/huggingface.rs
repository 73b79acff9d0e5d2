//! A `tokenizer.json`, read and run by Hugging Face's crate `tokenizers`.
//!
//! Knows what the crate does not say outright: which bytes a token stands for,
//! and what is put around a text. It refuses to pad and to cut texts, whatever
//! the file asks for: those settings are for training.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Result, anyhow};
use serde_json::Value;
use tokenizers::ModelWrapper;

use super::check_id;
use super::settings::Settings;

/// A loaded `tokenizer.json`.
pub(super) struct HuggingFace {
    inner: tokenizers::Tokenizer,
    spelling: Spelling,
    special_ids: HashSet<u32>,
    /// Tokens that were added to the vocabulary and are written as they are.
    plain_ids: HashSet<u32>,
    /// What is put around a served text instead of what the file says.
    around: Option<Around>,
    adds_bos: bool,
    bos_id: Option<u32>,
    eos_id: Option<u32>,
}

/// Tokens before and after a served text.
pub(super) struct Around {
    pub(super) before: Option<u32>,
    pub(super) after: Option<u32>,
}

/// How the vocabulary writes bytes; taken from the file's decoder.
#[derive(Debug, Default, PartialEq, Eq)]
struct Spelling {
    /// Every byte is written as one printable character (GPT-2).
    byte_level: bool,
    /// Spaces are written as U+2581.
    space_symbol: bool,
    /// `<0x0A>` is a byte.
    byte_pieces: bool,
    /// Tokens without this prefix begin a word (`WordPiece`, `##`).
    continuing_prefix: Option<String>,
    /// Tokens with this suffix end a word (`</w>`).
    word_suffix: Option<String>,
}

impl HuggingFace {
    /// Reads `file`; `settings` name the special tokens.
    ///
    /// # Errors
    /// The file cannot be read, is nothing that `tokenizers` understands, or has an
    /// id that no vocabulary has.
    pub(super) fn load(file: &Path, settings: &Settings) -> Result<Self> {
        let bytes = std::fs::read(file).map_err(|error| anyhow!("cannot be read: {error}"))?;
        // The crate panics on some files that are no JSON, or were cut off.
        let json: Value = serde_json::from_slice(&bytes)
            .map_err(|error| anyhow!("this is not JSON: {error}; was it downloaded whole?"))?;
        check_ids(&json)?;
        drop(json);
        let mut inner = tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| {
            anyhow!(
                "this is no `tokenizer.json` that crate tokenizers 0.23 understands: {error}; if \
                 it is another kind of JSON, give the model's folder or its `tokenizer.json`"
            )
        })?;
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|error| anyhow!("{error}"))?;
        let (bos_id, eos_id) = ids_of(&inner, settings);
        let around = Around::of(settings, bos_id, eos_id);
        Self::of(inner, settings, around)
    }

    /// Takes a tokenizer that was put together; `settings` name the special tokens.
    ///
    /// # Errors
    /// It cannot encode one letter.
    pub(super) fn of(
        inner: tokenizers::Tokenizer,
        settings: &Settings,
        around: Option<Around>,
    ) -> Result<Self> {
        let mut special_ids = HashSet::new();
        let mut plain_ids = HashSet::new();
        for (id, token) in inner.get_added_tokens_decoder() {
            if token.special {
                &mut special_ids
            } else {
                &mut plain_ids
            }
            .insert(id);
        }
        let decoder = serde_json::to_value(inner.get_decoder())?;
        let (bos_id, eos_id) = ids_of(&inner, settings);
        let mut loaded = Self {
            spelling: Spelling::of(&decoder),
            special_ids,
            plain_ids,
            around,
            adds_bos: false,
            bos_id,
            eos_id,
            inner,
        };
        let put_in_front = loaded.put_in_front()?;
        loaded.adds_bos = put_in_front.is_some();
        loaded.bos_id = loaded.bos_id.or(put_in_front);
        Ok(loaded)
    }

    /// The first of the tokens that are put before a served text.
    fn put_in_front(&self) -> Result<Option<u32>> {
        let (plain, served) = (self.encode("a", false)?, self.encode("a", true)?);
        let first = served.first().copied();
        Ok(first.filter(|id| served.len() > plain.len() && plain.first() != Some(id)))
    }

    /// The ids of `text`, with or without what is put around a served text. Names of
    /// special tokens in the text are special tokens either way.
    ///
    /// # Errors
    /// The tokenizer has no token for a part of the text and none for unknown.
    pub(super) fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>> {
        if add_special_tokens && let Some(Around { before, after }) = &self.around {
            let ids = self.encode(text, false)?;
            return Ok(before.iter().copied().chain(ids).chain(*after).collect());
        }
        let encoding = self.inner.encode_fast(text, add_special_tokens);
        Ok(encoding
            .map_err(|error| anyhow!("{error}"))?
            .get_ids()
            .to_vec())
    }

    /// How many ids [`Self::encode`] gives without additions.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub(super) fn count(&self, text: &str) -> Result<usize> {
        let encoding = self.inner.encode_fast(text, false);
        Ok(encoding.map_err(|error| anyhow!("{error}"))?.len())
    }

    /// The bytes that `id` stands for, appended to `bytes`; nothing for special
    /// tokens and for ids that do not exist.
    pub(super) fn decode_into(&self, id: u32, bytes: &mut Vec<u8>) {
        if self.special_ids.contains(&id) {
            return;
        }
        let Some(token) = self.inner.id_to_token(id) else {
            return;
        };
        if self.plain_ids.contains(&id) {
            bytes.extend_from_slice(token.as_bytes());
        } else {
            self.spelling.append(&token, bytes);
        }
    }

    /// What kind of model it is, as people call it.
    pub(super) fn kind(&self) -> &'static str {
        match (self.inner.get_model(), self.spelling.byte_level) {
            (ModelWrapper::BPE(_), true) => "byte-level BPE",
            (ModelWrapper::BPE(_), false) => "BPE",
            (ModelWrapper::WordPiece(_), _) => "WordPiece",
            (ModelWrapper::WordLevel(_), _) => "word-level",
            (ModelWrapper::Unigram(_), _) => "Unigram",
        }
    }

    /// Number of tokens, added ones included.
    pub(super) fn len(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether a served text begins with a token that the tokenizer puts there.
    pub(super) fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// `bos_token` of the settings, else the token put in front of a served text.
    pub(super) fn bos_id(&self) -> Option<u32> {
        self.bos_id
    }

    /// `eos_token` of the settings.
    pub(super) fn eos_id(&self) -> Option<u32> {
        self.eos_id
    }
}

/// Objects to ids that no vocabulary has; a vocabulary that is a list has none.
fn check_ids(json: &Value) -> Result<()> {
    let vocabulary = json["model"]["vocab"].as_object();
    for (token, id) in vocabulary.into_iter().flatten() {
        check_id(id.as_u64().unwrap_or_default(), token)?;
    }
    for token in json["added_tokens"].as_array().into_iter().flatten() {
        let text = token["content"].as_str().unwrap_or_default();
        check_id(token["id"].as_u64().unwrap_or_default(), text)?;
    }
    Ok(())
}

/// Begin and end of sequence, as the settings name them.
fn ids_of(inner: &tokenizers::Tokenizer, settings: &Settings) -> (Option<u32>, Option<u32>) {
    let id_of = |token: &Option<String>| inner.token_to_id(token.as_deref()?);
    (id_of(&settings.bos_token), id_of(&settings.eos_token))
}

impl Around {
    /// As the settings say, for the classes that obey them, and nothing for the one
    /// that LMDeploy asks for nothing; `None`, so the file's own, where a token that
    /// is asked for has no id.
    fn of(settings: &Settings, bos_id: Option<u32>, eos_id: Option<u32>) -> Option<Self> {
        if settings.inserts_nothing {
            let (before, after) = (None, None);
            return Some(Self { before, after });
        }
        let wanted = |add: bool, id: Option<u32>| if add { id.map(Some) } else { Some(None) };
        let before = wanted(settings.add_bos_token, bos_id)?;
        let after = wanted(settings.add_eos_token, eos_id)?;
        settings.class_adds_tokens.then_some(Self { before, after })
    }
}

impl Spelling {
    /// Reads the decoder of a `tokenizer.json`, and those inside a sequence.
    fn of(decoder: &Value) -> Self {
        let mut spelling = Self::default();
        let inner = decoder["decoders"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        for step in std::iter::once(decoder).chain(inner) {
            let text = |key: &str| step[key].as_str().map(str::to_owned);
            match step["type"].as_str() {
                Some("ByteLevel") => spelling.byte_level = true,
                Some("ByteFallback") => spelling.byte_pieces = true,
                Some("Metaspace") => spelling.space_symbol = true,
                Some("Replace") if step["pattern"]["String"] == "\u{2581}" => {
                    spelling.space_symbol = true;
                }
                Some("WordPiece") => spelling.continuing_prefix = text("prefix"),
                Some("BPEDecoder") => spelling.word_suffix = text("suffix"),
                _ => {}
            }
        }
        spelling
    }

    fn append(&self, token: &str, bytes: &mut Vec<u8>) {
        if self.byte_level {
            for character in token.chars() {
                match byte_of(character) {
                    Some(byte) => bytes.push(byte),
                    None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            return;
        }
        if self.byte_pieces
            && let Some(digits) = token
                .strip_prefix("<0x")
                .and_then(|rest| rest.strip_suffix('>'))
            && let Ok(byte) = u8::from_str_radix(digits, 16)
        {
            bytes.push(byte);
            return;
        }
        let mut text = token.to_owned();
        if self.space_symbol {
            text = text.replace('\u{2581}', " ");
        }
        if let Some(prefix) = &self.continuing_prefix {
            match text.strip_prefix(prefix.as_str()) {
                Some(rest) => text = rest.to_owned(),
                None if bytes.is_empty() => {}
                None => text.insert(0, ' '),
            }
        }
        if let Some(word) = self
            .word_suffix
            .as_ref()
            .and_then(|end| text.strip_suffix(end.as_str()))
        {
            text = format!("{word} ");
        }
        bytes.extend_from_slice(text.as_bytes());
    }
}

/// Every byte as GPT-2's alphabet writes it.
pub(super) fn byte_characters() -> impl Iterator<Item = (u8, char)> {
    ('\0'..='\u{1FF}').filter_map(|character| Some((byte_of(character)?, character)))
}

/// GPT-2's alphabet, backwards: printable Latin-1 characters are their own byte;
/// the other bytes, in order, are the characters from U+0100 on.
fn byte_of(character: char) -> Option<u8> {
    let is_own = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    match u8::try_from(character) {
        Ok(byte) => is_own(byte).then_some(byte),
        Err(_) => {
            let place = (character as usize).checked_sub(0x100)?;
            (0..=255_u8).filter(|&byte| !is_own(byte)).nth(place)
        }
    }
}
