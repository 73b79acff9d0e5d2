//! Mistral's `tekken.json`: ranks, pattern and special tokens in one file.
//!
//! Knows the file as mistral-common 1.13 reads it (`tekken.py`): special tokens
//! have the first ids and are never matched in text; the vocabulary is cut to its
//! default size. It refuses patterns that the splitter does not follow.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::MOST_IDS;
use super::ranks::{Pattern, Ranks};
use super::settings::SpecialTexts;
use super::tiktoken::Tiktoken;

#[derive(Deserialize)]
struct File {
    config: Config,
    vocab: Vec<Token>,
    special_tokens: Option<Vec<Special>>,
}

#[derive(Deserialize)]
struct Config {
    pattern: String,
    default_vocab_size: usize,
    default_num_special_tokens: u32,
}

impl Config {
    fn check_sizes(&self) -> Result<()> {
        for (what, size) in [
            ("a vocabulary of", self.default_vocab_size as u64),
            ("special tokens of", self.default_num_special_tokens.into()),
        ] {
            ensure!(
                size < MOST_IDS.into(),
                "it says that it has {what} {size} ids, and {MOST_IDS} are too many for any model: \
                 was the file damaged?"
            );
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Token {
    rank: usize,
    token_bytes: String,
}

#[derive(Deserialize)]
struct Special {
    rank: u32,
    token_str: String,
}

/// Reads the bytes of a `tekken.json`.
///
/// # Errors
/// The bytes are no such file, or break one of mistral-common's own rules.
pub(super) fn parse(bytes: &[u8]) -> Result<Tiktoken> {
    let file: File = serde_json::from_slice(bytes)
        .context("this is no tekken vocabulary, or one that was cut off")?;
    file.config.check_sizes()?;
    let Config {
        pattern,
        default_vocab_size,
        default_num_special_tokens: first_id,
    } = file.config;
    let pattern = Pattern::of(&pattern).with_context(|| {
        let start: String = pattern.chars().take(300).collect();
        format!(
            "its split pattern is not one that is followed exactly: {start}; use the model's \
             `tokenizer.json` instead (Hugging Face publishes one for most models; give its path)"
        )
    })?;
    let count = default_vocab_size.checked_sub(first_id as usize);
    let count = count.context("its vocabulary is smaller than its special tokens")?;
    ensure!(
        file.vocab.len() >= count,
        "it says that it has {count} tokens, but holds {}; was the file cut off?",
        file.vocab.len()
    );
    let mut tokens = Vec::with_capacity(count);
    for (rank, token) in file.vocab.into_iter().take(count).enumerate() {
        ensure!(
            token.rank == rank,
            "vocabulary entry {rank} has the rank {}",
            token.rank
        );
        let bytes = STANDARD
            .decode(&token.token_bytes)
            .with_context(|| format!("vocabulary entry {rank}: its bytes are no base64"))?;
        tokens.push(bytes.into_boxed_slice());
    }
    // Without a list, the first three are these (`DEPRECATED_SPECIAL_TOKENS`).
    let usual = [(1, "<s>"), (2, "</s>")];
    let id_of = |text: &str| match &file.special_tokens {
        Some(tokens) => tokens
            .iter()
            .find(|token| token.token_str == text)
            .map(|token| token.rank),
        None => usual
            .iter()
            .find(|(_, usual)| *usual == text)
            .map(|&(id, _)| id),
    };
    let bos_id = id_of("<s>").filter(|&id| id < first_id);
    Ok(Tiktoken {
        ranks: Ranks::new(tokens, pattern)?,
        first_id,
        specials: SpecialTexts::default(),
        normalizes: false,
        in_front: bos_id,
        bos_id,
        eos_id: id_of("</s>").filter(|&id| id < first_id),
        vocabulary_len: default_vocab_size,
        kind: "Mistral tekken".to_owned(),
    })
}
