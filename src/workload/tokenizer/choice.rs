//! Which file of a model folder is the tokenizer.
//!
//! Knows the names that models use and LMDeploy's rule (v0.1.0 to v0.2.5,
//! `lmdeploy/tokenizer.py`): with a `tokenizer_config.json`, or without a
//! `tokenizer.model`, Hugging Face's way; else SentencePiece, even where a
//! `tokenizer.json` lies beside. It refuses to read what it found.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};

/// The tokenizer that a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// A `tokenizer.json`; `folder` is where its settings may lie.
    HuggingFace { file: PathBuf, folder: PathBuf },
    /// A SentencePiece file, read as SentencePiece does.
    SentencePiece { file: PathBuf },
    /// A SentencePiece file with Hugging Face settings beside it, and no
    /// `tokenizer.json`: special tokens are taken out of the text first.
    SentencePieceWithSettings { file: PathBuf, folder: PathBuf },
    /// Lines of base64 and a rank; `folder` is where its family may be told.
    Ranks { file: PathBuf, folder: PathBuf },
    /// A `tekken.json`, or `tekken_240911.json` and the like.
    Tekken { file: PathBuf },
    /// A folder with `vocab.json` and `merges.txt`.
    VocabAndMerges { folder: PathBuf },
}

const WHAT_WORKS: &str = "what is read: a Hugging Face `tokenizer.json`, a SentencePiece BPE \
    `tokenizer.model`, tiktoken ranks (`*.tiktoken`, Llama 3's and GLM-4's `tokenizer.model`), \
    `vocab.json` with `merges.txt`, and Mistral's `tekken.json`";

/// Follows LMDeploy's rule from a folder, or from a file in it.
///
/// # Errors
/// Nothing is there, or no tokenizer of a kind that is read.
pub(super) fn choose(path: &Path) -> Result<Choice> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!(
            "no such file or folder; give the model's folder (the one with `tokenizer.json` or \
             `tokenizer.model`), not a Hub name"
        ),
        _ => anyhow!("cannot be opened: {error}"),
    })?;
    if metadata.is_dir() {
        return choose_in_folder(path);
    }
    ensure!(metadata.is_file(), "this is neither a file nor a folder");
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".model") {
        return choose_by_model_file(path.to_owned(), folder);
    }
    let file = path.to_owned();
    if is_tekken(&name) {
        return Ok(Choice::Tekken { file });
    }
    if matches!(&*name, "vocab.json" | "merges.txt") {
        let other = if name == "vocab.json" {
            "merges.txt"
        } else {
            "vocab.json"
        };
        ensure!(
            folder.join(other).is_file(),
            "half of a tokenizer: `{other}` has to lie beside it; {WHAT_WORKS}"
        );
        return Ok(Choice::VocabAndMerges { folder });
    }
    match first_bytes(path)?.as_slice() {
        [] => bail!("the file is empty"),
        [0x0A, ..] => Ok(Choice::SentencePiece { file }),
        bytes if bytes.trim_ascii_start().starts_with(b"{") => {
            Ok(Choice::HuggingFace { file, folder })
        }
        bytes if is_base64_ranks(bytes) || name.ends_with(".tiktoken") => {
            Ok(Choice::Ranks { file, folder })
        }
        _ => bail!("this is no tokenizer that is known here; {WHAT_WORKS}"),
    }
}

fn choose_in_folder(folder: &Path) -> Result<Choice> {
    let model = folder.join("tokenizer.model");
    if model.is_file() {
        return choose_by_model_file(model, folder.to_owned());
    }
    let json = folder.join("tokenizer.json");
    if json.is_file() {
        return Ok(Choice::HuggingFace {
            file: json,
            folder: folder.to_owned(),
        });
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).context("cannot be listed")? {
        names.push(
            entry
                .context("cannot be listed")?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    if let Some(name) = only_one(&names, |name| name.ends_with(".tiktoken"))? {
        return Ok(Choice::Ranks {
            file: folder.join(name),
            folder: folder.to_owned(),
        });
    }
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let usual = has("tekken.json").then_some("tekken.json");
    if let Some(name) = usual.map_or_else(|| only_one(&names, is_tekken), |name| Ok(Some(name)))? {
        return Ok(Choice::Tekken {
            file: folder.join(name),
        });
    }
    if has("vocab.json") && has("merges.txt") {
        return Ok(Choice::VocabAndMerges {
            folder: folder.to_owned(),
        });
    }
    names.truncate(8);
    let seen = if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    };
    bail!("no tokenizer in this folder (it holds {seen}); {WHAT_WORKS}")
}

/// The name that is of a kind; there must be no second one.
fn only_one(names: &[String], is_of_kind: fn(&str) -> bool) -> Result<Option<&str>> {
    let names = names.iter().map(String::as_str);
    let found: Vec<&str> = names.filter(|name| is_of_kind(name)).collect();
    match found.as_slice() {
        [] => Ok(None),
        [name] => Ok(Some(name)),
        several => bail!(
            "several vocabularies in this folder ({}): give the path of one",
            several.join(", ")
        ),
    }
}

/// The rule itself, for a file that is or is called like `tokenizer.model`.
fn choose_by_model_file(file: PathBuf, folder: PathBuf) -> Result<Choice> {
    let has_settings = folder.join("tokenizer_config.json").is_file();
    let json = folder.join("tokenizer.json");
    if has_settings && json.is_file() {
        return Ok(Choice::HuggingFace { file: json, folder });
    }
    if is_base64_ranks(&first_bytes(&file)?) {
        return Ok(Choice::Ranks { file, folder });
    }
    Ok(if has_settings {
        Choice::SentencePieceWithSettings { file, folder }
    } else {
        Choice::SentencePiece { file }
    })
}

/// As mistral-common tells one (`is_tekken`).
fn is_tekken(name: &str) -> bool {
    name.contains("tekken") && name.ends_with(".json")
}

fn first_bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(256).read_to_end(&mut bytes))
        .map_err(|error| anyhow!("`{}` cannot be read: {error}", path.display()))?;
    Ok(bytes)
}

/// Whether the first line is base64, a space and a decimal number.
fn is_base64_ranks(bytes: &[u8]) -> bool {
    let line = bytes
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ');
    let is_base64 = |word: &[u8]| {
        word.len() >= 4
            && word
                .iter()
                .all(|&byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
    };
    let is_number = |word: &[u8]| {
        let digits = word.trim_ascii_end();
        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
    };
    words.next().is_some_and(is_base64) && words.next().is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that holds the named files with the given contents.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    const PROTOBUF: (&str, &str) = ("tokenizer.model", "\n\u{4}\n\u{2}ab");
    const RANKS: (&str, &str) = ("tokenizer.model", "IQ== 0\nIg== 1\n");
    const SETTINGS: (&str, &str) = ("tokenizer_config.json", "{}");
    const JSON: (&str, &str) = ("tokenizer.json", "{}");

    #[test]
    fn the_file_wins_that_lmdeploy_takes() {
        for (files, wanted) in [
            (&[PROTOBUF][..], "sp tokenizer.model"),
            (&[PROTOBUF, JSON], "sp tokenizer.model"),
            (&[PROTOBUF, SETTINGS], "sp+ tokenizer.model"),
            (&[PROTOBUF, SETTINGS, JSON], "hf tokenizer.json"),
            (&[JSON], "hf tokenizer.json"),
            (&[JSON, SETTINGS], "hf tokenizer.json"),
            (
                &[JSON, SETTINGS, ("tekken.json", "{}")],
                "hf tokenizer.json",
            ),
            (
                &[JSON, ("vocab.json", "{}"), ("merges.txt", "")],
                "hf tokenizer.json",
            ),
            (&[RANKS], "ranks tokenizer.model"),
            (&[RANKS, SETTINGS], "ranks tokenizer.model"),
            (&[RANKS, SETTINGS, JSON], "hf tokenizer.json"),
            (
                &[("qwen.tiktoken", "IQ== 0\n"), SETTINGS],
                "ranks qwen.tiktoken",
            ),
            (&[("tekken.json", "{}"), SETTINGS], "tekken tekken.json"),
            (
                &[("tekken_240911.json", "{}"), SETTINGS],
                "tekken tekken_240911.json",
            ),
            (
                &[("tekken.json", "{}"), ("tekken_240911.json", "{}")],
                "tekken tekken.json",
            ),
            (
                &[("vocab.json", "{}"), ("merges.txt", "")],
                "merges vocab.json",
            ),
            (
                &[("merges.txt", ""), ("vocab.json", "{}")],
                "merges vocab.json",
            ),
        ] {
            let folder = folder(files);
            for path in [folder.path().to_owned(), folder.path().join(files[0].0)] {
                let (kind, file) = match choose(&path).unwrap() {
                    Choice::HuggingFace { file, .. } => ("hf", file),
                    Choice::SentencePiece { file } => ("sp", file),
                    Choice::SentencePieceWithSettings { file, .. } => ("sp+", file),
                    Choice::Ranks { file, .. } => ("ranks", file),
                    Choice::Tekken { file } => ("tekken", file),
                    Choice::VocabAndMerges { folder } => ("merges", folder.join("vocab.json")),
                };
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                assert_eq!(format!("{kind} {name}"), wanted, "{path:?}");
            }
        }
    }

    #[test]
    fn a_named_file_of_another_name_is_looked_into() {
        let folder = folder(&[
            ("V7_sft.model", "\n\u{4}\n\u{2}ab"),
            ("vocab", "\nx"),
            ("t", " {"),
        ]);
        let at = |name: &str| choose(&folder.path().join(name)).unwrap();
        assert!(matches!(at("V7_sft.model"), Choice::SentencePiece { .. }));
        assert!(matches!(at("vocab"), Choice::SentencePiece { .. }));
        assert!(matches!(at("t"), Choice::HuggingFace { .. }));
    }

    #[test]
    fn folders_without_one_tokenizer_are_refused() {
        for (files, complaint) in [
            (&[("weights.bin", "")][..], "it holds weights.bin"),
            (&[("vocab.json", "{}")], "it holds vocab.json"),
            (&[], "it holds nothing"),
        ] {
            let folder = folder(files);
            let error = format!("{:#}", choose(folder.path()).unwrap_err());
            assert!(error.contains(complaint), "{error}");
            assert!(
                error.contains("what is read: a Hugging Face `tokenizer.json`"),
                "{error}"
            );
        }
        for [one, other] in [
            ["a.tiktoken", "b.tiktoken"],
            ["tekken_240718.json", "tekken_240911.json"],
        ] {
            let two = folder(&[(one, ""), (other, "")]);
            let error = format!("{:#}", choose(two.path()).unwrap_err());
            let complaint = format!("({one}, {other}): give the path");
            assert!(error.contains(&complaint), "{error}");
        }
    }

    #[test]
    fn paths_that_lead_nowhere_are_refused() {
        let folder = folder(&[
            ("notes", "hello"),
            ("empty", ""),
            ("x.tiktoken", ""),
            ("vocab.json", "{}"),
        ]);
        for (name, complaint) in [
            ("absent", "no such file or folder"),
            ("notes", "no tokenizer that is known here"),
            ("empty", "is empty"),
            ("x.tiktoken", "is empty"),
            ("vocab.json", "`merges.txt` has to lie beside it"),
        ] {
            let error = format!("{:#}", choose(&folder.path().join(name)).unwrap_err());
            assert!(error.contains(complaint), "{error}");
        }
        #[cfg(unix)]
        assert!(
            choose(Path::new("/dev/null"))
                .unwrap_err()
                .to_string()
                .contains("neither")
        );
    }
}
