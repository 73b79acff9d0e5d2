//! A key, and how it is kept out of sight: out of what is printed, and out of what
//! a server says that echoes it. Knows no wire and no file.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// What stands where a key was.
const HIDDEN: &str = "***";
/// How a text ends that [`excerpt`](crate::excerpt) has cut, maybe within a key.
const CUT: &str = " ...";
/// The fewest letters at such an end that are taken for a key's begin.
const CUT_LETTERS: usize = 4;
/// Below that many bytes a key may be a part of ordinary words: it is looked for
/// as a word of its own.
const WORD_BYTES: usize = 8;
/// Below that many bytes a key may be an ordinary word (`EMPTY` is a usual one).
/// An answer's text, whose tokens are counted, is not changed for it.
const TEXT_BYTES: usize = 12;

/// A key. Is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The key itself, for the wire.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `words` without the key, however it is written there: as it is, or as
    /// JSON, HTML or an address escape it; and without its begin where the words
    /// were cut within it.
    #[must_use]
    pub fn hide(&self, words: &str) -> String {
        let mut words = words.to_owned();
        if self.0.is_empty() {
            return words;
        }
        for form in self.forms() {
            if words.contains(&form) {
                words = without(&words, &form);
            }
            words = without_begin(words, &form);
        }
        words
    }

    /// Overwrites the key in a text whose length has to stay as it is.
    pub fn mask(&self, text: &mut String) {
        if self.0.len() >= TEXT_BYTES && text.contains(&self.0) {
            *text = text.replace(&self.0, &"*".repeat(self.0.len()));
        }
    }

    /// The ways in which a server may write it, each once.
    fn forms(&self) -> Vec<String> {
        let key = self.0.as_str();
        let json = key.replace('\\', "\\\\").replace('"', "\\\"");
        let html = key
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;");
        let mut forms = vec![key.to_owned(), json, html, percent_encoded(key)];
        let mut known = Vec::new();
        forms.retain(|form| {
            let new = !known.contains(form);
            known.push(form.clone());
            new
        });
        forms
    }
}

fn percent_encoded(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn without(words: &str, key: &str) -> String {
    if key.len() >= WORD_BYTES {
        return words.replace(key, HIDDEN);
    }
    let mut out = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(at) = rest.find(key) {
        let (before, behind) = (&rest[..at], &rest[at + key.len()..]);
        let inside = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        let before_all = out.chars().next_back();
        out.push_str(before);
        let word =
            !inside(before.chars().next_back().or(before_all)) && !inside(behind.chars().next());
        out.push_str(if word { HIDDEN } else { key });
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Takes the key's begin away in front of each cut.
fn without_begin(mut words: String, key: &str) -> String {
    let mut from = 0;
    while let Some(found) = words[from..].find(CUT) {
        let cut = from + found;
        let begins = (CUT_LETTERS..key.len()).rev();
        let begin = begins
            .filter(|&len| key.is_char_boundary(len))
            .find(|&len| words[..cut].ends_with(&key[..len]));
        from = cut + CUT.len();
        if let Some(len) = begin {
            words.replace_range(cut - len..cut, HIDDEN);
            from = from - len + HIDDEN.len();
        }
    }
    words
}

impl From<String> for Secret {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(key: &str) -> Result<Self, Infallible> {
        Ok(Self(key.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::Secret;
    use crate::excerpt;

    fn secret(key: &str) -> Secret {
        Secret::from(key.to_owned())
    }

    #[test]
    fn a_key_is_hidden_however_it_is_written() {
        let key = secret("sk-a\"b&c/42");
        for (words, expected) in [
            ("no key here", "no key here"),
            ("bad key sk-a\"b&c/42!", "bad key ***!"),
            ("two: sk-a\"b&c/42sk-a\"b&c/42", "two: ******"),
            (r#"{"key":"sk-a\"b&c/42"}"#, r#"{"key":"***"}"#),
            ("<b>sk-a&quot;b&amp;c/42</b>", "<b>***</b>"),
            ("GET /?k=sk-a%22b%26c%2F42", "GET /?k=***"),
        ] {
            assert_eq!(key.hide(words), expected);
        }
        assert_eq!(format!("{key:?}"), "***");
    }

    #[test]
    fn a_short_key_is_hidden_as_a_word() {
        for (key, words, expected) in [
            ("EMPTY", "key EMPTY, not EMPTYING", "key ***, not EMPTYING"),
            ("1", "HTTP 401: bad key 1", "HTTP 401: bad key ***"),
            ("aa", "aaaa aa", "aaaa ***"),
            ("", "nothing", "nothing"),
        ] {
            assert_eq!(secret(key).hide(words), expected);
        }
    }

    #[test]
    fn the_begin_of_a_key_that_was_cut_is_hidden() {
        let key = secret("sk-0123456789");
        assert_eq!(key.hide("bad sk-01234 ...; cure"), "bad *** ...; cure");
        assert_eq!(key.hide("a ... sk-0 ..."), "a ... *** ...");
        assert_eq!(key.hide("asks ... sk ..."), "asks ... sk ...");
    }

    #[test]
    fn a_text_keeps_its_length() {
        let mut text = "é sk-0123456789 é".to_owned();
        let length = text.len();
        secret("sk-0123456789").mask(&mut text);
        assert_eq!((text.as_str(), text.len()), ("é ************* é", length));
        let mut text = "EMPTY words".to_owned();
        secret("EMPTY").mask(&mut text);
        assert_eq!(text, "EMPTY words");
    }

    proptest! {
        #[test]
        fn no_excerpt_shows_more_than_a_few_letters(
            before in "[ a-z]{0,320}",
            key in "[A-Z0-9]{20,40}",
            behind in "[ a-z]{0,20}",
        ) {
            let said = excerpt(&format!("{before}{key}{behind}"));
            let shown = secret(&key).hide(&said);
            prop_assert!(!shown.contains(&key[..4]), "{shown}");
        }
    }
}
