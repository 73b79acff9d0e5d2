//! How text is cut into stretches that are encoded one by one.
//!
//! Knows the split patterns that are followed, as their families publish them,
//! and cuts by them in linear time. It refuses every other pattern: the way in
//! which white space is given back holds for these.

use anyhow::{Context, Result};
use regex::{Regex, RegexBuilder};

/// A published split pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Pattern {
    /// Qwen-1's: every digit by itself.
    OneDigit,
    /// Llama 3's, and GLM-4's: up to three digits together.
    ThreeDigits,
    /// Tekken's: words end where the case changes.
    ByCase,
}

/// How all of them end: the last white space before a word belongs to the word.
const LOOKING_AHEAD: &str = r"|\s+(?!\S)|\s+";

/// Room for the states that a regex builds as it meets characters, for each thread.
/// The usual 2 MB are thrown away again and again by texts of many scripts.
const LAZY_DFA_BYTES: usize = 16 << 20;

impl Pattern {
    /// The pattern as it is published, look-ahead included.
    pub(in super::super) fn text(self) -> &'static str {
        match self {
            Self::OneDigit => {
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            }
            Self::ThreeDigits => {
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            }
            Self::ByCase => {
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            }
        }
    }

    /// The pattern that a file gives, if it is one that is followed.
    pub(in super::super) fn of(text: &str) -> Option<Self> {
        let known = [Self::OneDigit, Self::ThreeDigits, Self::ByCase];
        known.into_iter().find(|pattern| pattern.text() == text)
    }

    /// The pattern without its look-ahead, which crate regex does not have:
    /// [`split`] does that part.
    pub(super) fn regex(self) -> Result<Regex> {
        let start = self.text().strip_suffix(LOOKING_AHEAD);
        let start = start.context("the pattern does not end as it should")?;
        RegexBuilder::new(&format!(r"{start}|\s+"))
            .dfa_size_limit(LAZY_DFA_BYTES)
            .build()
            .context("the split pattern does not compile")
    }
}

/// Hands the stretches of `text` to `take`, in order; together they are the text.
pub(super) fn split<'a>(regex: &Regex, text: &'a str, mut take: impl FnMut(&'a str)) {
    let mut at = 0;
    while let Some(found) = regex.find_at(text, at) {
        // Every character matches some alternative, so nothing is passed over.
        let stretch = given_back(found.as_str(), found.end() == text.len());
        take(stretch);
        at = found.start() + stretch.len();
    }
}

/// What `\s+(?!\S)|\s+` matches of a run of white space: all of it at the end of
/// the text, else all but the last character, unless it is alone. Only this part of
/// the patterns matches text that ends in white space other than a line break.
fn given_back(matched: &str, is_end: bool) -> &str {
    let mut characters = matched.chars();
    match characters.next_back() {
        Some(last) if !is_end && last.is_whitespace() && !matches!(last, '\r' | '\n') => {
            let rest = characters.as_str();
            if rest.is_empty() { matched } else { rest }
        }
        _ => matched,
    }
}
