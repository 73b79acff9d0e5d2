//! Server-sent events out of a response body, in bounded memory. Recognises a
//! body that only claims to be events (LMDeploy's `/v1/chat/interactive` and
//! old `/generate` send bare JSON lines); knows nothing of what events say.
//!
//! Several events that came with one read are handed out one after the other,
//! and each is marked when it is: microseconds apart, and not all at the moment
//! of the read. That is meant. A mark is the moment at which the client holds a
//! piece in the form that the arm delivers; here that is text, taken out of its
//! event, so the work on the events before it belongs to it. The Triton arms
//! mark in the same way, message by message.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use eventsource_stream::{EventStream, EventStreamError};
use futures_util::{Stream, StreamExt};

use super::errors;
use crate::{Error, ErrorKind, excerpt};

/// The most bytes that may come without completing an event. An event of one
/// token has a few hundred; the parser goes over an unfinished one again with
/// each piece that arrives.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// The most bytes of a line that is no event and might be an error in JSON.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The most that is read after the last event to make the connection reusable.
const DRAIN_BYTES_MAX: usize = 64 << 10;

/// A response body.
pub(super) type Body = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// The events of a response body.
pub(super) struct Events {
    events: EventStream<Watched>,
    since_event_bytes: Arc<AtomicUsize>,
    any: bool,
}

impl Events {
    pub(super) fn new(body: Body) -> Self {
        let since_event_bytes = Arc::<AtomicUsize>::default();
        let watched = Watched {
            body,
            head: Head::Unseen,
            since_event_bytes: Arc::clone(&since_event_bytes),
        };
        Self {
            events: EventStream::new(watched),
            since_event_bytes,
            any: false,
        }
    }

    /// The data of the next event.
    ///
    /// # Errors
    /// When the body ends or fails before another event, or is none.
    pub(super) async fn next(&mut self) -> Result<String, Error> {
        match self.events.next().await {
            Some(Ok(event)) => {
                self.any = true;
                self.since_event_bytes.store(0, Ordering::Relaxed);
                Ok(event.data)
            }
            Some(Err(EventStreamError::Transport(error))) => Err(error.into_error(self.any)),
            Some(Err(EventStreamError::Utf8(error))) => Err(Error::new(
                ErrorKind::Malformed,
                format!("the server's stream is no UTF-8 ({error})"),
            )),
            Some(Err(EventStreamError::Parser(error))) => Err(Error::new(
                ErrorKind::Malformed,
                format!(
                    "the server's stream cannot be read: {}",
                    excerpt(&error.input)
                ),
            )),
            None if self.any => Err(Error::new(
                ErrorKind::Cut,
                "the stream ended without [DONE]: the answer was cut short",
            )),
            None => Err(Error::new(
                ErrorKind::Cut,
                "the server answered HTTP 200 and ended the stream without a single event \
                 (llama-cpp-python does so when the prompt is too long)",
            )),
        }
    }

    /// Reads what follows the last event, so that the connection can be used
    /// again. Gives up, and with it the connection, when that is much or
    /// anything but the end.
    pub(super) async fn drain(mut self) {
        self.since_event_bytes
            .store(EVENT_BYTES_MAX - DRAIN_BYTES_MAX, Ordering::Relaxed);
        while let Some(Ok(_)) = self.events.next().await {}
    }
}

/// What went wrong below the events.
#[derive(Debug)]
pub(super) enum BodyError {
    Transport(reqwest::Error),
    TooLong,
    BareJson(Vec<u8>),
}

impl BodyError {
    fn into_error(self, any_event: bool) -> Error {
        match self {
            Self::Transport(error) => errors::cut(&error, any_event),
            Self::TooLong => Error::new(
                ErrorKind::Malformed,
                format!("the server sent {EVENT_BYTES_MAX} bytes without completing an event"),
            ),
            Self::BareJson(line) => errors::in_body(&line).unwrap_or_else(|| {
                Error::new(
                    ErrorKind::Malformed,
                    format!(
                        "the server sent bare JSON lines; server-sent events start with `data:`, \
                         and only LMDeploy's interactive endpoints send these: {}",
                        excerpt(&String::from_utf8_lossy(&line))
                    ),
                )
            }),
        }
    }
}

/// How the body starts.
enum Head {
    Unseen,
    /// With JSON: its first line so far.
    Json(Vec<u8>),
    Events,
}

/// The body, watched for its length and its first line.
struct Watched {
    body: Body,
    head: Head,
    since_event_bytes: Arc<AtomicUsize>,
}

impl Watched {
    /// Looks at the first bytes: whether they may be passed on.
    fn look(&mut self, bytes: &Bytes) -> Result<bool, BodyError> {
        if let Head::Unseen = self.head {
            match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
                None => return Ok(false),
                Some(b'{' | b'[') => self.head = Head::Json(Vec::new()),
                Some(_) => self.head = Head::Events,
            }
        }
        if let Head::Json(line) = &mut self.head {
            line.extend_from_slice(bytes);
            let end = line.iter().position(|&byte| byte == b'\n');
            if end.is_some() || line.len() > LINE_BYTES_MAX {
                line.truncate(end.unwrap_or(LINE_BYTES_MAX));
                return Err(BodyError::BareJson(std::mem::take(line)));
            }
            return Ok(false);
        }
        Ok(true)
    }
}

impl Stream for Watched {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let bytes = match ready!(self.body.as_mut().poll_next(cx)) {
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Transport(error)))),
                None => {
                    return Poll::Ready(match &mut self.head {
                        Head::Json(line) if !line.is_empty() => {
                            Some(Err(BodyError::BareJson(std::mem::take(line))))
                        }
                        _ => None,
                    });
                }
            };
            let before = self
                .since_event_bytes
                .fetch_add(bytes.len(), Ordering::Relaxed);
            if before.saturating_add(bytes.len()) > EVENT_BYTES_MAX {
                return Poll::Ready(Some(Err(BodyError::TooLong)));
            }
            match self.look(&bytes) {
                Ok(true) => return Poll::Ready(Some(Ok(bytes))),
                Ok(false) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::{FutureExt, stream};
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::Events;
    use crate::ErrorKind;

    /// The events of `bytes` that come in pieces of these lengths, and how it ends.
    fn events(bytes: &[u8], lengths: &[usize]) -> (Vec<String>, ErrorKind) {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        for &length in lengths.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(length.clamp(1, rest.len()));
            pieces.push(Ok(Bytes::copy_from_slice(piece)));
            rest = after;
        }
        let mut events = Events::new(Box::pin(stream::iter(pieces)));
        let mut found = Vec::new();
        loop {
            match events.next().now_or_never().expect("nothing to wait for") {
                Ok(data) => found.push(data),
                Err(error) => return (found, error.kind),
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            data in prop::collection::vec("[a-z\u{e9}\u{6d41}\u{1f600}{}:\" ]{1,12}", 0..5),
            lengths in prop::collection::vec(1_usize..40, 1..6),
        ) {
            let text: String = data
                .iter()
                .map(|data| format!(": c\n\ndata: x{data}\n\n"))
                .collect();
            let wanted: Vec<String> = data.iter().map(|data| format!("x{data}")).collect();
            let (found, end) = events(text.as_bytes(), &lengths);
            prop_assert_eq!(found, wanted);
            prop_assert_eq!(end, ErrorKind::Cut);
        }

        #[test]
        fn noise_ends_in_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            lengths in prop::collection::vec(1_usize..40, 1..6),
        ) {
            let (_, end) = events(&bytes, &lengths);
            let known = matches!(
                end,
                ErrorKind::Cut | ErrorKind::Malformed | ErrorKind::Server | ErrorKind::Rejected
            );
            prop_assert_eq!(known, true);
        }
    }
}
