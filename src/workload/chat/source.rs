//! Finds a model's chat template and the special tokens that it names.
//!
//! Knows the files of a Hugging Face model folder. It refuses to know what a
//! template means.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

/// Longer than any template; keeps a wrong file from filling the memory.
const LONGEST_FILE_BYTES: u64 = 64 << 20;
const JINJA: &str = "chat_template.jinja";
const CONFIG: &str = "tokenizer_config.json";
/// Single tokens that transformers hands to a template under these names.
const NAMED: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];
const ADDITIONAL: &str = "additional_special_tokens";

/// A template as it is written down, and what goes with it.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The template.
    pub(super) text: String,
    /// Where it was found, for people.
    pub(super) origin: String,
    /// Special tokens by the variable that holds them.
    pub(super) named: BTreeMap<String, String>,
    /// The tokens without a variable of their own.
    pub(super) additional: Vec<String>,
    /// Texts of all special tokens that the settings name.
    pub(super) specials: Vec<String>,
}

/// The folder in which a template for the tokenizer at `path` lies.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The template of `folder`: `chat_template.jinja` before `chat_template` in
/// `tokenizer_config.json`, as transformers 4.52 and later choose.
///
/// # Errors
/// A file is there and cannot be read, or holds a template of no known form.
pub(super) fn find(folder: &Path) -> Result<Option<Source>> {
    let config = read_json(&folder.join(CONFIG))?;
    let map = read_json(&folder.join("special_tokens_map.json"))?;
    let path = folder.join(JINJA);
    let (text, origin) = match read(&path)? {
        Some(bytes) => {
            let text = String::from_utf8(bytes)
                .map_err(|error| anyhow!("`{}` is not UTF-8: {error}", path.display()))?;
            (text, format!("`{}`", path.display()))
        }
        None => {
            let path = folder.join(CONFIG);
            let of = || format!("`chat_template` in `{}`", path.display());
            match in_config(&config["chat_template"]).with_context(of)? {
                Some(text) => (text, of()),
                None => return Ok(None),
            }
        }
    };
    let mut source = Source {
        text,
        origin,
        ..Source::default()
    };
    for key in NAMED {
        if let Some(token) = token_text(&config[key]).or_else(|| token_text(&map[key])) {
            source.named.insert(key.to_owned(), token);
        }
    }
    let list = [&config, &map]
        .into_iter()
        .find_map(|file| file[ADDITIONAL].as_array());
    source.additional = list.into_iter().flatten().filter_map(token_text).collect();
    let added = config["added_tokens_decoder"].as_object();
    source.specials = source.named.values().cloned().collect();
    source.specials.extend(source.additional.iter().cloned());
    let added = added.into_iter().flatten().map(|(_, token)| token);
    source.specials.extend(added.filter_map(token_text));
    source.specials.retain(|text| !text.is_empty());
    source.specials.sort();
    source.specials.dedup();
    Ok(Some(source))
}

/// One template, or a list of named ones, of which `default` counts.
fn in_config(value: &Value) -> Result<Option<String>> {
    let list = match value {
        Value::Null => return Ok(None),
        Value::String(text) => return Ok(Some(text.clone())),
        Value::Array(list) => list,
        _ => bail!("must be a text or a list of {{\"name\", \"template\"}}"),
    };
    let mut names = Vec::new();
    for entry in list {
        let name = entry["name"].as_str().unwrap_or_default();
        if name == "default" {
            let text = entry["template"].as_str();
            let text = text.context("the entry `default` has no text `template`")?;
            return Ok(Some(text.to_owned()));
        }
        names.push(format!("`{name}`"));
    }
    bail!(
        "is a list without a template named `default` (it has {}); name one so, or write it to \
         {JINJA} beside it",
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    )
}

/// A token is a string, or an object with its `content`.
fn token_text(value: &Value) -> Option<String> {
    value
        .as_str()
        .or_else(|| value["content"].as_str())
        .map(str::to_owned)
}

/// The file's content; `null` where there is no such file.
fn read_json(path: &Path) -> Result<Value> {
    let Some(bytes) = read(path)? else {
        return Ok(Value::Null);
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| anyhow!("`{}` is not JSON: {error}", path.display()))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let unreadable = || format!("`{}` cannot be read", path.display());
    let size = match fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(unreadable),
    };
    ensure!(
        size <= LONGEST_FILE_BYTES,
        "`{}` has {size} bytes, too many for a template or settings",
        path.display()
    );
    fs::read(path).map(Some).with_context(unreadable)
}
