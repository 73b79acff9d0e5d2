//! `vocab.json` and `merges.txt`: byte-level BPE without a `tokenizer.json`.
//!
//! Knows the two files, and which pipeline transformers builds of them for each
//! family (`convert_slow_tokenizer.py`: `GPT2Converter`, `Qwen2Converter`; 4.46, as
//! 4.38's Qwen2 still lost every merge that begins with `#`). It refuses to encode:
//! crate `tokenizers` does.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::check_id;
use super::family::Family;
use super::huggingface::{Around, HuggingFace, byte_characters};
use super::ranks::Pattern;
use super::settings::{Settings, read_json, token_text};

/// Reads the two files in `folder` and the settings beside them.
///
/// # Errors
/// A file cannot be read or is broken, the vocabulary lacks a byte or what a merge
/// makes, or the family's files are of another kind. The text names file and line.
pub(super) fn load(folder: &Path, family: Family, settings: &Settings) -> Result<HuggingFace> {
    ensure!(
        family.has_merges(),
        "the family {family} has tiktoken ranks, and these are `vocab.json` and `merges.txt`: give \
         `--tokenizer-family gpt-2` or `qwen-2`"
    );
    let config = read_json(&folder.join("tokenizer_config.json"))?;
    let vocabulary = read(folder, "vocab.json", |bytes| parse_vocabulary(&bytes))?;
    let merges = read(folder, "merges.txt", |bytes| {
        parse_merges(&bytes, family, &vocabulary)
    })?;
    let vocabulary: Vocab = vocabulary.into_iter().collect();
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .build()
        .map_err(|error| anyhow!("`vocab.json` with `merges.txt`: {error}"))?;
    let mut inner = tokenizers::Tokenizer::new(model);
    let adds_space = config["add_prefix_space"].as_bool().unwrap_or(false);
    let bytes = ByteLevel::default().add_prefix_space(adds_space);
    if family == Family::Qwen2 {
        let pattern = SplitPattern::Regex(Pattern::OneDigit.text().to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
            .map_err(|error| anyhow!("{error}"))?;
        let steps = vec![split.into(), bytes.use_regex(false).into()];
        inner.with_pre_tokenizer(Some(Sequence::new(steps)));
        inner
            .with_normalizer(Some(NFC))
            .map_err(|error| anyhow!("{error}"))?;
    } else {
        inner.with_pre_tokenizer(Some(bytes));
    }
    inner.with_decoder(Some(ByteLevel::default()));
    let settings = with_usual_tokens(settings, family);
    add_tokens(&mut inner, folder, &config, &settings)?;
    // GPT-2's class adds it only if told to, Qwen's not at all.
    let adds_bos = family == Family::Gpt2 && config["add_bos_token"] == true;
    let bos_id = settings
        .bos_token
        .as_deref()
        .and_then(|text| inner.token_to_id(text));
    let around = Around {
        before: bos_id.filter(|_| adds_bos),
        after: None,
    };
    HuggingFace::of(inner, &settings, Some(around))
}

fn read<T>(folder: &Path, name: &str, parse: impl FnOnce(Vec<u8>) -> Result<T>) -> Result<T> {
    let bytes = fs::read(folder.join(name)).map_err(|error| anyhow!("cannot be read: {error}"));
    bytes.and_then(parse).with_context(|| format!("`{name}`"))
}

fn parse_vocabulary(bytes: &[u8]) -> Result<BTreeMap<String, u32>> {
    let vocabulary: BTreeMap<String, u32> = serde_json::from_slice(bytes)
        .context("this is not a JSON object of tokens and ids; was it downloaded whole?")?;
    let mut seen = BTreeMap::new();
    for (token, id) in &vocabulary {
        check_id((*id).into(), token)?;
        if let Some(other) = seen.insert(id, token) {
            bail!("the tokens {other:?} and {token:?} have the same id {id}");
        }
    }
    for (byte, character) in byte_characters() {
        ensure!(
            vocabulary.contains_key(character.encode_utf8(&mut [0; 4]) as &str),
            "the vocabulary has no token for the single byte 0x{byte:02X}, so it cannot write \
             every text; is it no byte-level vocabulary?"
        );
    }
    Ok(vocabulary)
}

/// The merges in their order; those that are there twice count the first time.
fn parse_merges(
    bytes: &[u8],
    family: Family,
    vocabulary: &BTreeMap<String, u32>,
) -> Result<Vec<(String, String)>> {
    let mut merges = Vec::new();
    let mut seen = HashSet::new();
    let mut lines = (1_usize..)
        .zip(bytes.split(|&byte| byte == b'\n'))
        .peekable();
    while let Some((number, line)) = lines.next() {
        let line =
            std::str::from_utf8(line).with_context(|| format!("line {number} is no UTF-8"))?;
        // As the classes do: GPT-2's drops the first line and what comes after the
        // last line break; Qwen's drops a version line and empty lines.
        let is_dropped = match family {
            Family::Gpt2 => number == 1 || lines.peek().is_none(),
            _ => line.trim().is_empty() || number == 1 && line.trim().starts_with("#version:"),
        };
        if is_dropped {
            continue;
        }
        let mut words = line.split_whitespace();
        let (Some(left), Some(right), None) = (words.next(), words.next(), words.next()) else {
            bail!(
                "line {number} is not two tokens and a space between them: {:.60}",
                line.trim()
            );
        };
        for token in [left, right, &format!("{left}{right}")] {
            ensure!(
                vocabulary.contains_key(token),
                "line {number}: {token:?} is not in `vocab.json`; were the files cut, or are they \
                 of two models?"
            );
        }
        if seen.insert((left, right)) {
            merges.push((left.to_owned(), right.to_owned()));
        }
    }
    ensure!(!merges.is_empty(), "there are no merges in the file");
    Ok(merges)
}

/// Settings with the tokens that the classes have without being told.
fn with_usual_tokens(settings: &Settings, family: Family) -> Settings {
    let mut settings = settings.clone();
    let usual = || Some(family.eos_token().to_owned());
    settings.eos_token = settings.eos_token.or_else(usual);
    if family == Family::Gpt2 {
        settings.bos_token = settings.bos_token.or_else(usual);
    }
    settings
}

/// Adds the tokens of the settings: first those with an id, in its order, then the
/// named ones that are new, in the order in which transformers adds them.
fn add_tokens(
    inner: &mut tokenizers::Tokenizer,
    folder: &Path,
    config: &Value,
    settings: &Settings,
) -> Result<()> {
    let map = read_json(&folder.join("special_tokens_map.json"))?;
    let added = read_json(&folder.join("added_tokens.json"))?;
    let named = named_tokens(config, &map, settings);
    for (id, token) in numbered_tokens(config, &added, &named)? {
        let text = token.content.clone();
        inner
            .add_tokens([token])
            .map_err(|error| anyhow!("{error}"))?;
        let given = inner.token_to_id(&text).map(u64::from);
        ensure!(
            text.is_empty() || given == Some(id),
            "the settings say that {text:?} has the id {id}, but after `vocab.json` it would have \
             {}; are files of two models mixed?",
            given.unwrap_or_default()
        );
    }
    for text in named.into_iter().filter(|text| !text.is_empty()) {
        let mut added = inner.get_added_tokens_decoder().into_values();
        if !added.any(|token| token.content == text) {
            inner
                .add_special_tokens([AddedToken::from(text, true)])
                .map_err(|error| anyhow!("{error}"))?;
        }
    }
    Ok(())
}

/// Special tokens that have a name, in transformers' order of names.
fn named_tokens(config: &Value, map: &Value, settings: &Settings) -> Vec<String> {
    let written = |key| token_text(&config[key]).or_else(|| token_text(&map[key]));
    let unknown = written("unk_token").or_else(|| Some("<|endoftext|>".to_owned()));
    let begin_and_end = [settings.bos_token.clone(), settings.eos_token.clone()];
    let others = ["sep_token", "pad_token", "cls_token", "mask_token"];
    let more = [config, map]
        .into_iter()
        .filter_map(|file| file["additional_special_tokens"].as_array())
        .flatten();
    begin_and_end
        .into_iter()
        .chain([unknown])
        .chain(others.map(written))
        .flatten()
        .chain(more.filter_map(token_text))
        .collect()
}

/// Tokens that the settings give an id.
fn numbered_tokens(
    config: &Value,
    added: &Value,
    named: &[String],
) -> Result<BTreeMap<u64, AddedToken>> {
    let mut numbered = BTreeMap::new();
    for (text, id) in added.as_object().into_iter().flatten() {
        let id = id.as_u64();
        let id = id.with_context(|| format!("`added_tokens.json`: {text:?} has no id"))?;
        let is_special = named.contains(text);
        let token = AddedToken::from(text.as_str(), is_special).normalized(!is_special);
        numbered.insert(id, token);
    }
    let decoder = config["added_tokens_decoder"].as_object();
    for (id, token) in decoder.into_iter().flatten() {
        let (Ok(id), Some(text)) = (id.parse(), token_text(token)) else {
            bail!("`tokenizer_config.json`: the added token {id} has no text, or no id");
        };
        let is = |key: &str| token[key].as_bool();
        let special = is("special").unwrap_or(false);
        let token = AddedToken::from(text, special)
            .normalized(is("normalized").unwrap_or(!special))
            .lstrip(is("lstrip").unwrap_or(false))
            .rstrip(is("rstrip").unwrap_or(false))
            .single_word(is("single_word").unwrap_or(false));
        numbered.insert(id, token);
    }
    Ok(numbered)
}
