//! What one record says.
//!
//! Knows the fields of each format, and keeps of a record where its prompt and
//! its answer stand, and nothing else. It refuses what LMDeploy's script would
//! stumble over; what the script never looks at is skipped.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::DatasetFormat;
use super::found::{FoundAnswer, FoundPair, Text, short, string, wanted_or};
use super::loose::{Loose, Seen, Shape};
use super::messages::{Messages, MessagesShape};

/// What a record gives: its format, and a pair if it has one.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) format: DatasetFormat,
    pub(super) pair: Option<FoundPair<'a>>,
}

/// Reads one record, of `format` if that is known.
pub(super) struct RecordShape {
    pub(super) format: Option<DatasetFormat>,
}

const SHAPES: &str = "a dataset has records {\"conversations\": [{\"value\": text}, ...]} \
    (sharegpt), {\"messages\": [{\"role\": \"user\", \"content\": text}, ...]} (openai) or \
    {\"prompt\": text, \"output_tokens\": number} (jsonl-prompts)";

#[derive(Deserialize, Clone, Copy)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Conversations,
    Messages,
    Prompt,
    OutputTokens,
    OutputLen,
    MaxTokens,
    Completion,
    Answer,
    Output,
    PromptTokens,
    #[serde(other)]
    Other,
}

/// The fields that matter; of a field given twice the last counts, as in Python.
#[derive(Default)]
struct Fields<'a> {
    conversations: Option<Seen<Turns<'a>>>,
    messages: Option<Seen<Messages<'a>>>,
    prompt: Option<&'a RawValue>,
    /// Under each of the names that are taken, the most telling first.
    output_tokens: [Option<&'a RawValue>; 3],
    answer: [Option<&'a RawValue>; 3],
    prompt_tokens: Option<&'a RawValue>,
}

impl<'de> Shape<'de> for RecordShape {
    type Value = Found<'de>;

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Seen<Self::Value>, A::Error> {
        use DatasetFormat::{JsonlPrompts, OpenAi, ShareGpt};
        let wanted = |format| self.format.is_none_or(|known| known == format);
        let mut fields = Fields::default();
        while let Some(key) = object.next_key::<Key>()? {
            match key {
                Key::Conversations if wanted(ShareGpt) => {
                    fields.conversations = Some(object.next_value_seed(Loose::new(TurnsShape))?);
                }
                Key::Messages if wanted(OpenAi) => {
                    fields.messages = Some(object.next_value_seed(Loose::new(MessagesShape))?);
                }
                Key::Prompt if wanted(JsonlPrompts) => fields.prompt = object.next_value()?,
                Key::OutputTokens if wanted(JsonlPrompts) => {
                    fields.output_tokens[0] = object.next_value()?;
                }
                Key::OutputLen if wanted(JsonlPrompts) => {
                    fields.output_tokens[1] = object.next_value()?;
                }
                Key::MaxTokens if wanted(JsonlPrompts) => {
                    fields.output_tokens[2] = object.next_value()?;
                }
                Key::Completion if wanted(JsonlPrompts) => {
                    fields.answer[0] = object.next_value()?;
                }
                Key::Answer if wanted(JsonlPrompts) => fields.answer[1] = object.next_value()?,
                Key::Output if wanted(JsonlPrompts) => fields.answer[2] = object.next_value()?,
                Key::PromptTokens if wanted(JsonlPrompts) => {
                    fields.prompt_tokens = object.next_value()?;
                }
                _ => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        // Judged here, where the error still gets the line of this record.
        fields
            .into_found(self.format)
            .map(Seen::Wanted)
            .map_err(Error::custom)
    }
}

impl<'a> Fields<'a> {
    fn into_found(self, format: Option<DatasetFormat>) -> Result<Found<'a>, String> {
        if let Some(turns) = self.conversations {
            let turns = wanted_or(turns, |kind| {
                format!("its `conversations` is {kind}, not a list")
            })?;
            return Ok(Found {
                format: DatasetFormat::ShareGpt,
                pair: turns.into_pair()?,
            });
        }
        if let Some(messages) = self.messages {
            let messages = wanted_or(messages, |kind| {
                format!("its `messages` is {kind}, not a list")
            })?;
            return Ok(Found {
                format: DatasetFormat::OpenAi,
                pair: messages.into_pair()?,
            });
        }
        let Some(prompt) = self.prompt else {
            return Err(match format {
                Some(DatasetFormat::ShareGpt) => format!("it has no `conversations`; {SHAPES}"),
                Some(DatasetFormat::OpenAi) => format!("it has no `messages`; {SHAPES}"),
                Some(_) => format!("it has no `prompt`; {SHAPES}"),
                None => {
                    format!("it has no `conversations`, no `messages` and no `prompt`; {SHAPES}")
                }
            });
        };
        let first = |names: [Option<&'a RawValue>; 3]| names.into_iter().flatten().next();
        let answer = match (first(self.output_tokens), first(self.answer)) {
            (Some(number), _) => FoundAnswer::Tokens(tokens(number, "requested length")?),
            (None, Some(text)) => FoundAnswer::Text(string(text, "its answer")?),
            (None, None) => FoundAnswer::Unknown,
        };
        let stated = self.prompt_tokens;
        Ok(Found {
            format: DatasetFormat::JsonlPrompts,
            pair: Some(FoundPair {
                prompt: string(prompt, "its `prompt`")?,
                answer,
                // Of other makers it may be anything: only a number is compared.
                stated_tokens: stated.and_then(|number| number.get().parse().ok()),
            }),
        })
    }
}

/// A requested length.
fn tokens(number: &RawValue, what: &str) -> Result<u32, String> {
    let text = number.get();
    match text.parse() {
        Ok(0) => Err(format!("its {what} is 0; it must be 1 or more")),
        Ok(tokens) => Ok(tokens),
        Err(_) => Err(format!(
            "its {what} is {}, not a whole number from 1 to 4294967295",
            short(text)
        )),
    }
}

/// The first two turns of a list of turns.
struct Turns<'a> {
    prompt: Option<Seen<Turn<'a>>>,
    answer: Option<Seen<Turn<'a>>>,
}

impl<'a> Turns<'a> {
    fn into_pair(self) -> Result<Option<FoundPair<'a>>, String> {
        let (Some(prompt), Some(answer)) = (self.prompt, self.answer) else {
            return Ok(None);
        };
        Ok(Some(FoundPair {
            prompt: text_of(&prompt, 0)?,
            answer: FoundAnswer::Text(text_of(&answer, 1)?),
            stated_tokens: None,
        }))
    }
}

fn text_of<'a>(turn: &Seen<Turn<'a>>, number: u32) -> Result<Text<'a>, String> {
    match turn {
        Seen::Wanted(Turn { value: Some(value) }) => {
            string(value, &format!("the `value` of turn {number}"))
        }
        Seen::Wanted(Turn { value: None }) => Err(format!("turn {number} has no `value`")),
        Seen::Other(kind) => Err(format!("turn {number} is {kind}, not an object")),
    }
}

struct TurnsShape;

impl<'de> Shape<'de> for TurnsShape {
    type Value = Turns<'de>;

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Seen<Turns<'de>>, A::Error> {
        let prompt = list.next_element_seed(Loose::new(TurnShape))?;
        let answer = match prompt {
            Some(_) => list.next_element_seed(Loose::new(TurnShape))?,
            None => None,
        };
        if answer.is_some() {
            while list.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(Seen::Wanted(Turns { prompt, answer }))
    }
}

/// One turn of a conversation.
struct Turn<'a> {
    /// The last of several, as in Python.
    value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum TurnKey {
    Value,
    #[serde(other)]
    Other,
}

struct TurnShape;

impl<'de> Shape<'de> for TurnShape {
    type Value = Turn<'de>;

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Seen<Turn<'de>>, A::Error> {
        let mut turn = Turn { value: None };
        while let Some(key) = object.next_key()? {
            match key {
                TurnKey::Value => turn.value = Some(object.next_value()?),
                TurnKey::Other => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Seen::Wanted(turn))
    }
}

/// Reads one JSON value at the beginning of `bytes`; gives what it says and where
/// it ends.
pub(super) fn read(
    bytes: &[u8],
    format: Option<DatasetFormat>,
) -> Result<(Found<'_>, usize), RecordError> {
    // A bare string is a prompt.
    if bytes.first() == Some(&b'"')
        && format.is_none_or(|format| format == DatasetFormat::JsonlPrompts)
    {
        return read_bare(bytes);
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let seen = Loose::new(RecordShape { format })
        .deserialize(&mut json)
        .map_err(RecordError::Json)?;
    let end = json.into_iter::<IgnoredAny>().byte_offset();
    match seen {
        Seen::Wanted(found) => Ok((found, end)),
        Seen::Other(kind) => Err(RecordError::Shape(format!(
            "it is {kind}, not an object; {SHAPES}"
        ))),
    }
}

fn read_bare(bytes: &[u8]) -> Result<(Found<'_>, usize), RecordError> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>();
    let value = match values.next() {
        Some(Ok(value)) => value,
        Some(Err(error)) => return Err(RecordError::Json(error)),
        None => return Err(RecordError::Shape("there is nothing".to_owned())),
    };
    let pair = FoundPair {
        prompt: string(value, "its prompt").map_err(RecordError::Shape)?,
        answer: FoundAnswer::Unknown,
        stated_tokens: None,
    };
    let found = Found {
        format: DatasetFormat::JsonlPrompts,
        pair: Some(pair),
    };
    Ok((found, values.byte_offset()))
}

/// Why a record could not be read.
pub(super) enum RecordError {
    Json(serde_json::Error),
    Shape(String),
}
