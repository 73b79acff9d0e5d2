//! The texts that prompts are taken from.
//!
//! Knows datasets: their formats, and where in the bytes of a file each prompt and
//! answer stands. How files are opened is `source`'s, how they are walked through
//! `walk`'s, what a record means `record`'s. It refuses to choose: every record
//! with a prompt becomes a pair, in file order; of ShareGPT every record with two
//! turns or more.

mod bytes;
mod found;
mod loose;
mod messages;
mod pieces;
mod record;
mod source;
mod stream;
mod walk;
mod zstd;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

use bytes::Bytes;

/// What a dataset is written in, or made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatasetFormat {
    /// Records `{"conversations": [{"value": text}, ...]}`; prompt and answer are
    /// the first two turns.
    ShareGpt,
    /// Records `{"messages": [{"role": .., "content": ..}, ...]}`; the prompt is the
    /// first message of the user, the answer the assistant's next one.
    OpenAi,
    /// Records `{"prompt": text, "output_tokens": number}`, or only a text.
    JsonlPrompts,
    /// No file: prompts made of words of the tokenizer's vocabulary.
    Random,
}

const FORMATS: [(DatasetFormat, &str); 4] = [
    (DatasetFormat::ShareGpt, "sharegpt"),
    (DatasetFormat::OpenAi, "openai"),
    (DatasetFormat::JsonlPrompts, "jsonl-prompts"),
    (DatasetFormat::Random, "random"),
];

impl FromStr for DatasetFormat {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        for (format, known) in FORMATS {
            if name == known {
                return Ok(format);
            }
        }
        bail!(
            "no dataset format `{name}`; there is `sharegpt`, `openai`, `jsonl-prompts` and \
             `random`"
        )
    }
}

impl fmt::Display for DatasetFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = FORMATS.iter().find(|(format, _)| format == self);
        formatter.write_str(named.map_or("", |(_, name)| name))
    }
}

/// A prompt and what is known of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair<'a> {
    /// What the human asked.
    pub prompt: Cow<'a, str>,
    /// What was answered.
    pub answer: Answer<'a>,
}

/// What a dataset says of the answer to a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The answer itself: its length in tokens becomes the requested length.
    Text(Cow<'a, str>),
    /// The length to ask for, in tokens.
    Tokens(u32),
    /// Nothing.
    Unknown,
}

/// All pairs of a file. Texts stay where they are, in the mapped file or in one
/// buffer, as the JSON strings they were written as, and are made when asked for.
#[derive(Debug)]
pub struct Dataset {
    name: String,
    format: DatasetFormat,
    records: u64,
    bytes: Bytes,
    /// Strings that stand nowhere in `bytes`; their places go on after its end.
    made: Vec<u8>,
    entries: Vec<Entry>,
}

/// Where a JSON string stands, quotes included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    record: u64,
    prompt: Span,
    answer: AnswerSpan,
    /// `prompt_tokens` of an exported line.
    stated_tokens: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AnswerSpan {
    Text(Span),
    Tokens(u32),
    Unknown,
}

impl Dataset {
    /// The format that was given or found.
    pub fn format(&self) -> DatasetFormat {
        self.format
    }

    /// Records in the file, those without a pair included.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Pair `place`, from 0, in file order.
    ///
    /// # Errors
    /// There is no such pair, or the file was changed since it was read.
    pub fn pair(&self, place: usize) -> Result<Pair<'_>> {
        let answer = match self.entry(place)?.answer {
            AnswerSpan::Text(span) => Answer::Text(self.text(span)?),
            AnswerSpan::Tokens(tokens) => Answer::Tokens(tokens),
            AnswerSpan::Unknown => Answer::Unknown,
        };
        Ok(Pair {
            prompt: self.prompt(place)?,
            answer,
        })
    }

    /// The prompt of pair `place`.
    ///
    /// # Errors
    /// As [`Self::pair`].
    pub fn prompt(&self, place: usize) -> Result<Cow<'_, str>> {
        self.text(self.entry(place)?.prompt)
    }

    /// The `prompt_tokens` that an exported line states.
    pub(super) fn stated_tokens(&self, place: usize) -> Option<u32> {
        self.entries.get(place)?.stated_tokens
    }

    /// How errors call the dataset.
    pub(super) fn name(&self) -> String {
        format!("dataset `{}`", self.name)
    }

    /// How errors call pair `place`: the dataset and its record.
    pub(super) fn place_name(&self, place: usize) -> String {
        let record = self.entries.get(place).map_or(0, |entry| entry.record);
        format!("dataset `{}`: record {record} (the first is 0)", self.name)
    }

    fn entry(&self, place: usize) -> Result<&Entry> {
        self.entries
            .get(place)
            .with_context(|| format!("there is no pair {place}"))
    }

    fn text(&self, span: Span) -> Result<Cow<'_, str>> {
        let bytes = self.bytes.get();
        let raw = match span.start.checked_sub(bytes.len()) {
            None => bytes.get(span.start..span.start + span.len),
            Some(start) => self.made.get(start..start + span.len),
        };
        raw.and_then(written_text)
            .with_context(|| format!("dataset `{}`: it was changed while it was read", self.name))
    }
}

/// The text of a JSON string, borrowed where it holds no escapes.
fn written_text(raw: &[u8]) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr::memchr(b'\\', inside).is_none() {
        return std::str::from_utf8(inside).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice(raw).ok().map(Cow::Owned)
}

/// What was read, before it has a name.
struct Read {
    format: DatasetFormat,
    records: u64,
    bytes: Bytes,
    made: Vec<u8>,
    entries: Vec<Entry>,
}

impl Read {
    fn named(self, name: &str) -> Result<Dataset> {
        ensure!(
            u32::try_from(self.entries.len()).is_ok(),
            "dataset `{name}`: more than 2^32 pairs"
        );
        Ok(Dataset {
            name: name.to_owned(),
            format: self.format,
            records: self.records,
            bytes: self.bytes,
            made: self.made,
            entries: self.entries,
        })
    }
}

/// Reads a dataset: a JSON list of records, or one record a line, plain or
/// compressed with gzip or zstd. `-` is standard input. Without a `format` the
/// first record's fields say which it is.
///
/// A regular file is mapped into memory and read on all cores; anything else, such
/// as a pipe or an archive, is read as a stream, of which the pairs are kept.
///
/// # Errors
/// No such file, nothing in it, no JSON, or JSON of another shape. The text names
/// the file, the record and the line.
pub fn read_dataset(path: &Path, format: Option<DatasetFormat>) -> Result<Dataset> {
    ensure!(
        format != Some(DatasetFormat::Random),
        "--dataset-format random reads no file; leave the dataset out"
    );
    let name = if source::is_standard_input(path) {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    source::read(path, format)
        .with_context(|| format!("dataset `{name}`"))?
        .named(&name)
}

/// Reads the same from memory; `name` is what errors call it.
///
/// # Errors
/// As [`read_dataset`].
pub fn read_dataset_bytes(
    bytes: impl Into<Cow<'static, [u8]>>,
    format: Option<DatasetFormat>,
    name: &str,
) -> Result<Dataset> {
    source::read_bytes(Bytes::Memory(bytes.into()), format)
        .with_context(|| format!("dataset `{name}`"))?
        .named(name)
}

#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod tests;
