//! A tokenizer made of ranks: tiktoken files of several families, and tekken.
//!
//! Knows what stands around the ranks: special tokens in text, normal form C,
//! what is put in front of a served text. It refuses to know how ranks merge.

use std::borrow::Cow;
use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use tokenizers::NormalizedString;

use super::family::Family;
use super::ranks::{self, Ranks};
use super::settings::{Segment, Settings, SpecialTexts};

/// Ranks with all that the family's own class does around them.
pub(super) struct Tiktoken {
    pub(super) ranks: Ranks,
    /// Added to a rank to make it an id.
    pub(super) first_id: u32,
    pub(super) specials: SpecialTexts,
    pub(super) normalizes: bool,
    /// Put before a served text.
    pub(super) in_front: Option<u32>,
    pub(super) bos_id: Option<u32>,
    pub(super) eos_id: Option<u32>,
    /// Number of ids, special ones included.
    pub(super) vocabulary_len: usize,
    /// How people call it.
    pub(super) kind: String,
}

impl Tiktoken {
    /// Reads the bytes of a `*.tiktoken` or base64 `tokenizer.model`. Special tokens
    /// are the family's; where the settings give ids, GLM-4's are those of the
    /// settings, and Llama 3's take names from there (3.1 renamed some of 3.0's
    /// reserved tokens).
    ///
    /// # Errors
    /// The bytes are no such file, or not that family's.
    pub(super) fn parse(bytes: &[u8], family: Family, settings: &Settings) -> Result<Self> {
        let pattern = family.pattern()?;
        let tokens = ranks::parse_file(bytes)?;
        family.check_ranks(tokens.len())?;
        let base = u32::try_from(tokens.len()).context("more than 2^32 ranks")?;
        let mut specials: Vec<(String, u32)> =
            family.special_tokens().into_iter().zip(base..).collect();
        let written = settings.special_tokens.iter();
        let written: Vec<(String, u32)> = written
            .filter_map(|(text, id)| Some((text.clone(), (*id)?)))
            .collect();
        match family {
            Family::Glm4 if !written.is_empty() => specials = written,
            // Later models of the family gave ids of reserved tokens other names.
            Family::Llama3 => {
                let texts: HashSet<&str> = written.iter().map(|(text, _)| text.as_str()).collect();
                let ids: HashSet<u32> = written.iter().map(|&(_, id)| id).collect();
                specials.retain(|(text, id)| !texts.contains(text.as_str()) && !ids.contains(id));
                specials.extend(written);
            }
            _ => {}
        }
        for (text, id) in &specials {
            ensure!(
                *id >= base,
                "the special token {text} has the id {id} of a rank; is the vocabulary another \
                 family's? give `--tokenizer-family`"
            );
        }
        let id_of = |text: &str| {
            specials
                .iter()
                .find(|(special, _)| special == text)
                .map(|&(_, id)| id)
        };
        let begin = family.bos_token().and_then(id_of);
        let named = |token: &Option<String>| token.as_deref().and_then(id_of);
        let highest = specials.iter().map(|&(_, id)| id).max().unwrap_or(base);
        Ok(Self {
            ranks: Ranks::new(tokens, pattern)?,
            first_id: 0,
            normalizes: family.normalizes(),
            in_front: begin,
            bos_id: named(&settings.bos_token).or(begin),
            eos_id: named(&settings.eos_token).or(id_of(family.eos_token())),
            vocabulary_len: highest as usize + 1,
            kind: format!("{family} tiktoken"),
            specials: SpecialTexts::new(specials),
        })
    }

    /// The ids of `text`; names of special tokens in it are special tokens, nothing
    /// is inserted.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let normalized = if self.normalizes {
            normal_form_c(text)
        } else {
            Cow::Borrowed(text)
        };
        let mut ids = Vec::new();
        for segment in self.specials.split(&normalized) {
            match segment {
                Segment::Special(id) => ids.push(id),
                Segment::Text(text) => {
                    let before = ids.len();
                    self.ranks.encode_into(text, &mut ids);
                    for id in &mut ids[before..] {
                        *id += self.first_id;
                    }
                }
            }
        }
        ids
    }

    /// The bytes that `id` stands for, appended to `bytes`; nothing for special
    /// tokens and for ids that do not exist.
    pub(super) fn decode_into(&self, id: u32, bytes: &mut Vec<u8>) {
        let rank = id.checked_sub(self.first_id);
        bytes.extend_from_slice(
            rank.and_then(|rank| self.ranks.token(rank))
                .unwrap_or_default(),
        );
    }
}

/// Unicode's normal form C, by the code that `tokenizer.json` files use too.
pub(super) fn normal_form_c(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_settled) {
        return Cow::Borrowed(text);
    }
    let mut normalized = NormalizedString::from(text);
    normalized.nfc();
    Cow::Owned(normalized.get().to_owned())
}

/// Whether a character is its own normal form, does not join the one before it and
/// is never put in another order (`NFC_Quick_Check=Yes`, combining class 0). Not
/// all such characters: ranges that hold most texts.
fn is_settled(character: char) -> bool {
    matches!(character,
        '\0'..='\u{2FF}'
        | '\u{400}'..='\u{482}'
        | '\u{2002}'..='\u{20CF}'
        | '\u{3000}'..='\u{3029}'
        | '\u{30A0}'..='\u{30FF}'
        | '\u{3400}'..='\u{9FFF}'
        | '\u{AC00}'..='\u{D7A3}'
        | '\u{FF00}'..='\u{FFEF}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slowly(text: &str) -> String {
        let mut normalized = NormalizedString::from(text);
        normalized.nfc();
        normalized.get().to_owned()
    }

    #[test]
    fn settled_characters_are_their_own_normal_form() {
        let settled: String = ('\0'..='\u{FFFF}').filter(|&one| is_settled(one)).collect();
        assert!(settled.chars().count() > 30_000);
        assert_eq!(slowly(&settled), settled);
        // None joins or passes one before it.
        for one in settled.chars() {
            for before in ["a", "\u{1100}", "\u{AC00}", "\u{3B1}", "a\u{301}"] {
                let both = format!("{before}{one}");
                assert_eq!(slowly(&both), format!("{}{one}", slowly(before)), "{one:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_shortcut_changes_nothing(text in "[\0-\u{20FF}\u{3000}-\u{30FF}\u{1100}-\u{11FF}가-힣<>]{0,12}") {
            prop_assert_eq!(normal_form_c(&text), slowly(&text));
        }
    }
}
