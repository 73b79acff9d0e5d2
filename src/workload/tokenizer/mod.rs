//! Text to token ids, as the model's own tokenizer does it.
//!
//! Knows the kinds of tokenizer that are read, and what LMDeploy counts and what
//! a server makes of a prompt. It refuses to know prompts, limits and samples.

mod choice;
mod huggingface;
mod sentencepiece;
mod settings;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::blocks;
use choice::Choice;
use huggingface::HuggingFace;
use sentencepiece::SentencePiece;
use settings::{Segment, Settings, SpecialTexts};

/// A model's tokenizer. Encodes from any number of threads at the same time.
pub struct Tokenizer {
    kind: Kind,
    /// File name, for people.
    name: String,
    /// A space is put before every text, so a text that was generated begins
    /// with one that nobody wrote.
    adds_dummy_prefix: bool,
}

enum Kind {
    SentencePiece(Box<SentencePiece>),
    WithSettings(Box<WithSettings>),
    HuggingFace(Box<HuggingFace>),
}

/// SentencePiece inside Hugging Face's rules: special tokens are cut out first.
struct WithSettings {
    model: SentencePiece,
    specials: SpecialTexts,
    bos_id: Option<u32>,
    eos_id: Option<u32>,
    adds_bos: bool,
    adds_eos: bool,
}

/// Larger than any vocabulary; keeps a wrong path from filling the memory.
const LARGEST_MODEL_BYTES: u64 = 64 << 20;
const LARGEST_JSON_BYTES: u64 = 1 << 30;

impl Tokenizer {
    /// Loads the tokenizer of a model folder, or a tokenizer file itself. Of
    /// several files that one wins which LMDeploy v0.1.0 to v0.2.5 takes.
    ///
    /// # Errors
    /// Nothing is there, it is broken, or it is of a kind that is not read (yet);
    /// the text says which file, and what works instead.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_chosen(path).with_context(|| format!("tokenizer `{}`", path.display()))
    }

    fn load_chosen(path: &Path) -> Result<Self> {
        match choice::choose(path)? {
            Choice::SentencePiece { file } => {
                let model = in_file(&file, load_sentencepiece(&file))?;
                Ok(Self::of_sentencepiece(model, &name_of(&file)))
            }
            Choice::SentencePieceWithSettings { file, folder } => {
                let settings = Settings::read(&folder)?;
                let model = in_file(&file, load_sentencepiece(&file))?;
                Ok(Self::of_settings(model, &settings, &name_of(&file)))
            }
            Choice::HuggingFace { file, folder } => {
                let settings = Settings::read(&folder)?;
                let loaded = check_size(&file, LARGEST_JSON_BYTES)
                    .and_then(|()| HuggingFace::load(&file, &settings));
                Self::of_huggingface(in_file(&file, loaded)?, &name_of(&file))
            }
        }
    }

    /// Reads the bytes of a SentencePiece BPE `tokenizer.model`.
    ///
    /// # Errors
    /// The bytes are no such model, or one that is not followed exactly.
    pub fn from_sentencepiece_bytes(bytes: &[u8]) -> Result<Self> {
        Ok(Self::of_sentencepiece(
            SentencePiece::parse(bytes)?,
            "tokenizer.model",
        ))
    }

    fn of_sentencepiece(model: SentencePiece, name: &str) -> Self {
        let adds_dummy_prefix = model.adds_dummy_prefix();
        Self {
            kind: Kind::SentencePiece(Box::new(model)),
            name: name.to_owned(),
            adds_dummy_prefix,
        }
    }

    fn of_settings(model: SentencePiece, settings: &Settings, name: &str) -> Self {
        let id_of = |token: &Option<String>| {
            let text = token.as_deref()?;
            let written = settings.special_tokens.get(text).copied().flatten();
            model.piece_id(text).or(written)
        };
        let tokens = settings.special_tokens.iter();
        let specials = tokens
            .filter_map(|(text, id)| Some((text.clone(), model.piece_id(text).or(*id)?)))
            .collect();
        let bos_id = id_of(&settings.bos_token).or(model.bos_id());
        let eos_id = id_of(&settings.eos_token).or(model.eos_id());
        let adds_dummy_prefix = model.adds_dummy_prefix();
        let kind = Kind::WithSettings(Box::new(WithSettings {
            specials: SpecialTexts::new(specials),
            bos_id,
            eos_id,
            adds_bos: bos_id.is_some() && settings.add_bos_token,
            adds_eos: settings.add_eos_token,
            model,
        }));
        Self {
            kind,
            name: name.to_owned(),
            adds_dummy_prefix,
        }
    }

    fn of_huggingface(model: HuggingFace, name: &str) -> Result<Self> {
        let kind = Kind::HuggingFace(Box::new(model));
        let mut tokenizer = Self {
            kind,
            name: name.to_owned(),
            adds_dummy_prefix: false,
        };
        // No setting says it for all kinds of file, so a text is tried.
        let tried = tokenizer.encode(" a")?;
        tokenizer.adds_dummy_prefix = tokenizer.decode_bytes(&tried) == b"  a";
        Ok(tokenizer)
    }

    /// What was loaded, in a few words: kind, size, file name.
    pub fn describe(&self) -> String {
        let (size, name) = (self.vocabulary_len(), &self.name);
        match &self.kind {
            Kind::SentencePiece(_) => format!("SentencePiece BPE, {size} pieces, {name}"),
            Kind::WithSettings(_) => {
                format!("SentencePiece BPE, {size} pieces, {name} with tokenizer_config.json")
            }
            Kind::HuggingFace(model) => {
                format!("Hugging Face {}, {size} tokens, {name}", model.kind())
            }
        }
    }

    /// The ids of `text` as LMDeploy counts a prompt when it samples: nothing is
    /// inserted, no begin of sequence (v0.1.0 to v0.6.1, `tokenizer(texts)`).
    ///
    /// # Errors
    /// The tokenizer cannot write some part of `text`.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match &self.kind {
            Kind::SentencePiece(model) => Ok(model.encode(text)),
            Kind::WithSettings(inner) => {
                let mut ids = Vec::new();
                for segment in inner.specials.split(text) {
                    match segment {
                        Segment::Text(text) => ids.append(&mut inner.model.encode(text)),
                        Segment::Special(id) => ids.push(id),
                    }
                }
                Ok(ids)
            }
            Kind::HuggingFace(model) => model.encode(text, false),
        }
    }

    /// The ids that a server makes of `text` as a raw prompt: with begin of
    /// sequence where the tokenizer adds it, and whatever else it adds.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_as_served(&self, text: &str) -> Result<Vec<u32>> {
        if let Kind::HuggingFace(model) = &self.kind {
            return model.encode(text, true);
        }
        let mut ids = self.encode(text)?;
        if let (true, Some(bos_id)) = (self.adds_bos(), self.bos_id()) {
            ids.insert(0, bos_id);
        }
        if let Kind::WithSettings(inner) = &self.kind
            && inner.adds_eos
        {
            ids.extend(inner.eos_id);
        }
        Ok(ids)
    }

    /// How many ids [`Self::encode`] gives.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn count(&self, text: &str) -> Result<u32> {
        let tokens = match &self.kind {
            Kind::SentencePiece(model) => model.count(text),
            Kind::WithSettings(_) => self.encode(text)?.len(),
            Kind::HuggingFace(model) => model.count(text)?,
        };
        u32::try_from(tokens).map_err(|_| anyhow!("the text has {tokens} tokens, more than 2^32"))
    }

    /// Tokens of a text that a model generated.
    ///
    /// Where the tokenizer puts a space (a dummy prefix) before every text, the
    /// first token of an answer mostly stands for " word", and a server that
    /// passes it on as it is sends that space. Encoding would put a second one in
    /// front and count one token too many, so one leading space is taken off:
    /// the prefix stands for it again. A server that took the space off itself
    /// sends "word", which is counted as it is.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn count_answer(&self, text: &str) -> Result<u32> {
        match text.strip_prefix(' ') {
            // A lone space is a token of its own, and would be no text at all.
            Some(rest) if self.adds_dummy_prefix && !rest.is_empty() => self.count(rest),
            _ => self.count(text),
        }
    }

    /// [`Self::count_answer`] for many texts, on all cores; in their order.
    ///
    /// # Errors
    /// As [`Self::encode`], for the first text that fails.
    pub fn count_answers<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<u32>> {
        blocks::for_each(texts, |_, text| self.count_answer(text.as_ref()))
    }

    /// The bytes that `ids` stand for, as the pieces say: byte pieces as their
    /// byte, U+2581 as a space, control pieces and unknown ids as nothing. The
    /// space of a dummy prefix stays. The bytes need not be UTF-8.
    pub fn decode_bytes(&self, ids: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for &id in ids {
            match &self.kind {
                Kind::SentencePiece(model) => model.decode_into(id, &mut bytes),
                Kind::WithSettings(inner) => inner.model.decode_into(id, &mut bytes),
                Kind::HuggingFace(model) => model.decode_into(id, &mut bytes),
            }
        }
        bytes
    }

    /// Whether [`Self::encode_as_served`] puts a token in front of the text.
    pub fn adds_bos(&self) -> bool {
        match &self.kind {
            // LMDeploy's SentencePieceTokenizer.encode: add_bos=True by default.
            Kind::SentencePiece(model) => model.bos_id().is_some(),
            Kind::WithSettings(inner) => inner.adds_bos,
            Kind::HuggingFace(model) => model.adds_bos(),
        }
    }

    /// The begin-of-sequence token, if the model has one.
    pub fn bos_id(&self) -> Option<u32> {
        match &self.kind {
            Kind::SentencePiece(model) => model.bos_id(),
            Kind::WithSettings(inner) => inner.bos_id,
            Kind::HuggingFace(model) => model.bos_id(),
        }
    }

    /// The end-of-sequence token, if the model or its settings name one.
    pub fn eos_id(&self) -> Option<u32> {
        match &self.kind {
            Kind::SentencePiece(model) => model.eos_id(),
            Kind::WithSettings(inner) => inner.eos_id,
            Kind::HuggingFace(model) => model.eos_id(),
        }
    }

    /// Number of ids, special ones included.
    pub fn vocabulary_len(&self) -> usize {
        match &self.kind {
            Kind::SentencePiece(model) => model.len(),
            Kind::WithSettings(inner) => {
                let highest = inner.specials.highest_id().map_or(0, |id| id as usize + 1);
                inner.model.len().max(highest)
            }
            Kind::HuggingFace(model) => model.len(),
        }
    }
}

fn name_of(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn in_file<T>(file: &Path, loaded: Result<T>) -> Result<T> {
    loaded.with_context(|| format!("`{}`", name_of(file)))
}

fn check_size(file: &Path, limit_bytes: u64) -> Result<()> {
    let size = fs::metadata(file).context("cannot be read")?.len();
    ensure!(size > 0, "the file is empty");
    if size > limit_bytes {
        bail!("the file has {size} bytes, too many for a tokenizer; is it the model's weights?");
    }
    Ok(())
}

fn load_sentencepiece(file: &Path) -> Result<SentencePiece> {
    check_size(file, LARGEST_MODEL_BYTES)?;
    SentencePiece::parse(&fs::read(file).context("cannot be read")?)
}

#[cfg(test)]
mod tests;
