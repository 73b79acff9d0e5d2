//! What frames of the server do (RFC 9113, 6). Reads no socket.

use std::hint::black_box;
use std::sync::Arc;

use tonic::codegen::http::StatusCode;

use super::error::{Error, Goodbye, Reason, Violation};
use super::frame::{self, HEAD_BYTES, Head, flag, kind, setting};
use super::gulp::Gulp;
use super::headers::{BLOCK_BYTES_MAX, Headers, Reader, Unreadable};
use super::state::State;
use crate::excerpt;

/// Frames that a block of headers may come in.
const BLOCK_FRAMES_MAX: u32 = 64;

/// Frames that are looked at ahead: a processor waits for a dozen or two cache lines at
/// once, and a read seldom has more frames where a token's cost counts.
const AHEAD: usize = 16;

/// What has to be known to read on.
pub(super) struct Receiver {
    reader: Reader,
    /// A block of headers of which some has come.
    block: Option<Block>,
}

struct Block {
    number: u32,
    ends_call: bool,
    bytes: Vec<u8>,
    frames: u32,
}

impl Receiver {
    pub(super) fn new() -> Self {
        Self {
            reader: Reader::new(),
            block: None,
        }
    }

    /// Takes all whole frames.
    ///
    /// # Errors
    /// When they are none; nothing can be read behind them.
    #[inline]
    pub(super) fn take(&mut self, gulp: &mut Gulp, state: &mut State) -> Result<(), Violation> {
        let mut ahead: usize = 0;
        loop {
            let rest = gulp.rest();
            if ahead == 0 {
                ahead = look_ahead(rest, state);
            }
            ahead = ahead.saturating_sub(1);
            let Some(head) = rest.first_chunk::<HEAD_BYTES>() else {
                return Ok(());
            };
            let head = Head::read(*head);
            if head.len > frame::FRAME_BYTES_MAX {
                let words = "a frame of more than 16 KiB";
                return Err(Violation::new(Reason::FRAME_SIZE_ERROR, words));
            }
            let end = HEAD_BYTES + head.len;
            if rest.len() < end {
                return Ok(());
            }
            if head.kind == kind::DATA && state.greeted && self.block.is_none() {
                data(head, gulp, state)?;
            } else {
                self.other(head, &rest[HEAD_BYTES..end], state)?;
            }
            gulp.skip(end);
        }
    }

    #[inline(never)]
    fn other(&mut self, head: Head, payload: &[u8], state: &mut State) -> Result<(), Violation> {
        if !state.greeted && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(Violation::protocol("it does not begin with SETTINGS"));
        }
        if self.block.is_some() && head.kind != kind::CONTINUATION {
            let words = "another frame within a block of headers";
            return Err(Violation::protocol(words));
        }
        match head.kind {
            kind::HEADERS => self.headers(head, payload, state),
            kind::CONTINUATION => self.continuation(head, payload, state),
            kind::RST_STREAM => reset(head, payload, state),
            kind::SETTINGS => settings(head, payload, state),
            kind::PUSH_PROMISE => Err(Violation::protocol("a push that was not allowed")),
            kind::PING => ping(head, payload, state),
            kind::GOAWAY => goaway(head, payload, state),
            kind::WINDOW_UPDATE => window_update(head, payload, state),
            // PRIORITY, and what nobody knows (RFC 9113, 4.1).
            _ => Ok(()),
        }
    }

    fn headers(&mut self, head: Head, payload: &[u8], state: &mut State) -> Result<(), Violation> {
        let mut payload = unpadded(head, payload)?;
        if head.has(flag::PRIORITY) {
            let words = "HEADERS that are too short";
            payload = payload.get(5..).ok_or(Violation::protocol(words))?;
        }
        let ends_call = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.read(head.stream, ends_call, payload, state);
        }
        self.block = Some(Block {
            number: head.stream,
            ends_call,
            bytes: payload.to_vec(),
            frames: 1,
        });
        Ok(())
    }

    fn continuation(
        &mut self,
        head: Head,
        payload: &[u8],
        state: &mut State,
    ) -> Result<(), Violation> {
        let stray = Violation::protocol("a CONTINUATION of nothing");
        let mut block = self.block.take().ok_or(stray)?;
        if block.number != head.stream {
            return Err(stray);
        }
        block.bytes.extend_from_slice(payload);
        block.frames += 1;
        if block.bytes.len() > BLOCK_BYTES_MAX || block.frames > BLOCK_FRAMES_MAX {
            let words = "headers without an end";
            return Err(Violation::new(Reason::ENHANCE_YOUR_CALM, words));
        }
        if head.has(flag::END_HEADERS) {
            return self.read(block.number, block.ends_call, &block.bytes, state);
        }
        self.block = Some(block);
        Ok(())
    }

    /// A block of headers that is whole.
    fn read(
        &mut self,
        number: u32,
        ends_call: bool,
        block: &[u8],
        state: &mut State,
    ) -> Result<(), Violation> {
        // It has to be read even for a call that is over.
        let headers = match self.reader.read(block) {
            Ok(headers) => Ok(headers),
            Err(Unreadable::Connection(violation)) => return Err(violation),
            Err(Unreadable::Call(violation)) => Err(violation),
        };
        let Some(key) = state.find(number)? else {
            return Ok(());
        };
        match headers.and_then(|headers| answered(state, key, headers, ends_call)) {
            Ok(()) => {}
            Err(violation) => state.refuse(key, violation),
        }
        Ok(())
    }
}

/// Has memory bring what the next pieces need, for all of them at once: tokens that
/// find the client asleep find none of it in a cache, and the waits would come one
/// after the other. How many frames need not be looked at again.
#[inline]
fn look_ahead(mut rest: &[u8], state: &State) -> usize {
    let (mut frames, mut seen) = (0, 0);
    while frames < AHEAD
        && let Some(head) = rest.first_chunk::<HEAD_BYTES>()
    {
        let head = Head::read(*head);
        rest = rest.get(HEAD_BYTES + head.len..).unwrap_or_default();
        frames += 1;
        if frames == 1 && rest.is_empty() {
            // There is nothing to be worked on meanwhile.
            break;
        }
        if head.kind == kind::DATA {
            seen ^= state.look_ahead(head.stream);
        }
    }
    // Or the compiler would find that nobody wants it.
    black_box(seen);
    frames
}

/// The begin of an answer, or its end.
fn answered(
    state: &mut State,
    key: usize,
    headers: Headers,
    ends_call: bool,
) -> Result<(), Violation> {
    let call = &mut state.calls[key];
    if call.has_head {
        if headers.status.is_some() || !ends_call {
            return Err(Violation::protocol("headers in the middle of an answer"));
        }
        call.rest.trailers = Some(headers.map);
    } else {
        let status = headers.status;
        let status = status.ok_or(Violation::protocol("an answer without a :status"))?;
        if status.is_informational() {
            return match ends_call || status == StatusCode::SWITCHING_PROTOCOLS {
                true => Err(Violation::protocol("an answer that ends before it begins")),
                false => Ok(()),
            };
        }
        call.rest.head = Some(headers);
        call.has_head = true;
        call.wake();
    }
    if ends_call {
        state.finish(key, Ok(()));
    }
    Ok(())
}

/// A piece of an answer's body.
#[inline]
fn data(head: Head, gulp: &Gulp, state: &mut State) -> Result<(), Violation> {
    state.receive(head.len)?;
    let Some(key) = state.find(head.stream)? else {
        // Sent before the server knew that nobody wants it.
        state.took(head.len);
        return Ok(());
    };
    if !state.calls[key].has_head {
        state.took(head.len);
        state.refuse(key, Violation::protocol("an answer without headers"));
        return Ok(());
    }
    let (mut from, mut to) = (HEAD_BYTES, HEAD_BYTES + head.len);
    if head.has(flag::PADDED) {
        let payload = unpadded(head, &gulp.rest()[from..to])?;
        from += 1;
        to = from + payload.len();
    }
    state.deliver(key, gulp.share(from, to), head.len);
    if head.has(flag::END_STREAM) && !state.calls[key].is_over {
        state.finish(key, Ok(()));
    }
    Ok(())
}

/// What a frame carries, without what only makes it longer (RFC 9113, 6.1).
fn unpadded(head: Head, payload: &[u8]) -> Result<&[u8], Violation> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    payload
        .split_first()
        .and_then(|(&padding, rest)| rest.get(..rest.len().checked_sub(padding.into())?))
        .ok_or(Violation::protocol("more padding than there is room for"))
}

/// A payload that always has the same size.
fn exactly<const BYTES: usize>(payload: &[u8]) -> Result<[u8; BYTES], Violation> {
    let words = "a frame of the wrong size";
    payload
        .try_into()
        .map_err(|_| Violation::new(Reason::FRAME_SIZE_ERROR, words))
}

fn reset(head: Head, payload: &[u8], state: &mut State) -> Result<(), Violation> {
    let reason = Reason(u32::from_be_bytes(exactly(payload)?));
    if let Some(key) = state.find(head.stream)? {
        state.finish(key, Err(Error::Reset(reason)));
    }
    Ok(())
}

fn settings(head: Head, payload: &[u8], state: &mut State) -> Result<(), Violation> {
    if head.stream != 0 {
        return Err(Violation::protocol("SETTINGS of a call"));
    }
    if head.has(flag::ACK) {
        return exactly::<0>(payload).map(drop);
    }
    let (settings, rest) = payload.as_chunks::<6>();
    exactly::<0>(rest)?;
    for &[a, b, value @ ..] in settings {
        let value = u32::from_be_bytes(value);
        let too_much = "SETTINGS with a value beyond its limits";
        match u16::from_be_bytes([a, b]) {
            setting::ENABLE_PUSH if value != 0 => return Err(Violation::protocol(too_much)),
            setting::MAX_CONCURRENT_STREAMS => state.peer.calls = value,
            setting::INITIAL_WINDOW_SIZE if value > frame::LARGEST => {
                return Err(Violation::new(Reason::FLOW_CONTROL_ERROR, too_much));
            }
            setting::INITIAL_WINDOW_SIZE => state.set_window(value)?,
            setting::MAX_FRAME_SIZE => {
                let bytes = usize::try_from(value).unwrap_or(usize::MAX);
                if !(frame::FRAME_BYTES_MAX..1 << 24).contains(&bytes) {
                    return Err(Violation::protocol(too_much));
                }
                state.peer.frame_bytes = bytes;
            }
            // Its table of headers is not used, its limit for them is far away.
            _ => {}
        }
    }
    state.reply(kind::SETTINGS, &[]);
    state.greet();
    state.send();
    Ok(())
}

fn ping(head: Head, payload: &[u8], state: &mut State) -> Result<(), Violation> {
    if head.stream != 0 {
        return Err(Violation::protocol("a PING of a call"));
    }
    let payload = exactly::<8>(payload)?;
    if !head.has(flag::ACK) {
        state.reply(kind::PING, &payload);
    }
    Ok(())
}

fn goaway(head: Head, payload: &[u8], state: &mut State) -> Result<(), Violation> {
    if head.stream != 0 {
        return Err(Violation::protocol("a GOAWAY of a call"));
    }
    let (fixed, words) = payload.split_at_checked(8).unwrap_or_default();
    let [a, b, c, d, reason @ ..] = exactly::<8>(fixed)?;
    let words = String::from_utf8_lossy(words);
    state.said_goodbye(&Goodbye {
        last: u32::from_be_bytes([a, b, c, d]) & frame::LARGEST,
        reason: Reason(u32::from_be_bytes(reason)),
        words: Arc::from(excerpt(&words).as_str()),
    });
    Ok(())
}

fn window_update(head: Head, payload: &[u8], state: &mut State) -> Result<(), Violation> {
    let bytes = u32::from_be_bytes(exactly(payload)?) & frame::LARGEST;
    state.widen(head.stream, bytes)
}
