//! Makes a tokenizer of what lies at a path.
//!
//! Knows which kind of file goes to which reader, and how large files may be. It
//! refuses to encode.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::choice::{self, Choice};
use super::family::Family;
use super::huggingface::HuggingFace;
use super::sentencepiece::SentencePiece;
use super::settings::{Settings, SpecialTexts};
use super::tiktoken::Tiktoken;
use super::{Kind, Tokenizer, WithSettings, tekken, vocab_merges};

/// Larger than any vocabulary; keeps a wrong path from filling the memory.
pub(super) const LARGEST_MODEL_BYTES: u64 = 64 << 20;
const LARGEST_JSON_BYTES: u64 = 1 << 30;

impl Tokenizer {
    /// Loads the tokenizer of a model folder, or a tokenizer file itself. Of
    /// several files that one wins which LMDeploy v0.1.0 to v0.2.5 takes.
    ///
    /// # Errors
    /// Nothing is there, it is broken, or it is of a kind that is not read;
    /// the text says which file, and what works instead.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_as(path, None)
    }

    /// As [`Self::load`], for files that leave open how text is cut: `family` says
    /// it. Without it, what lies beside the file has to tell (`tokenizer_class` of
    /// `tokenizer_config.json`, `model_type` of `config.json`, `qwen.tiktoken`'s name).
    ///
    /// # Errors
    /// As [`Self::load`]; the family is not known and not told, or the file needs
    /// none, or is not of that family.
    pub fn load_as(path: &Path, family: Option<Family>) -> Result<Self> {
        Self::load_chosen(path, family).with_context(|| format!("tokenizer `{}`", path.display()))
    }

    fn load_chosen(path: &Path, family: Option<Family>) -> Result<Self> {
        let choice = choice::choose(path)?;
        let needs_family = matches!(choice, Choice::Ranks { .. } | Choice::VocabAndMerges { .. });
        if let (Some(family), false) = (family, needs_family) {
            bail!(
                "this tokenizer says itself how text is cut: leave out `--tokenizer-family {family}`"
            );
        }
        match choice {
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
            Choice::Ranks { file, folder } => {
                let family = family.map_or_else(|| family_of_ranks(&file, &folder), Ok)?;
                let settings = Settings::read(&folder)?;
                let loaded = read(&file, LARGEST_MODEL_BYTES)
                    .and_then(|bytes| Tiktoken::parse(&bytes, family, &settings));
                Ok(Self::of_tiktoken(in_file(&file, loaded)?, &name_of(&file)))
            }
            Choice::Tekken { file } => {
                let loaded =
                    read(&file, LARGEST_JSON_BYTES).and_then(|bytes| tekken::parse(&bytes));
                Ok(Self::of_tiktoken(in_file(&file, loaded)?, &name_of(&file)))
            }
            Choice::VocabAndMerges { folder } => {
                let family = family.map_or_else(|| family_of_merges(&folder), Ok)?;
                let settings = Settings::read(&folder)?;
                check_size(&folder.join("vocab.json"), LARGEST_JSON_BYTES)
                    .context("`vocab.json`")?;
                check_size(&folder.join("merges.txt"), LARGEST_JSON_BYTES)
                    .context("`merges.txt`")?;
                let model = vocab_merges::load(&folder, family, &settings)?;
                Self::of_huggingface(model, "vocab.json with merges.txt")
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

    fn of_tiktoken(model: Tiktoken, name: &str) -> Self {
        Self {
            kind: Kind::Tiktoken(Box::new(model)),
            name: name.to_owned(),
            adds_dummy_prefix: false,
        }
    }
}

fn family_of_ranks(file: &Path, folder: &Path) -> Result<Family> {
    if name_of(file) == "qwen.tiktoken" {
        return Ok(Family::Qwen);
    }
    Family::in_folder(folder, Family::has_ranks)?.with_context(|| {
        format!(
            "`{}`: a tiktoken vocabulary, which does not say how its model cuts text, and neither \
             does a `tokenizer_config.json` or `config.json` beside it: give `--tokenizer-family \
             qwen`, `llama-3` or `glm-4`, or take the `tokenizer.json` of the model's Hugging Face \
             folder",
            name_of(file)
        )
    })
}

fn family_of_merges(folder: &Path) -> Result<Family> {
    Family::in_folder(folder, Family::has_merges)?.context(
        "`vocab.json` and `merges.txt` do not say how their model cuts text, and neither does a \
         `tokenizer_class` in a `tokenizer_config.json` beside them: give `--tokenizer-family gpt-2` \
         or `qwen-2`, or write a `tokenizer.json` with \
         `AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)`",
    )
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

fn read(file: &Path, limit_bytes: u64) -> Result<Vec<u8>> {
    check_size(file, limit_bytes)?;
    fs::read(file).context("cannot be read")
}

fn load_sentencepiece(file: &Path) -> Result<SentencePiece> {
    SentencePiece::parse(&read(file, LARGEST_MODEL_BYTES)?)
}
