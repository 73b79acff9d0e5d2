//! What must hold of a server's frames, whatever they are; see [`crate::fuzzing`].

use std::any::Any;
use std::collections::VecDeque;

use bytes::Bytes;
use tonic::codegen::http::HeaderMap;

use super::call::Listener;
use super::error::{Error, Violation};
use super::gulp::Gulp;
use super::receive::Receiver;
use super::request_block;
use super::state::State;
use crate::fuzzing::{for_people, parts, pieces};
use crate::{Error as Told, ErrorKind};

/// Calls that are open when the frames come.
const CALLS: usize = 3;

/// Frames behind a server's SETTINGS: the same at once and in pieces cut anywhere;
/// what is read, is read as it stands; what is refused, is in words.
pub fn frames(data: &[u8]) {
    let Some((kind, lengths, content)) = parts(data) else {
        return;
    };
    let at_once = Outcome::of(&[content], kind);
    let cut = Outcome::of(&pieces(content, lengths), kind);
    assert!(at_once == cut, "{at_once:?}\nand in pieces {cut:?}");
}

/// Keeps what it hears.
struct Heard(Vec<u8>);

impl Listener for Heard {
    fn hear(&mut self, piece: Bytes) -> bool {
        self.0.extend_from_slice(&piece);
        false
    }

    fn look_ahead(&self) -> u64 {
        self.0.last().copied().map_or(0, u64::from)
    }
}

/// What came of the frames.
#[derive(Debug, PartialEq)]
struct Outcome {
    calls: Vec<Came>,
    sent: Vec<u8>,
    refused: Option<Violation>,
    goodbye: Option<String>,
}

/// What came of one call.
#[derive(Debug, Default, PartialEq)]
struct Came {
    status: Option<u16>,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    over: Option<Result<(), String>>,
}

impl Outcome {
    /// `kind` says whether a message is longer than the server's window, and
    /// whether all calls but the first are listened to.
    fn of(pieces: &[&[u8]], kind: u8) -> Self {
        let mut state = State::new();
        let message = Bytes::from(vec![b'm'; if kind & 1 == 0 { 3 } else { 70_000 }]);
        let block = request_block(false, "h", "/", &HeaderMap::new());
        let keys: Vec<usize> = (0..CALLS)
            .flat_map(|_| state.begin(block.clone(), message.clone()))
            .collect();
        if kind & 2 != 0 {
            for &key in keys.iter().skip(1) {
                state.calls[key].listen(Box::new(Heard(Vec::new())));
            }
        }
        let (mut receiver, mut gulp) = (Receiver::new(), Gulp::new());
        let mut held = VecDeque::new();
        let mut refused = None;
        let settings: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
        for mut piece in [&[settings], pieces].concat() {
            while !piece.is_empty() && refused.is_none() {
                let room = gulp.room();
                let len = room.len().min(piece.len());
                room[..len].copy_from_slice(&piece[..len]);
                gulp.filled(len);
                piece = &piece[len..];
                refused = receiver.take(&mut gulp, &mut state).err();
                // Somebody may look at some pieces for long.
                held.extend(state.calls.iter().map(|(_, call)| call.peek()));
                held.truncate(5);
            }
        }
        if let Some(violation) = refused {
            state.fail(Error::Violated(violation));
        }
        let calls = keys.iter().map(|&key| Came::of(&mut state, key)).collect();
        let goodbye = state.goodbye.as_ref().map(ToString::to_string);
        Self {
            calls,
            sent: std::mem::take(&mut state.out),
            refused,
            goodbye,
        }
    }
}

impl Came {
    fn of(state: &mut State, key: usize) -> Self {
        let mut came = Self::default();
        let call = &mut state.calls[key];
        if let Some(head) = call.rest.head.take() {
            came.status = head.status.map(|status| status.as_u16());
            came.headers = head.map;
        }
        came.trailers = call.rest.trailers.take();
        came.over = call.over().cloned().map(|how| {
            how.map_err(|error| {
                let words = error.to_string();
                for_people(&Told::new(ErrorKind::Cut, words.clone()));
                words
            })
        });
        if let Some(listener) = state.calls[key].unlisten() {
            let heard: Box<dyn Any> = listener;
            let heard = heard.downcast::<Heard>();
            came.body = heard.map(|heard| heard.0).unwrap_or_default();
        }
        while let Some(piece) = state.calls[key].pop() {
            came.body.extend_from_slice(&piece);
        }
        came
    }
}
