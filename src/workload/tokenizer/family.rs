//! Model families whose tokenizer files do not say all of how text is cut.
//!
//! Knows the families by name, their split patterns and special tokens (as their
//! published Python files have them), and how a model folder tells its family.
//! It refuses to read vocabularies.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Result, anyhow, bail};

use super::ranks::Pattern;
use super::settings::read_json;

/// A family of models, for files that leave open how text is cut: tiktoken ranks
/// (`qwen`, `llama-3`, `glm-4`) and `vocab.json` + `merges.txt` (`gpt-2`, `qwen-2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Qwen's first generation: `qwen.tiktoken` (`tokenization_qwen.py`).
    Qwen,
    /// Llama 3's original `tokenizer.model` (`llama/tokenizer.py` of meta-llama/llama3).
    Llama3,
    /// GLM-4's `tokenizer.model` (`tokenization_chatglm.py`).
    Glm4,
    /// GPT-2 and models that use its class: `vocab.json` and `merges.txt`.
    Gpt2,
    /// Qwen 1.5 and later: `vocab.json` and `merges.txt`.
    Qwen2,
}

const NAMES: [(&str, Family); 5] = [
    ("qwen", Family::Qwen),
    ("llama-3", Family::Llama3),
    ("glm-4", Family::Glm4),
    ("gpt-2", Family::Gpt2),
    ("qwen-2", Family::Qwen2),
];

/// `tokenizer_class` of `tokenizer_config.json`, and `model_type` of `config.json`.
const IN_SETTINGS: [(&str, Family); 17] = [
    ("QWenTokenizer", Family::Qwen),
    ("ChatGLM4Tokenizer", Family::Glm4),
    ("GPT2Tokenizer", Family::Gpt2),
    ("GPT2TokenizerFast", Family::Gpt2),
    ("CodeGenTokenizer", Family::Gpt2),
    ("CodeGenTokenizerFast", Family::Gpt2),
    ("Qwen2Tokenizer", Family::Qwen2),
    ("Qwen2TokenizerFast", Family::Qwen2),
    ("qwen", Family::Qwen),
    ("llama", Family::Llama3),
    ("mllama", Family::Llama3),
    ("chatglm", Family::Glm4),
    ("glm4", Family::Glm4),
    ("gpt2", Family::Gpt2),
    ("codegen", Family::Gpt2),
    ("qwen2", Family::Qwen2),
    ("qwen2_moe", Family::Qwen2),
];

/// Families of tiktoken ranks, and how many ranks their own files have.
const RANKS: [(Family, usize); 3] = [
    (Family::Qwen, 151_643),
    (Family::Llama3, 128_000),
    (Family::Glm4, 151_329),
];

impl Family {
    /// All names, as `--tokenizer-family` takes them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|&(name, _)| name)
    }

    /// The family that the settings in `folder` tell, of those that fit.
    ///
    /// # Errors
    /// A file of settings is there, but cannot be read.
    pub(super) fn in_folder(folder: &Path, fits: fn(Self) -> bool) -> Result<Option<Self>> {
        let tokenizer = read_json(&folder.join("tokenizer_config.json"))?;
        let model = read_json(&folder.join("config.json"))?;
        let told = [&tokenizer["tokenizer_class"], &model["model_type"]];
        let families = told.into_iter().filter_map(|told| {
            let told = told.as_str()?;
            IN_SETTINGS.iter().find(|(name, _)| *name == told)
        });
        Ok(families
            .map(|&(_, family)| family)
            .find(|&family| fits(family)))
    }

    /// Whether the family's files are tiktoken ranks.
    pub(super) fn has_ranks(self) -> bool {
        RANKS.iter().any(|&(family, _)| family == self)
    }

    /// Whether the family's files are `vocab.json` and `merges.txt`.
    pub(super) fn has_merges(self) -> bool {
        matches!(self, Self::Gpt2 | Self::Qwen2)
    }

    /// How text is cut before ranks are looked at.
    ///
    /// # Errors
    /// The family has no tiktoken ranks.
    pub(super) fn pattern(self) -> Result<Pattern> {
        match self {
            Self::Qwen => Ok(Pattern::OneDigit),
            Self::Llama3 | Self::Glm4 => Ok(Pattern::ThreeDigits),
            Self::Gpt2 | Self::Qwen2 => bail!(
                "the family {self} has `vocab.json` and `merges.txt`, and this is a file of \
                 tiktoken ranks: give `--tokenizer-family qwen`, `llama-3` or `glm-4`"
            ),
        }
    }

    /// Objects to a file that is known to be another family's.
    ///
    /// # Errors
    /// The number of ranks is that of another family.
    pub(super) fn check_ranks(self, count: usize) -> Result<()> {
        let whose = RANKS
            .iter()
            .find(|&&(family, theirs)| theirs == count && family != self);
        match whose {
            Some((other, _)) => bail!(
                "the file has {count} ranks, which is {other}'s vocabulary, not {self}'s: give \
                 `--tokenizer-family {other}`"
            ),
            None => Ok(()),
        }
    }

    /// The family's special tokens; the first has the first id after the ranks.
    pub(super) fn special_tokens(self) -> Vec<String> {
        let numbered = |prefix: &str, numbers: std::ops::Range<u32>| -> Vec<String> {
            numbers
                .map(|number| format!("<|{prefix}_{number}|>"))
                .collect()
        };
        let owned =
            |texts: &[&str]| -> Vec<String> { texts.iter().map(|&text| text.to_owned()).collect() };
        let reserved = |numbers| numbered("reserved_special_token", numbers);
        match self {
            Self::Qwen => [
                owned(&["<|endoftext|>", "<|im_start|>", "<|im_end|>"]),
                numbered("extra", 0..205),
            ]
            .concat(),
            Self::Llama3 => [
                owned(&["<|begin_of_text|>", "<|end_of_text|>"]),
                reserved(0..4),
                owned(&["<|start_header_id|>", "<|end_header_id|>"]),
                reserved(4..5),
                owned(&["<|eot_id|>"]),
                reserved(5..251),
            ]
            .concat(),
            Self::Glm4 => owned(&[
                "<|endoftext|>",
                "[MASK]",
                "[gMASK]",
                "[sMASK]",
                "<sop>",
                "<eop>",
                "<|system|>",
                "<|user|>",
                "<|assistant|>",
                "<|observation|>",
                "<|begin_of_image|>",
                "<|end_of_image|>",
                "<|begin_of_video|>",
                "<|end_of_video|>",
            ]),
            Self::Gpt2 | Self::Qwen2 => owned(&["<|endoftext|>"]),
        }
    }

    /// The begin of sequence, for the families that call a token so. It is put
    /// before a served text.
    ///
    /// GLM-4's own class would put `[gMASK]<sop>` there, but LMDeploy's for it
    /// (v0.5.0 and later, `ChatGLM4Tokenizer.encode`) asks it not to: the model's
    /// chat template writes them, and a raw prompt goes without.
    pub(super) fn bos_token(self) -> Option<&'static str> {
        (self == Self::Llama3).then_some("<|begin_of_text|>")
    }

    /// The token that ends a document.
    pub(super) fn eos_token(self) -> &'static str {
        match self {
            Self::Llama3 => "<|end_of_text|>",
            _ => "<|endoftext|>",
        }
    }

    /// Whether text is put into Unicode's normal form C first.
    pub(super) fn normalizes(self) -> bool {
        matches!(self, Self::Qwen | Self::Qwen2)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, family)| family == self);
        formatter.write_str(name.map_or("?", |(name, _)| name))
    }
}

impl FromStr for Family {
    type Err = anyhow::Error;

    /// Takes the names of [`Family::names`], with or without the hyphen.
    fn from_str(text: &str) -> Result<Self> {
        let bare = |name: &str| name.replace('-', "").to_ascii_lowercase();
        let found = NAMES.iter().find(|(name, _)| bare(name) == bare(text));
        found.map(|&(_, family)| family).ok_or_else(|| {
            let names: Vec<&str> = Self::names().collect();
            anyhow!(
                "no tokenizer family is called `{text}`; known are {}",
                names.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_called_by_their_names() {
        for (name, family) in NAMES {
            assert_eq!(name.parse::<Family>().unwrap(), family);
            assert_eq!(family.to_string(), name);
            assert_ne!(family.has_ranks(), family.has_merges());
            assert_eq!(family.has_ranks(), family.pattern().is_ok());
        }
        assert_eq!("LLaMA3".parse::<Family>().unwrap(), Family::Llama3);
        let error = "mistral".parse::<Family>().unwrap_err().to_string();
        assert!(error.contains("`mistral`; known are qwen, llama-3, glm-4, gpt-2, qwen-2"));
    }

    #[test]
    fn special_tokens_have_the_published_numbers() {
        for (family, base, text, id, count) in [
            (Family::Qwen, 151_643, "<|im_end|>", 151_645, 208),
            (Family::Qwen, 151_643, "<|extra_204|>", 151_850, 208),
            (Family::Llama3, 128_000, "<|end_header_id|>", 128_007, 256),
            (Family::Llama3, 128_000, "<|eot_id|>", 128_009, 256),
            (
                Family::Llama3,
                128_000,
                "<|reserved_special_token_250|>",
                128_255,
                256,
            ),
            (Family::Glm4, 151_329, "<sop>", 151_333, 14),
            (Family::Glm4, 151_329, "<|observation|>", 151_338, 14),
        ] {
            let tokens = family.special_tokens();
            assert_eq!(tokens.len(), count);
            let place = tokens.iter().position(|token| token == text).unwrap();
            assert_eq!(base + place, id, "{text}");
            let bos = family.bos_token();
            assert!(bos.is_none_or(|bos| tokens.iter().any(|token| token == bos)));
        }
    }

    #[test]
    fn a_folder_tells_its_family() {
        for (tokenizer, model, fits, wanted) in [
            (
                r#"{"tokenizer_class": "QWenTokenizer"}"#,
                "{}",
                Family::has_ranks as fn(Family) -> bool,
                Some(Family::Qwen),
            ),
            (
                "{}",
                r#"{"model_type": "llama"}"#,
                Family::has_ranks,
                Some(Family::Llama3),
            ),
            (
                r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#,
                r#"{"model_type": "chatglm"}"#,
                Family::has_ranks,
                Some(Family::Glm4),
            ),
            ("{}", r#"{"model_type": "llama"}"#, Family::has_merges, None),
            (
                r#"{"tokenizer_class": "GPT2Tokenizer"}"#,
                r#"{"model_type": "opt"}"#,
                Family::has_merges,
                Some(Family::Gpt2),
            ),
            ("{}", "{}", Family::has_merges, None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("tokenizer_config.json"), tokenizer).unwrap();
            std::fs::write(folder.path().join("config.json"), model).unwrap();
            assert_eq!(
                Family::in_folder(folder.path(), fits).unwrap(),
                wanted,
                "{tokenizer} {model}"
            );
        }
    }
}
