//! The shape of ShareGPT JSON, read as a stream.
//!
//! Knows records, turns and their `value`, and keeps the first two turns of each
//! record and nothing else. It refuses what LMDeploy's script would stumble over,
//! and says at which record; what the script never looks at is skipped.

use std::cell::Cell;

use anyhow::{Result, anyhow};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess};
use serde_json::error::Category;

use super::loose::{Loose, Seen, Shape};
use super::{Dataset, Pair};

const ONLY_SHAREGPT: &str = "today only ShareGPT JSON is read, a list of records \
    {\"conversations\": [{\"value\": text}, ...]}";

/// Reads one JSON value, which must be the list of records and end the input.
pub(super) fn read<'de, R: serde_json::de::Read<'de>>(
    mut json: serde_json::Deserializer<R>,
) -> Result<Dataset> {
    // Where the reading stands, for errors that serde_json makes itself.
    let record = Cell::new(None);
    let dataset = Loose::new(Records { record: &record })
        .deserialize(&mut json)
        .and_then(|dataset| json.end().map(|()| dataset))
        .map_err(|error| explain(&error, record.get()))?;
    match dataset {
        Seen::Wanted(dataset) => Ok(dataset),
        Seen::Other(kind) => Err(anyhow!("the top level is {kind}; {ONLY_SHAREGPT}")),
    }
}

fn explain(error: &serde_json::Error, record: Option<u64>) -> anyhow::Error {
    let (line, column) = (error.line(), error.column());
    let full = error.to_string();
    let text = full
        .strip_suffix(&format!(" at line {line} column {column}"))
        .unwrap_or(&full);
    let place = match record {
        Some(record) => format!("record {record} (the first is 0), line {line}, column {column}"),
        None => format!("line {line}, column {column}"),
    };
    match error.classify() {
        Category::Io => anyhow!("cannot be read: {error}"),
        Category::Data => anyhow!("{place}: {text}"),
        Category::Eof => anyhow!("{place}: not JSON: {text}; was the file cut off?"),
        Category::Syntax if text.contains("surrogate") || text.contains("hex escape") => anyhow!(
            "{place}: {text}: half of a UTF-16 pair is no character and cannot be tokenised; \
             repair or drop the record"
        ),
        Category::Syntax => anyhow!("{place}: not JSON: {text}"),
    }
}

/// The list of records.
struct Records<'a> {
    record: &'a Cell<Option<u64>>,
}

impl<'de> Shape<'de> for Records<'_> {
    type Value = Dataset;

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Seen<Dataset>, A::Error> {
        let mut dataset = Dataset::default();
        self.record.set(Some(0));
        while let Some(record) = list.next_element_seed(Loose::new(RecordShape))? {
            match record {
                Seen::Wanted(pair) => dataset.pairs.extend(pair),
                Seen::Other(kind) => {
                    let text = format!("it is {kind}, not an object; {ONLY_SHAREGPT}");
                    return Err(Error::custom(text));
                }
            }
            dataset.records += 1;
            self.record.set(Some(dataset.records));
        }
        self.record.set(None);
        Ok(Seen::Wanted(dataset))
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Seen<Dataset>, A::Error> {
        let mut has_record_fields = false;
        while let Some(key) = object.next_key::<RecordKey>()? {
            has_record_fields |= key != RecordKey::Other;
            object.next_value::<IgnoredAny>()?;
        }
        Err(Error::custom(if has_record_fields {
            format!(
                "the top level is one record, not a list: JSON Lines come with a later version; \
                 {ONLY_SHAREGPT}; `jq -s . FILE` makes a list of the lines"
            )
        } else {
            format!("the top level is an object, not a list (JSON Lines?); {ONLY_SHAREGPT}")
        }))
    }
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(field_identifier, rename_all = "lowercase")]
enum RecordKey {
    Conversations,
    /// `OpenAI`'s name for the same list, with other names inside.
    Messages,
    #[serde(other)]
    Other,
}

/// What of a record matters.
struct Record {
    /// The last of several, as in Python.
    conversations: Option<Seen<FirstTurns>>,
    has_messages: bool,
}

impl Record {
    /// The pair, nothing for fewer than two turns, or what is wrong.
    fn into_pair(self) -> Result<Option<Pair>, String> {
        match self.conversations {
            Some(Seen::Wanted(turns)) => turns.into_pair(),
            Some(Seen::Other(kind)) => Err(format!("its `conversations` is {kind}, not a list")),
            None if self.has_messages => Err(format!(
                "it has `messages` (OpenAI's format), which comes with a later version; \
                 {ONLY_SHAREGPT}"
            )),
            None => Err(format!("it has no `conversations`; {ONLY_SHAREGPT}")),
        }
    }
}

struct RecordShape;

impl<'de> Shape<'de> for RecordShape {
    type Value = Option<Pair>;

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Seen<Option<Pair>>, A::Error> {
        let mut record = Record {
            conversations: None,
            has_messages: false,
        };
        while let Some(key) = object.next_key::<RecordKey>()? {
            if key == RecordKey::Conversations {
                record.conversations = Some(object.next_value_seed(Loose::new(TurnsShape))?);
            } else {
                record.has_messages |= key == RecordKey::Messages;
                object.next_value::<IgnoredAny>()?;
            }
        }
        // Judged here, where the error still gets the line of this record.
        record.into_pair().map(Seen::Wanted).map_err(Error::custom)
    }
}

/// The first two turns of a list of turns.
struct FirstTurns {
    prompt: Option<Seen<Turn>>,
    answer: Option<Seen<Turn>>,
}

impl FirstTurns {
    fn into_pair(self) -> Result<Option<Pair>, String> {
        let (Some(prompt), Some(answer)) = (self.prompt, self.answer) else {
            return Ok(None);
        };
        Ok(Some(Pair {
            prompt: text_of(prompt, 0)?,
            answer: text_of(answer, 1)?,
        }))
    }
}

fn text_of(turn: Seen<Turn>, number: u32) -> Result<String, String> {
    match turn {
        Seen::Wanted(Turn {
            value: Some(Seen::Wanted(text)),
        }) => Ok(text),
        Seen::Wanted(Turn {
            value: Some(Seen::Other(kind)),
        }) => Err(format!(
            "the `value` of turn {number} is {kind}, not a string"
        )),
        Seen::Wanted(Turn { value: None }) => Err(format!("turn {number} has no `value`")),
        Seen::Other(kind) => Err(format!("turn {number} is {kind}, not an object")),
    }
}

struct TurnsShape;

impl<'de> Shape<'de> for TurnsShape {
    type Value = FirstTurns;

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Seen<FirstTurns>, A::Error> {
        let prompt = list.next_element_seed(Loose::new(TurnShape))?;
        let answer = match prompt {
            Some(_) => list.next_element_seed(Loose::new(TurnShape))?,
            None => None,
        };
        if answer.is_some() {
            while list.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(Seen::Wanted(FirstTurns { prompt, answer }))
    }
}

/// One turn of a conversation.
struct Turn {
    /// The last of several, as in Python.
    value: Option<Seen<String>>,
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
    type Value = Turn;

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Seen<Turn>, A::Error> {
        let mut turn = Turn { value: None };
        while let Some(key) = object.next_key()? {
            match key {
                TurnKey::Value => {
                    turn.value = Some(object.next_value_seed(Loose::new(TextShape))?);
                }
                TurnKey::Other => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Seen::Wanted(turn))
    }
}

struct TextShape;

impl Shape<'_> for TextShape {
    type Value = String;

    fn text<E: Error>(self, text: &str) -> Result<Seen<String>, E> {
        Ok(Seen::Wanted(text.to_owned()))
    }
}
