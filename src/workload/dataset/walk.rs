//! From record to record.
//!
//! Knows a JSON list and JSON lines, and where in them something is wrong. It
//! refuses to know what records say, and where the bytes come from.

use anyhow::anyhow;
use serde_json::error::Category;

use super::found::{FoundAnswer, FoundPair};
use super::record::{self, RecordError};
use super::{AnswerSpan, DatasetFormat, Entry, Span};

/// Most bytes of one record. The longest of ShareGPT has a few hundred thousand,
/// and every way of reading holds at most one record in memory.
pub(super) const LARGEST_RECORD_BYTES: usize = 64 << 20;

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) text: String,
    /// The record, counted from where the walk began.
    pub(super) record: Option<u64>,
    /// Where the bytes begin that `line` and `column` are counted in.
    pub(super) at: usize,
    /// From 1, as `column`.
    pub(super) line: usize,
    pub(super) column: usize,
    /// More bytes might cure it.
    pub(super) cut_off: bool,
}

impl Fault {
    /// The fault for people; `lines` end before `bytes` begin.
    pub(super) fn explain(self, bytes: &[u8], lines: u64) -> anyhow::Error {
        let before = bytes.get(..self.at).unwrap_or_default();
        let ended = memchr::memchr_iter(b'\n', before).count();
        let line = lines + (ended + self.line) as u64;
        let mut column = self.column;
        if self.line == 1 {
            let begun = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
            column += before.len() - begun;
        }
        match self.record {
            Some(record) => anyhow!(
                "record {record} (the first is 0), line {line}, column {column}: {}",
                self.text
            ),
            None => anyhow!("line {line}, column {column}: {}", self.text),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    List,
    Lines,
}

/// Walks through the records, whether of a list or of lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Walk {
    pub(super) format: Option<DatasetFormat>,
    layout: Option<Layout>,
    /// A record was read, so that the list goes on with a comma.
    pub(super) records: u64,
    begun: bool,
}

/// What a step came upon.
pub(super) enum Step<'a> {
    Record {
        pair: Option<FoundPair<'a>>,
        end: usize,
    },
    End,
}

impl Walk {
    pub(super) fn new(format: Option<DatasetFormat>) -> Self {
        Self {
            format,
            ..Self::default()
        }
    }

    /// Reads the next record from byte `from` on. A step that fails for want of
    /// bytes (`cut_off`) has changed nothing.
    pub(super) fn step<'a>(&mut self, bytes: &'a [u8], from: usize) -> Result<Step<'a>, Fault> {
        let mut at = after_space(bytes, from);
        let layout = match (self.layout, bytes.get(at)) {
            (Some(layout), _) => layout,
            (None, Some(b'[')) => {
                at = after_space(bytes, at + 1);
                Layout::List
            }
            (None, _) => Layout::Lines,
        };
        match (layout, bytes.get(at)) {
            (Layout::Lines, None) if self.begun => return Ok(Step::End),
            (Layout::Lines, None) => {
                return Err(self.fault(at, "there is nothing but white space", true));
            }
            (Layout::List, None) => {
                return Err(self.fault(
                    at,
                    "not JSON: the list has no end; was the file cut off?",
                    true,
                ));
            }
            (Layout::List, Some(b']')) => {
                let rest = after_space(bytes, at + 1);
                if rest < bytes.len() {
                    let mut fault = self.fault(rest, "not JSON: trailing characters", false);
                    fault.record = None;
                    return Err(fault);
                }
                return Ok(Step::End);
            }
            (Layout::List, Some(b',')) if self.begun => {
                at = after_space(bytes, at + 1);
                if bytes.get(at) == Some(&b']') {
                    return Err(self.fault(at, "not JSON: trailing comma", false));
                }
                if at >= bytes.len() {
                    return Err(self.fault(
                        at,
                        "not JSON: the list has no end; was the file cut off?",
                        true,
                    ));
                }
            }
            (Layout::List, Some(_)) if self.begun => {
                return Err(self.fault(at, "not JSON: expected `,` or `]`", false));
            }
            _ => {}
        }
        let (found, end) = self.record(bytes, at)?;
        self.layout = Some(layout);
        self.format = Some(found.format);
        self.records += 1;
        self.begun = true;
        Ok(Step::Record {
            pair: found.pair,
            end,
        })
    }

    fn record<'a>(&self, bytes: &'a [u8], at: usize) -> Result<(record::Found<'a>, usize), Fault> {
        let rest = bytes.get(at..).unwrap_or_default();
        let within = rest.get(..LARGEST_RECORD_BYTES);
        match record::read(within.unwrap_or(rest), self.format) {
            Ok((found, len)) => Ok((found, at + len)),
            Err(RecordError::Shape(text)) => Err(self.fault(at, &text, false)),
            Err(RecordError::Json(error)) if error.is_eof() && within.is_some() => {
                let text = format!(
                    "the record has more than {} MiB, the most that one may have; is a comma, a \
                     quote or a line's end missing?",
                    LARGEST_RECORD_BYTES >> 20
                );
                Err(self.fault(at, &text, false))
            }
            Err(RecordError::Json(error)) => {
                let (text, cut_off) = words(&error);
                Err(Fault {
                    text,
                    record: Some(self.records),
                    at,
                    line: error.line(),
                    column: error.column(),
                    cut_off,
                })
            }
        }
    }

    fn fault(&self, at: usize, text: &str, cut_off: bool) -> Fault {
        Fault {
            text: text.to_owned(),
            record: Some(self.records),
            at,
            line: 1,
            column: 1,
            cut_off,
        }
    }
}

/// What a JSON parser says, without its place.
fn words(error: &serde_json::Error) -> (String, bool) {
    let full = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = full.strip_suffix(&place).unwrap_or(&full);
    match error.classify() {
        Category::Eof => (format!("not JSON: {text}; was the file cut off?"), true),
        Category::Data | Category::Io => (text.to_owned(), false),
        Category::Syntax => (format!("not JSON: {text}"), false),
    }
}

fn after_space(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let space = rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))
        .count();
    from + space
}

/// Makes an entry of a pair whose texts `place` has found a place for.
pub(super) fn entry(
    pair: &FoundPair<'_>,
    record: u64,
    place: &mut impl FnMut(&str) -> Span,
) -> Entry {
    Entry {
        record,
        prompt: place(&pair.prompt),
        answer: match &pair.answer {
            FoundAnswer::Text(text) => AnswerSpan::Text(place(text)),
            FoundAnswer::Tokens(tokens) => AnswerSpan::Tokens(*tokens),
            FoundAnswer::Unknown => AnswerSpan::Unknown,
        },
        stated_tokens: pair.stated_tokens,
    }
}
