//! The events of an answer, in bounded memory. Recognises a body that only
//! claims to be events (LMDeploy's `/v1/chat/interactive` and old `/generate`
//! send bare JSON lines); knows nothing of what events say.
//!
//! Several events that came with one read are handed out one after the other,
//! and each is marked when it is: microseconds apart, and not all at the moment
//! of the read. That is meant. A mark is the moment at which the client holds a
//! piece in the form that the arm delivers; here that is text, taken out of its
//! event, so the work on the events before it belongs to it. The Triton arms
//! mark in the same way, message by message.

use std::future::poll_fn;
use std::ops::Range;
use std::str;
use std::task::{Context, Poll, ready};

use super::errors;
use super::quick::Usual;
use super::splitter::{Found, Splitter};
use super::transport::Connection;
use crate::{Error, ErrorKind, excerpt};

/// The most bytes that may come without completing an event. An event of one
/// token has a few hundred.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// The most bytes of a line that is no event and might be an error in JSON.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The most that is read after the last event to make the connection reusable.
const DRAIN_BYTES_MAX: usize = 64 << 10;

/// The events of an answer whose head has been read.
pub(super) struct Events {
    connection: Connection,
    /// What of the connection's buffer is a piece of the body and still unread.
    piece: Range<usize>,
    splitter: Splitter,
    start: Start,
    since_event_bytes: usize,
    any: bool,
}

/// An event.
#[derive(Debug)]
pub(super) enum Next<'a> {
    /// A usual one, and the text in it.
    Text(&'a str),
    /// The data of any.
    Data(&'a [u8]),
}

/// Where an event lies: in the connection's buffer, or with the splitter.
enum Place {
    /// A usual one, and its text.
    Text(Range<usize>, Range<usize>),
    Data(Range<usize>),
    Collected,
}

/// How the body starts.
enum Start {
    Unseen,
    /// With JSON: its first line so far.
    Json(Vec<u8>),
    Events,
}

impl Events {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            piece: 0..0,
            splitter: Splitter::default(),
            start: Start::Unseen,
            since_event_bytes: 0,
            any: false,
        }
    }

    /// The next event. One that differs from `usual` in its text alone, and came
    /// as a piece of its own, is taken apart here, in one go: each step more would
    /// be looked up for every token, and mostly out of a cold cache.
    ///
    /// # Errors
    /// When the body ends or fails before another event, or is none.
    #[inline]
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        usual: &Usual,
    ) -> Poll<Result<Next<'_>, Error>> {
        let place = loop {
            if self.piece.is_empty() && !ready!(self.poll_pull(cx))? {
                return Poll::Ready(Err(self.ended()));
            }
            if let Some(place) = self.usual(usual).or_else(|| self.any_other()) {
                break place;
            }
        };
        self.any = true;
        self.since_event_bytes = 0;
        Poll::Ready(Ok(match place {
            Place::Text(event, text) => {
                let text = str::from_utf8(self.connection.bytes(text));
                text.map_or_else(
                    |_| Next::Data(self.connection.bytes(Usual::data_of(event))),
                    Next::Text,
                )
            }
            Place::Data(here) => Next::Data(self.connection.bytes(here)),
            Place::Collected => Next::Data(self.splitter.collected()),
        }))
    }

    /// The usual event that the piece is.
    #[inline]
    fn usual(&mut self, usual: &Usual) -> Option<Place> {
        if !self.splitter.is_between_events() {
            return None;
        }
        let text = usual.whole_event(self.connection.bytes(self.piece.clone()))?;
        let event = std::mem::take(&mut self.piece);
        let text = event.start + text.start..event.start + text.end;
        Some(Place::Text(event, text))
    }

    /// The next event in the piece, whatever it is. Never inlined: it would take
    /// the registers from the usual one.
    #[inline(never)]
    fn any_other(&mut self) -> Option<Place> {
        let base = self.piece.start;
        let piece = self.connection.bytes(self.piece.clone());
        let mut at = 0;
        let found = self.splitter.next(piece, &mut at);
        self.piece.start += at;
        Some(match found? {
            Found::Here(here) => Place::Data(base + here.start..base + here.end),
            Found::Collected => Place::Collected,
        })
    }

    /// Waits for the next piece of the body; `false` at its end.
    #[inline]
    fn poll_pull(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        loop {
            let next = ready!(self.connection.poll_piece(cx));
            let next = next.map_err(|broken| errors::broken(&broken, self.any))?;
            let Some(piece) = next else {
                return Poll::Ready(match &self.start {
                    Start::Json(line) => Err(bare_json(line)),
                    _ => Ok(false),
                });
            };
            self.since_event_bytes += piece.len();
            if self.since_event_bytes > EVENT_BYTES_MAX {
                return Poll::Ready(Err(malformed(format!(
                    "the server sent {EVENT_BYTES_MAX} bytes without completing an event"
                ))));
            }
            if matches!(self.start, Start::Events) || self.look(piece.clone())? {
                self.piece = piece;
                return Poll::Ready(Ok(true));
            }
        }
    }

    /// Looks at the first bytes of the body: whether they may be read on.
    fn look(&mut self, piece: Range<usize>) -> Result<bool, Error> {
        let mut bytes = self.connection.bytes(piece);
        if let Start::Unseen = self.start {
            let first = bytes.iter().position(|byte| !byte.is_ascii_whitespace());
            let Some(first) = first else {
                // They may begin a line: the splitter has to see them.
                return Ok(true);
            };
            bytes = &bytes[first..];
            self.start = match bytes {
                [b'{' | b'[', ..] => Start::Json(Vec::new()),
                _ => Start::Events,
            };
        }
        if let Start::Json(line) = &mut self.start {
            line.extend_from_slice(bytes);
            let end = line.iter().position(|&byte| byte == b'\n');
            if end.is_some() || line.len() > LINE_BYTES_MAX {
                return Err(bare_json(&line[..end.unwrap_or(LINE_BYTES_MAX)]));
            }
            return Ok(false);
        }
        Ok(true)
    }

    fn ended(&self) -> Error {
        Error::new(
            ErrorKind::Cut,
            if self.any {
                "the stream ended without [DONE]: the answer was cut short"
            } else {
                "the server answered HTTP 200 and ended the stream without a single event \
                 (llama-cpp-python does so when the prompt is too long)"
            },
        )
    }

    /// Reads what follows the last event, so that the connection can be used
    /// again, and hands that back. `None`, and with it the connection's end,
    /// when it is much or anything but the end.
    pub(super) async fn drain(mut self) -> Option<Connection> {
        let mut left = DRAIN_BYTES_MAX;
        loop {
            let next = poll_fn(|cx| self.connection.poll_piece(cx)).await;
            let Some(piece) = next.ok()? else {
                return Some(self.connection);
            };
            left = left.checked_sub(piece.len())?;
        }
    }
}

/// The error that a body of bare JSON is.
fn bare_json(line: &[u8]) -> Error {
    errors::in_body(line).unwrap_or_else(|| {
        malformed(format!(
            "the server sent bare JSON lines; server-sent events start with `data:`, and only \
             LMDeploy's interactive endpoints send these: {}",
            excerpt(&String::from_utf8_lossy(line))
        ))
    })
}

fn malformed(words: String) -> Error {
    Error::new(ErrorKind::Malformed, words)
}
