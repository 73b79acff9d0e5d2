//! What an answer says, event by event: marks, text, counts, and whether it
//! ended well. Knows the four places where versions put their usage and the
//! ways in which a stream fails with status 200; sees no bytes and no socket.

use super::wire::{Choice, Chunk, Usage};
use std::str;

use super::errors;
use super::quick::Usual;
use crate::{Ending, Error, ErrorKind, Finish, Sink, TokenSource, excerpt};

/// Whether more events are to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    More,
    /// `[DONE]` was seen.
    Done,
}

/// The state of one answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// LMDeploy 0.1.0a1 gives none in a stream.
    needs_finish_reason: bool,
    ending: Option<Ending>,
    usage: Usage,
    /// Settled by the first event with text: whether usage counts along
    /// (LMDeploy 0.6 to 0.9). A total that first comes with the last event
    /// says nothing about single events.
    counts_along: Option<bool>,
    counted_tokens: u32,
    has_text: bool,
    usual: Usual,
}

impl Answer {
    /// An answer of which nothing has come. `needs_finish_reason`: without one
    /// a stream of this server was cut short.
    pub(super) fn new(needs_finish_reason: bool) -> Self {
        Self {
            needs_finish_reason,
            ending: None,
            usage: Usage::default(),
            counts_along: None,
            counted_tokens: 0,
            has_text: false,
            usual: Usual::default(),
        }
    }

    /// What a usual event is told by.
    #[inline]
    pub(super) fn usual(&self) -> &Usual {
        &self.usual
    }

    /// Takes the text of a usual event.
    #[inline(always)]
    pub(super) fn text(&mut self, text: &str, sink: &mut Sink) {
        if text.is_empty() {
            return sink.event();
        }
        // The wire does not say how many tokens it is.
        sink.tokens(0);
        self.has_text = true;
        self.counts_along.get_or_insert(false);
        sink.text(text);
    }

    /// Takes one event's data. Text is marked before anything else is done
    /// with the event.
    ///
    /// # Errors
    /// An error event, a bad finish reason, or data that makes no sense.
    pub(super) fn event(&mut self, data: &[u8], sink: &mut Sink) -> Result<Flow, Error> {
        if let Some(text) = self.usual.text(data) {
            self.text(text, sink);
            return Ok(Flow::More);
        }
        self.unusual(data, sink)
    }

    /// The same for an event of any shape.
    ///
    /// # Errors
    /// As [`Self::event`].
    pub(super) fn unusual(&mut self, data: &[u8], sink: &mut Sink) -> Result<Flow, Error> {
        let data = str::from_utf8(data).map_err(|error| {
            sink.event();
            let words = format!("the server's stream is no UTF-8 ({error})");
            Error::new(ErrorKind::Malformed, words)
        })?;
        if data.trim() == "[DONE]" {
            return Ok(Flow::Done);
        }
        let chunk = match serde_json::from_str::<Chunk<'_>>(data) {
            Ok(chunk) => chunk,
            Err(error) => {
                sink.event();
                return Err(unreadable("an event", &error, data));
            }
        };
        let choice = chunk
            .choices
            .iter()
            .flatten()
            .find(|choice| choice.index == 0);
        let Some(choice) = choice else {
            sink.event();
            return self.without_choice(&chunk, data);
        };
        let ending = match ending_of(choice) {
            Ok(ending) => ending,
            Err(error) => {
                sink.event();
                return Err(error);
            }
        };
        if choice.calls_tool() || choice.pieces().next().is_some() {
            self.mark(chunk.usage, sink)?;
            choice.pieces().for_each(|piece| sink.text(piece));
        } else {
            sink.event();
        }
        self.ending = ending.or(self.ending);
        self.count(chunk.usage);
        Ok(Flow::More)
    }

    /// Marks a piece of text, with its tokens where the server counts along.
    fn mark(&mut self, usage: Option<Usage>, sink: &mut Sink) -> Result<(), Error> {
        let total = usage.and_then(|usage| usage.completion_tokens);
        self.has_text = true;
        let counts_along = *self.counts_along.get_or_insert(total.is_some());
        match total.filter(|_| counts_along) {
            Some(total) if total > self.counted_tokens => {
                sink.tokens_so_far(total);
                self.counted_tokens = total;
                Ok(())
            }
            Some(total) if total < self.counted_tokens => {
                sink.event();
                Err(shrunk(self.counted_tokens, total))
            }
            // text, and the wire does not say how many tokens it is
            _ => {
                sink.tokens(0);
                Ok(())
            }
        }
    }

    /// An event without an answer in it: usage alone, or a failure.
    fn without_choice(&mut self, chunk: &Chunk<'_>, data: &str) -> Result<Flow, Error> {
        let flat = chunk
            .object
            .as_ref()
            .is_some_and(|object| object.0 == "error");
        if chunk.error.is_some() || flat {
            return Err(serde_json::from_str(data).map_or_else(
                |_| malformed("an error that cannot be read", data),
                |value| errors::in_object(&value),
            ));
        }
        if chunk.choices.is_none() && chunk.usage.is_none() {
            return Err(malformed("an event that is no piece of an answer", data));
        }
        self.count(chunk.usage);
        Ok(Flow::More)
    }

    /// The last figures that are not null hold.
    fn count(&mut self, usage: Option<Usage>) {
        if let Some(usage) = usage {
            self.usage.prompt_tokens = usage.prompt_tokens.or(self.usage.prompt_tokens);
            self.usage.completion_tokens = usage.completion_tokens.or(self.usage.completion_tokens);
        }
    }

    /// Judges the answer after its last event. `[DONE]` alone is no success:
    /// LMDeploy 0.1.0a1 and llama-cpp-python end failures with it too.
    ///
    /// # Errors
    /// When the answer was cut short or is the server's way of refusing.
    pub(super) fn finish(self) -> Result<Finish, Error> {
        let nothing = !self.has_text && self.usage.completion_tokens.unwrap_or(0) == 0;
        let ending = match self.ending {
            Some(Ending::Length) if nothing => {
                return Err(Error::new(
                    ErrorKind::Rejected,
                    "the server ended the answer with finish_reason `length` before its first \
                     token: that is how LMDeploy 0.1 to 0.15 refuse a prompt that is too long, or \
                     one that leaves no room for the tokens asked for",
                ));
            }
            Some(ending) => ending,
            None if self.needs_finish_reason => {
                return Err(Error::new(
                    ErrorKind::Cut,
                    "the stream ended with [DONE] and without a finish_reason: the answer was cut \
                     short",
                ));
            }
            None if nothing => {
                return Err(Error::new(
                    ErrorKind::Cut,
                    "the server ended the answer before its first token and does not say why \
                     (LMDeploy 0.1.0a1 does so when the engine fails or the prompt is too long)",
                ));
            }
            None => Ending::Unstated,
        };
        Ok(Finish {
            ending,
            prompt_tokens: self.usage.prompt_tokens,
            completion: self
                .usage
                .completion_tokens
                .map(|tokens| (tokens, TokenSource::Usage)),
        })
    }

    /// Takes an answer that came as one body.
    ///
    /// # Errors
    /// An error in it, a bad finish reason, or a body that makes no sense.
    pub(super) fn whole(body: &[u8], sink: &mut Sink) -> Result<Finish, Error> {
        let text = String::from_utf8_lossy(body);
        if let Some(error) = errors::in_body(body) {
            sink.event();
            return Err(error);
        }
        let mut answer = Self::new(false);
        let chunk: Chunk<'_> =
            serde_json::from_str(&text).map_err(|error| unreadable("an answer", &error, &text))?;
        let choice = chunk.choices.iter().flatten().next();
        let choice = choice.ok_or_else(|| malformed("an answer without a choice", &text))?;
        let ending = ending_of(choice)?;
        let tokens = chunk.usage.and_then(|usage| usage.completion_tokens);
        if tokens.unwrap_or(0) > 0 || choice.pieces().next().is_some() || choice.calls_tool() {
            sink.tokens(tokens.unwrap_or(0));
            choice.pieces().for_each(|piece| sink.text(piece));
            answer.has_text = true;
        } else {
            sink.event();
        }
        answer.ending = ending;
        answer.count(chunk.usage);
        answer.finish()
    }
}

/// Why a choice says that the answer ended, if it does.
fn ending_of(choice: &Choice<'_>) -> Result<Option<Ending>, Error> {
    let Some(reason) = &choice.finish_reason else {
        return Ok(None);
    };
    match reason.0.as_ref() {
        "length" => Ok(Some(Ending::Length)),
        "stop" | "tool_calls" => Ok(Some(Ending::Stop)),
        // `error` (0.7.3 to 0.15), `abort`, `parse_error` (0.14 on): what text
        // comes with it is about the failure and no part of the answer
        other => {
            let words: String = choice.pieces().collect();
            Err(Error::new(
                ErrorKind::Server,
                format!(
                    "the server ended the answer with finish_reason `{}`: {}",
                    excerpt(other),
                    excerpt(&words)
                ),
            ))
        }
    }
}

fn shrunk(before: u32, after: u32) -> Error {
    Error::new(
        ErrorKind::Malformed,
        format!("the server's running count of tokens shrank from {before} to {after}"),
    )
}

/// What serde says is the server's word, too: it repeats a string that it did not
/// expect.
fn unreadable(what: &str, error: &serde_json::Error, data: &str) -> Error {
    let why = excerpt(&error.to_string());
    malformed(&format!("{what} that cannot be read ({why})"), data)
}

fn malformed(what: &str, data: &str) -> Error {
    Error::new(
        ErrorKind::Malformed,
        format!("the server sent {what}: {}", excerpt(data)),
    )
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
