//! What must hold of an api_server's bytes, whatever they are; see
//! [`crate::fuzzing`]. The measured client against a plain reading of the same
//! bytes: the standard's rules for events, serde for what is in them.

use std::str;

use super::answer::{Answer, Flow};
use super::client::fuzzing::{Outcome, Server, asked};
use super::{address, errors, metrics, wire};
use crate::fuzzing::{for_people, parts, pieces};
use crate::{Clock, Error, ErrorKind, Finish, Pulse, Sink};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
                       transfer-encoding: chunked\r\n\r\n";

/// How an answer is laid out around the content of an input.
enum Shape {
    /// It is all that the server sends.
    Raw,
    /// A head, then it as a chunked body that may be none.
    Chunks,
    /// A body of one event stream, in good chunks.
    Chunked,
    /// The same by its length.
    Length,
    /// The same up to the connection's end.
    ToClose,
    /// A body that is not streamed, in good chunks.
    Whole,
}

impl Shape {
    fn of(kind: u8) -> Self {
        match kind & 7 {
            0 => Self::Raw,
            1 => Self::Chunks,
            2 | 6 => Self::Chunked,
            3 => Self::Length,
            4 => Self::ToClose,
            _ => Self::Whole,
        }
    }

    fn message(&self, content: &[u8], lengths: &[u8]) -> Vec<u8> {
        let length = content.len();
        let (head, body) = match self {
            Self::Raw => (String::new(), content.to_vec()),
            Self::Chunks => (CHUNKED.to_owned(), content.to_vec()),
            Self::Chunked => (CHUNKED.to_owned(), chunked(content, lengths)),
            Self::Length => (
                CHUNKED.replace(
                    "transfer-encoding: chunked",
                    &format!("content-length: {length}"),
                ),
                content.to_vec(),
            ),
            Self::ToClose => (
                CHUNKED.replace("transfer-encoding: chunked\r\n", ""),
                content.to_vec(),
            ),
            Self::Whole => (
                CHUNKED.replace("text/event-stream", "application/json"),
                chunked(content, lengths),
            ),
        };
        [head.into_bytes(), body].concat()
    }

    fn holds_a_stream(&self) -> bool {
        matches!(self, Self::Chunked | Self::Length | Self::ToClose)
    }
}

/// A good chunked body, cut in other places than the reads will be.
fn chunked(content: &[u8], lengths: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let turned: Vec<u8> = lengths
        .iter()
        .rev()
        .map(|length| length.wrapping_mul(3))
        .collect();
    for piece in pieces(content, &turned) {
        body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        body.extend_from_slice(piece);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

/// An answer of a server, head and body: the same whether it comes at once or in
/// pieces cut anywhere, and what a plain reading makes of it.
pub fn events(data: &[u8]) {
    let Some((kind, lengths, content)) = parts(data) else {
        return;
    };
    let shape = Shape::of(kind);
    let server = Server {
        streams: !matches!(shape, Shape::Whole),
        says_why_it_ends: kind & 0x80 == 0,
    };
    let message = shape.message(content, lengths);
    let at_once = asked(&[&message], server);
    let cut = asked(&pieces(&message, lengths), server);
    assert_eq!(cut, at_once, "in pieces and at once");
    if let Err(error) = &at_once.finish {
        for_people(error);
    }
    if shape.holds_a_stream()
        && let Some(plain) = plainly(content, server)
    {
        assert_eq!(at_once.tokens, plain.tokens);
        assert_eq!(at_once.text, plain.text);
        assert_eq!(at_once.first_text_bytes, plain.first_text_bytes);
        match (&at_once.finish, &plain.finish) {
            (Err(one), Err(other)) => assert_eq!(one.kind, other.kind, "{one}"),
            (one, other) => assert_eq!(one, other),
        }
    }
}

/// The outcome of an event stream by the rules alone: no socket, no quick path.
/// `None`: not read as events.
fn plainly(stream: &[u8], server: Server) -> Option<Outcome> {
    let first = stream.iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(first, Some(b'{' | b'[')) {
        // Bare JSON, which is told apart before it is taken for events.
        return None;
    }
    let mut sink = sink();
    let finish = answer(&plain_events(stream), server, &mut sink);
    Some(Outcome::of(finish, sink))
}

fn answer(events: &[Vec<u8>], server: Server, sink: &mut Sink) -> Result<Finish, Error> {
    let mut answer = Answer::new(server.says_why_it_ends);
    for event in events {
        if answer.unusual(event, sink)? == Flow::Done {
            return answer.finish();
        }
    }
    Err(Error::new(ErrorKind::Cut, "no end"))
}

/// The data of every event, as the HTML standard interprets an event stream. As in
/// the client, an event with data that is empty is one.
fn plain_events(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut events = Vec::new();
    let mut event: Option<Vec<u8>> = None;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let line = &rest[..end];
        let ending = if rest[end..].starts_with(b"\r\n") {
            2
        } else {
            1
        };
        rest = &rest[end + ending..];
        if line.is_empty() {
            events.extend(event.take());
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let (field, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if field == b"data" {
            match &mut event {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => event = Some(value.to_vec()),
            }
        }
    }
    events
}

fn sink() -> Sink {
    Sink::start(Clock::start(), Pulse::default(), 16)
}

/// JSON of a server: lines as the events of one answer, read quickly and by serde
/// alone; all of it as the body of every other answer that is asked for.
pub fn json(data: &[u8]) {
    let Some((&kind, content)) = data.split_first() else {
        return;
    };
    let needs_reason = kind & 1 == 0;
    let (mut quick, mut plain) = (sink(), sink());
    let finished = {
        let (mut one, mut other) = (Answer::new(needs_reason), Answer::new(needs_reason));
        let mut flow = Ok(Flow::More);
        for event in content.split(|&byte| byte == b'\n') {
            flow = one.event(event, &mut quick);
            assert_eq!(flow, other.unusual(event, &mut plain), "quick and plain");
            if flow != Ok(Flow::More) {
                break;
            }
        }
        let finished = flow.and_then(|_| one.finish());
        if let Ok(finish) = &finished {
            assert_eq!(Ok(finish), other.finish().as_ref());
        }
        finished
    };
    let (quick, plain) = (
        Outcome::of(finished.clone(), quick),
        Outcome::of(finished, plain),
    );
    assert_eq!(quick, plain);
    let whole = Answer::whole(content, &mut sink());
    let refused = errors::of_status(400 + u16::from(kind), content, kind & 2 == 0);
    for error in [quick.finish.err(), whole.err(), Some(refused)] {
        error.iter().for_each(for_people);
    }
    errors::in_body(content).iter().for_each(for_people);
    let _ = serde_json::from_slice::<wire::Models>(content);
    let _ = serde_json::from_slice::<wire::Encoded>(content);
    if let Ok(page) = str::from_utf8(content) {
        let counters = metrics::parse(page).values;
        assert!(counters.keys().all(|name| !name.is_empty()));
    }
}

/// An address as typed; the refusal, if it is none.
pub(crate) fn address(text: &str) -> Option<Error> {
    address::base_url(text).err()
}
