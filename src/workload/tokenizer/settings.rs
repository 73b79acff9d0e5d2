//! Reads what Hugging Face keeps beside a tokenizer: names of special tokens.
//!
//! Knows `tokenizer_config.json`, `special_tokens_map.json` and
//! `added_tokens.json` as transformers 4.3x writes them, and finds special
//! tokens in text. It refuses to know vocabularies; of the class named in the
//! settings only one question is asked.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use super::check_id;

/// The special tokens that a folder's settings name.
#[derive(Debug, Default, Clone)]
pub(super) struct Settings {
    pub(super) bos_token: Option<String>,
    pub(super) eos_token: Option<String>,
    /// `add_bos_token`; the tokenizers that know it add the token unless told not to.
    pub(super) add_bos_token: bool,
    /// `add_eos_token`; nothing is added unless asked for.
    pub(super) add_eos_token: bool,
    /// Whether transformers obeys the two for a `tokenizer.json`.
    pub(super) class_adds_tokens: bool,
    /// Whether LMDeploy asks the class to insert nothing.
    pub(super) inserts_nothing: bool,
    /// Text of every special token, with its id where the settings have it.
    pub(super) special_tokens: BTreeMap<String, Option<u32>>,
}

/// These classes replace the post-processor of their `tokenizer.json` by what the
/// settings say (tried with transformers 4.38.2); the others leave it as it is.
const CLASSES_THAT_ADD_TOKENS: [&str; 6] = [
    "LlamaTokenizer",
    "LlamaTokenizerFast",
    "CodeLlamaTokenizer",
    "CodeLlamaTokenizerFast",
    "GemmaTokenizer",
    "GemmaTokenizerFast",
];

impl Settings {
    /// Reads the files that are there; a folder without any gives no settings.
    ///
    /// # Errors
    /// A file is there, but cannot be read or is no JSON, or an id is too high.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let config = read_json(&folder.join("tokenizer_config.json"))?;
        let map = read_json(&folder.join("special_tokens_map.json"))?;
        let added = read_json(&folder.join("added_tokens.json"))?;
        let named = |key| token_text(&config[key]).or_else(|| token_text(&map[key]));
        let class = config["tokenizer_class"].as_str().unwrap_or_default();
        let mut settings = Self {
            bos_token: named("bos_token"),
            eos_token: named("eos_token"),
            add_bos_token: config["add_bos_token"].as_bool().unwrap_or(true),
            add_eos_token: config["add_eos_token"].as_bool().unwrap_or(false),
            class_adds_tokens: CLASSES_THAT_ADD_TOKENS.contains(&class),
            inserts_nothing: class == "ChatGLM4Tokenizer",
            special_tokens: BTreeMap::new(),
        };
        let single = [
            "bos_token",
            "eos_token",
            "unk_token",
            "pad_token",
            "sep_token",
        ];
        let several = [&config, &map]
            .into_iter()
            .filter_map(|file| file["additional_special_tokens"].as_array())
            .flatten()
            .filter_map(token_text);
        for text in single.into_iter().filter_map(named).chain(several) {
            settings.special_tokens.insert(text, None);
        }
        for (text, id) in added.as_object().into_iter().flatten() {
            let id = id.as_u64();
            settings
                .add(Some(text.clone()), id)
                .context("`added_tokens.json`")?;
        }
        for (id, token) in config["added_tokens_decoder"]
            .as_object()
            .into_iter()
            .flatten()
        {
            let (text, id) = (token_text(token), id.parse().ok());
            settings.add(text, id).context("`tokenizer_config.json`")?;
        }
        settings.special_tokens.remove("");
        Ok(settings)
    }

    fn add(&mut self, text: Option<String>, id: Option<u64>) -> Result<()> {
        if let (Some(text), Some(id)) = (text, id) {
            check_id(id, &text)?;
            self.special_tokens.insert(text, u32::try_from(id).ok());
        }
        Ok(())
    }
}

/// A token is a string, or an object with its `content`.
pub(super) fn token_text(value: &Value) -> Option<String> {
    value
        .as_str()
        .or_else(|| value["content"].as_str())
        .map(str::to_owned)
}

/// The file's content; `null` where there is no such file.
pub(super) fn read_json(path: &Path) -> Result<Value> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| anyhow!("`{}` is not JSON: {error}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(anyhow!("`{}` cannot be read: {error}", path.display())),
    }
}

/// Special tokens that are found in text before anything else happens to it.
#[derive(Debug, Default)]
pub(super) struct SpecialTexts {
    /// Longest first, so that the longest of those that begin together wins.
    texts: Vec<(String, u32)>,
}

/// A stretch of text, or a special token in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    Text(&'a str),
    Special(u32),
}

impl SpecialTexts {
    pub(super) fn new(mut texts: Vec<(String, u32)>) -> Self {
        texts.retain(|(text, _)| !text.is_empty());
        texts.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        Self { texts }
    }

    /// The highest id, if there is any token.
    pub(super) fn highest_id(&self) -> Option<u32> {
        self.texts.iter().map(|&(_, id)| id).max()
    }

    /// Cuts `text` at the special tokens, from left to right; no empty stretches.
    pub(super) fn split<'a>(&self, text: &'a str) -> Vec<Segment<'a>> {
        let mut begins = [false; 256];
        for (special, _) in &self.texts {
            if let Some(&byte) = special.as_bytes().first() {
                begins[usize::from(byte)] = true;
            }
        }
        let bytes = text.as_bytes();
        let mut segments = Vec::new();
        let (mut start, mut at) = (0, 0);
        while at < bytes.len() {
            let found = begins[usize::from(bytes[at])]
                .then(|| {
                    self.texts
                        .iter()
                        .find(|(token, _)| bytes[at..].starts_with(token.as_bytes()))
                })
                .flatten();
            let Some((token, id)) = found else {
                at += 1;
                continue;
            };
            if start < at {
                segments.push(Segment::Text(&text[start..at]));
            }
            segments.push(Segment::Special(*id));
            at += token.len();
            start = at;
        }
        if start < bytes.len() {
            segments.push(Segment::Text(&text[start..]));
        }
        segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Segment::{Special, Text};

    #[test]
    fn special_tokens_are_collected_from_all_files() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "tokenizer_config.json",
            r#"{"bos_token": {"content": "<s>"}, "pad_token": null, "add_bos_token": false,
                "additional_special_tokens": ["<|im_start|>"],
                "added_tokens_decoder": {"7": {"content": "<extra>"}, "x": {"content": "<bad>"}}}"#,
        );
        write("special_tokens_map.json", r#"{"eos_token": "</s>"}"#);
        write("added_tokens.json", r#"{"<|im_start|>": 9}"#);
        let settings = Settings::read(folder.path()).unwrap();
        assert_eq!(settings.bos_token.as_deref(), Some("<s>"));
        assert_eq!(settings.eos_token.as_deref(), Some("</s>"));
        assert!(!settings.add_bos_token && !settings.add_eos_token);
        assert!(!settings.class_adds_tokens);
        let tokens: Vec<_> = settings
            .special_tokens
            .iter()
            .map(|(text, id)| (text.as_str(), *id))
            .collect();
        let wanted = [
            ("</s>", None),
            ("<extra>", Some(7)),
            ("<s>", None),
            ("<|im_start|>", Some(9)),
        ];
        assert_eq!(tokens, wanted);
    }

    #[test]
    fn no_settings_are_no_error_and_broken_ones_are() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            Settings::read(folder.path())
                .unwrap()
                .special_tokens
                .is_empty()
        );
        fs::write(folder.path().join("tokenizer_config.json"), "{\n\"bos\":").unwrap();
        let error = Settings::read(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("tokenizer_config.json` is not JSON"),
            "{error}"
        );
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn text_is_cut_at_special_tokens() {
        let specials = SpecialTexts::new(vec![
            ("<s>".into(), 1),
            ("<s>>".into(), 2),
            ("é".into(), 3),
            (String::new(), 4),
        ]);
        assert_eq!(specials.highest_id(), Some(3));
        for (text, segments) in [
            ("", vec![]),
            ("plain", vec![Text("plain")]),
            ("<s>", vec![Special(1)]),
            ("<s>>x", vec![Special(2), Text("x")]),
            ("a<s><s", vec![Text("a"), Special(1), Text("<s")]),
            (
                "où été",
                vec![Text("où "), Special(3), Text("t"), Special(3)],
            ),
        ] {
            assert_eq!(specials.split(text), segments, "{text}");
        }
    }
}
