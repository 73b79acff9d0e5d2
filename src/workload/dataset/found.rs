//! What a record gives, in whatever format it is written.
//!
//! Knows prompts, answers and JSON strings. It refuses to know fields.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::loose::Seen;

#[derive(Debug)]
pub(super) struct FoundPair<'a> {
    pub(super) prompt: Text<'a>,
    pub(super) answer: FoundAnswer<'a>,
    pub(super) stated_tokens: Option<u32>,
}

/// A JSON string, quotes included, as it stands in the file or made anew.
pub(super) type Text<'a> = Cow<'a, str>;

#[derive(Debug)]
pub(super) enum FoundAnswer<'a> {
    Text(Text<'a>),
    Tokens(u32),
    Unknown,
}

pub(super) fn wanted_or<T>(seen: Seen<T>, complaint: impl Fn(&str) -> String) -> Result<T, String> {
    match seen {
        Seen::Wanted(value) => Ok(value),
        Seen::Other(kind) => Err(complaint(kind)),
    }
}

pub(super) fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]).into(),
        None => text.into(),
    }
}

/// Takes a string as it stands, if it is one and all of it can be read: half of a
/// UTF-16 pair is no character.
pub(super) fn string<'a>(value: &'a RawValue, what: &str) -> Result<Text<'a>, String> {
    let text = value.get();
    let kind = match text.as_bytes() {
        [b'"', ..] => {
            if memchr::memmem::find(text.as_bytes(), b"\\u").is_some()
                && serde_json::from_str::<String>(text).is_err()
            {
                return Err(format!(
                    "{what} holds half of a UTF-16 pair (such as \\ud83d alone), which is no \
                     character and cannot be tokenised; repair or drop the record"
                ));
            }
            return Ok(Cow::Borrowed(text));
        }
        [b'[', ..] => "a list",
        [b'{', ..] => "an object",
        [b't' | b'f', ..] => "true or false",
        [b'n', ..] => "null",
        _ => "a number",
    };
    Err(format!("{what} is {kind}, not a string"))
}
