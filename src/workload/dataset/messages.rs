//! OpenAI's chat messages.
//!
//! Knows roles and contents: the prompt is the first message of the user, the
//! answer the assistant's next one; a system's message before it is left out, as
//! ShareGPT has none. It refuses whatever is not text, such as images.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::found::{FoundAnswer, FoundPair, Text, short, string, wanted_or};
use super::loose::{Loose, Seen, Shape};

/// The first user message and the assistant's next one.
#[derive(Default)]
pub(super) struct Messages<'a> {
    prompt: Option<(u32, Option<&'a RawValue>)>,
    answer: Option<(u32, Option<&'a RawValue>)>,
}

impl<'a> Messages<'a> {
    /// The pair, nothing without a user's message, or what is wrong.
    pub(super) fn into_pair(self) -> Result<Option<FoundPair<'a>>, String> {
        let Some((number, prompt)) = self.prompt else {
            return Ok(None);
        };
        let answer = match self.answer {
            // An answer that only calls a tool has no text to be counted.
            None | Some((_, None)) => FoundAnswer::Unknown,
            Some((_, Some(null))) if null.get() == "null" => FoundAnswer::Unknown,
            Some((number, Some(content))) => FoundAnswer::Text(content_text(content, number)?),
        };
        let Some(prompt) = prompt else {
            return Err(format!("message {number} has no `content`"));
        };
        Ok(Some(FoundPair {
            prompt: content_text(prompt, number)?,
            answer,
            stated_tokens: None,
        }))
    }
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    text: Option<String>,
}

/// A content as a JSON string: it is one, or a list of parts of text, joined.
fn content_text(content: &RawValue, number: u32) -> Result<Text<'_>, String> {
    let what = format!("the `content` of message {number}");
    if !content.get().starts_with('[') {
        return string(content, &what);
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(content.get())
        .map_err(|error| format!("{what} is not a list of parts {{\"type\": ..}}: {error}"))?;
    let mut joined = String::new();
    for part in parts {
        match (&*part.kind, part.text) {
            ("text", Some(text)) => joined.push_str(&text),
            ("text", None) => return Err(format!("{what} has a part without `text`")),
            (kind, _) => {
                return Err(format!(
                    "{what} has a part of type `{}`; only text is benchmarked, so leave such \
                     records out",
                    short(kind)
                ));
            }
        }
    }
    let written = serde_json::to_string(&joined).map_err(|error| format!("{what}: {error}"))?;
    Ok(Cow::Owned(written))
}

pub(super) struct MessagesShape;

impl<'de> Shape<'de> for MessagesShape {
    type Value = Messages<'de>;

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Seen<Messages<'de>>, A::Error> {
        let mut messages = Messages::default();
        let mut number = 0;
        while messages.answer.is_none() {
            let Some(message) = list.next_element_seed(Loose::new(MessageShape))? else {
                return Ok(Seen::Wanted(messages));
            };
            let message = wanted_or(message, |kind| {
                format!("message {number} is {kind}, not an object")
            })
            .map_err(Error::custom)?;
            match message.role.as_deref() {
                None => return Err(Error::custom(format!("message {number} has no `role`"))),
                Some("user") if messages.prompt.is_none() => {
                    messages.prompt = Some((number, message.content));
                }
                Some("assistant") if messages.prompt.is_some() => {
                    messages.answer = Some((number, message.content));
                }
                Some(_) => {}
            }
            number += 1;
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Seen::Wanted(messages))
    }
}

#[derive(Default)]
struct Message<'a> {
    role: Option<String>,
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum MessageKey {
    Role,
    Content,
    #[serde(other)]
    Other,
}

struct MessageShape;

impl<'de> Shape<'de> for MessageShape {
    type Value = Message<'de>;

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Seen<Message<'de>>, A::Error> {
        let mut message = Message::default();
        while let Some(key) = object.next_key()? {
            match key {
                MessageKey::Role => {
                    let role: &RawValue = object.next_value()?;
                    message.role = serde_json::from_str(role.get()).ok();
                }
                MessageKey::Content => message.content = Some(object.next_value()?),
                MessageKey::Other => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Seen::Wanted(message))
    }
}
