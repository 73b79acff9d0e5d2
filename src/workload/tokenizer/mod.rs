//! Text to token ids, as the model's own tokenizer does it.
//!
//! Knows the kinds of tokenizer that are read, and what LMDeploy counts and what
//! a server makes of a prompt. It refuses to know prompts, limits and samples.

mod choice;
mod family;
mod huggingface;
mod loading;
mod ranks;
mod sentencepiece;
mod settings;
mod tekken;
mod tiktoken;
mod vocab_merges;

use anyhow::{Result, anyhow, ensure};

use super::blocks;
pub use family::Family;
use huggingface::HuggingFace;
use sentencepiece::SentencePiece;
use settings::{Segment, SpecialTexts};
use tiktoken::Tiktoken;

/// Ids are below this number, far above those of any vocabulary: a damaged file
/// with a higher one would fill the memory, as some tables have a place for each.
const MOST_IDS: u32 = 1 << 24;

/// Objects to an id that no vocabulary has.
fn check_id(id: u64, token: &str) -> Result<()> {
    ensure!(
        id < MOST_IDS.into(),
        "{token:?} has the id {id}, and ids are below {MOST_IDS}: was the file damaged?"
    );
    Ok(())
}

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
    Tiktoken(Box<Tiktoken>),
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

impl Tokenizer {
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
            Kind::Tiktoken(model) => format!("{}, {size} tokens, {name}", model.kind),
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
            Kind::Tiktoken(model) => Ok(model.encode(text)),
        }
    }

    /// The ids that a server makes of `text` as a raw prompt: with begin of
    /// sequence where the tokenizer adds it, and whatever else it adds. Of two
    /// begins of sequence at the start one goes, whoever wrote them, as in LMDeploy
    /// v0.6.3 and later (`Tokenizer.encode`); older versions kept both.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_as_served(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = self.encode_with_insertions(text)?;
        // SentencePiece reads no special tokens in text, so it has no second one.
        if !matches!(self.kind, Kind::SentencePiece(_))
            && let [first, second, ..] = ids[..]
            && first == second
            && Some(first) == self.bos_id()
        {
            ids.remove(0);
        }
        Ok(ids)
    }

    fn encode_with_insertions(&self, text: &str) -> Result<Vec<u32>> {
        if let Kind::HuggingFace(model) = &self.kind {
            return model.encode(text, true);
        }
        let mut ids = self.encode(text)?;
        if let Kind::Tiktoken(model) = &self.kind {
            ids.splice(0..0, model.in_front);
            return Ok(ids);
        }
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
            Kind::WithSettings(_) | Kind::Tiktoken(_) => self.encode(text)?.len(),
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
                Kind::Tiktoken(model) => model.decode_into(id, &mut bytes),
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
            Kind::Tiktoken(model) => model.in_front.is_some(),
        }
    }

    /// The begin-of-sequence token, if the model has one.
    pub fn bos_id(&self) -> Option<u32> {
        match &self.kind {
            Kind::SentencePiece(model) => model.bos_id(),
            Kind::WithSettings(inner) => inner.bos_id,
            Kind::HuggingFace(model) => model.bos_id(),
            Kind::Tiktoken(model) => model.bos_id,
        }
    }

    /// The end-of-sequence token, if the model or its settings name one.
    pub fn eos_id(&self) -> Option<u32> {
        match &self.kind {
            Kind::SentencePiece(model) => model.eos_id(),
            Kind::WithSettings(inner) => inner.eos_id,
            Kind::HuggingFace(model) => model.eos_id(),
            Kind::Tiktoken(model) => model.eos_id,
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
            Kind::Tiktoken(model) => model.vocabulary_len,
        }
    }
}

#[cfg(test)]
mod family_tests;
#[cfg(test)]
mod tests;
