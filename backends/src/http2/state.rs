//! What a connection and its calls have come to. Reads and writes no socket:
//! what is to be sent lies in [`State::out`].

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use slab::Slab;

use super::call::{CALL_WINDOW_BYTES, Call, Got, Numbers};
use super::error::{Error, Goodbye, Reason, Violation};
use super::frame::{self, LARGEST};

/// How much a server may send ahead of what has been read, over all calls of a
/// connection, bytes.
///
/// The usual few MiB are less than what turbomind sends for one token of each of
/// 64 streams with long sessions (131 kB each at 32,768 tokens); a server that
/// has to wait for the client would be measured by its waiting.
pub(super) const WINDOW_BYTES: u32 = 256 << 20;

/// The window of either side before anything is said (RFC 9113, 6.9.2).
pub(super) const FIRST_WINDOW_BYTES: u32 = 65_535;

/// Calls that are begun before the server said how many it takes.
const FIRST_CALLS: u32 = 100;

/// The number of the last call that a connection can have.
pub(super) const LAST_CALL: u32 = LARGEST;

/// Bytes of answers to the server's own questions that wait to be sent, beyond which
/// nothing is read: a server that asks and does not listen is not listened to. Calls
/// do not count: one that reads nothing before it has written must be read from.
const REPLIES_BYTES_MAX: usize = 64 << 10;

/// What the server said of itself.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) calls: u32,
    pub(super) window_bytes: u32,
    pub(super) frame_bytes: usize,
}

/// A connection.
pub(super) struct State {
    pub(super) calls: Slab<Call>,
    /// The calls that are not over, by their numbers.
    pub(super) numbers: Numbers,
    pub(super) next_number: u32,
    /// Calls that have something left to send, in their order.
    pub(super) sending: VecDeque<usize>,
    /// Frames to be written.
    pub(super) out: Vec<u8>,
    /// Those of them that answer the server's own questions, bytes.
    replies_bytes: usize,
    pub(super) peer: Peer,
    /// What the server still takes, and what it may still send.
    pub(super) send_window: i64,
    receive_window: i64,
    /// Bytes that were taken and that the server was not told of yet.
    untold: u32,
    /// The server has said its first word, and who waits for that.
    pub(super) greeted: bool,
    pub(super) greeter: Option<Waker>,
    pub(super) goodbye: Option<Goodbye>,
    /// Set when the connection is over.
    pub(super) failed: Option<Error>,
    pub(super) driver: Option<Waker>,
    /// Who may still make calls.
    pub(super) handles: usize,
}

impl State {
    pub(super) fn new() -> Self {
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(frame::PREFACE);
        let settings = [
            (frame::setting::HEADER_TABLE_SIZE, 0),
            (frame::setting::ENABLE_PUSH, 0),
            (frame::setting::INITIAL_WINDOW_SIZE, CALL_WINDOW_BYTES),
            (
                frame::setting::MAX_HEADER_LIST_SIZE,
                u32::try_from(super::headers::BLOCK_BYTES_MAX).unwrap_or(LARGEST),
            ),
        ];
        frame::settings(&mut out, &settings);
        frame::window_update(&mut out, 0, WINDOW_BYTES - FIRST_WINDOW_BYTES);
        Self {
            calls: Slab::new(),
            numbers: Numbers::default(),
            next_number: 1,
            sending: VecDeque::new(),
            out,
            replies_bytes: 0,
            peer: Peer {
                calls: FIRST_CALLS,
                window_bytes: FIRST_WINDOW_BYTES,
                frame_bytes: frame::FRAME_BYTES_MAX,
            },
            send_window: i64::from(FIRST_WINDOW_BYTES),
            receive_window: i64::from(WINDOW_BYTES),
            untold: 0,
            greeted: false,
            greeter: None,
            goodbye: None,
            failed: None,
            driver: None,
            handles: 1,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.failed.is_none() && self.goodbye.is_none() && self.next_number < LAST_CALL
    }

    /// Whether nobody can want anything any more.
    pub(super) fn is_done(&self) -> bool {
        self.handles == 0 && self.calls.is_empty()
    }

    /// Whether so much waits to be written that nothing is to be read.
    pub(super) fn is_clogged(&self) -> bool {
        self.replies_bytes > REPLIES_BYTES_MAX
    }

    /// Answers SETTINGS or PING.
    pub(super) fn reply(&mut self, kind: u8, payload: &[u8]) {
        let before = self.out.len();
        frame::ack(&mut self.out, kind, payload);
        self.replies_bytes += self.out.len() - before;
    }

    /// Hands the frames over to be written, in exchange for room.
    pub(super) fn take_out(&mut self, written: &mut Vec<u8>) {
        written.clear();
        std::mem::swap(written, &mut self.out);
        self.replies_bytes = 0;
    }

    pub(super) fn wake_driver(&self) {
        if let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }

    /// Nobody wants the call any more. What is left of it is to be dropped when the
    /// state is not held.
    #[must_use]
    pub(super) fn end(&mut self, key: usize) -> Option<Call> {
        let mut call = self.calls.try_remove(key)?;
        self.sending.retain(|&sending| sending != key);
        while let Some(piece) = call.pop() {
            self.took(piece.len());
        }
        let open = self.numbers.remove(&call.rest.number).is_some();
        if call.rest.number != 0 && (open || !call.rest.sent) && self.failed.is_none() {
            frame::reset(&mut self.out, call.rest.number, Reason::CANCEL);
        }
        if open {
            // Its place may have been waited for.
            self.send();
        }
        if self.is_done() || !self.out.is_empty() {
            self.wake_driver();
        }
        Some(call)
    }

    /// The next piece of a call's body; the server may send as much again.
    #[inline]
    pub(super) fn take_piece(&mut self, key: usize) -> Option<Bytes> {
        let piece = self.calls.get_mut(key)?.pop()?;
        self.tell(key);
        self.took(piece.len());
        Some(piece)
    }

    /// Tells the server what it may send again of a call, if that is much.
    #[inline]
    fn tell(&mut self, key: usize) {
        let call = &mut self.calls[key];
        if let Some(untold) = call.take_untold() {
            frame::window_update(&mut self.out, call.rest.number, untold);
            self.wake_driver();
        }
    }

    /// That much of what the server sent is nowhere any more.
    #[inline]
    pub(super) fn took(&mut self, bytes: usize) {
        self.untold += u32::try_from(bytes).unwrap_or(LARGEST);
        if self.untold >= WINDOW_BYTES / 4 {
            self.receive_window += i64::from(self.untold);
            frame::window_update(&mut self.out, 0, self.untold);
            self.untold = 0;
            self.wake_driver();
        }
    }

    /// Whether the server may send so many bytes of DATA.
    #[inline]
    pub(super) fn receive(&mut self, bytes: usize) -> Result<(), Violation> {
        self.receive_window -= i64::try_from(bytes).unwrap_or(i64::MAX);
        if self.receive_window < 0 {
            let words = "more data than all calls together may have on their way";
            return Err(Violation::new(Reason::FLOW_CONTROL_ERROR, words));
        }
        Ok(())
    }

    /// The key of a call that is not over, by its number.
    ///
    /// # Errors
    /// When there never was such a call.
    #[inline]
    pub(super) fn find(&self, number: u32) -> Result<Option<usize>, Violation> {
        match self.numbers.get(&number) {
            Some(&key) => Ok(usize::try_from(key).ok()),
            None if number % 2 == 1 && number < self.next_number => Ok(None),
            None => Err(Violation::protocol("a frame for a call that never was")),
        }
    }

    /// Looks at what a piece of that call will need; see [`Call::look_ahead`].
    #[inline]
    pub(super) fn look_ahead(&self, number: u32) -> u64 {
        let key = self.numbers.get(&number);
        let key = key.and_then(|&key| usize::try_from(key).ok());
        key.and_then(|key| self.calls.get(key))
            .map_or(0, Call::look_ahead)
    }

    /// Nothing more comes for a call.
    pub(super) fn finish(&mut self, key: usize, how: Result<(), Error>) {
        let call = &mut self.calls[key];
        if !call.rest.sent {
            // Nobody reads the rest of the message.
            call.rest.body = Bytes::new();
            call.rest.sent = true;
            self.sending.retain(|&sending| sending != key);
            if how.is_ok() {
                frame::reset(&mut self.out, call.rest.number, Reason::NO_ERROR);
            }
        }
        if call.rest.number != 0 {
            self.numbers.remove(&call.rest.number);
        }
        call.finish(how);
        call.wake();
        self.send();
    }

    /// Ends a call whose answer breaks a rule.
    pub(super) fn refuse(&mut self, key: usize, violation: Violation) {
        let number = self.calls[key].rest.number;
        frame::reset(&mut self.out, number, violation.reason);
        self.finish(key, Err(Error::Violated(violation)));
    }

    /// A piece of a call's body has come, which took so many bytes of the windows.
    #[inline]
    pub(super) fn deliver(&mut self, key: usize, piece: Bytes, bytes: usize) {
        let call = &mut self.calls[key];
        call.receive_window -= i32::try_from(bytes).unwrap_or(i32::MAX);
        if call.receive_window < 0 {
            let words = "more data than one call may have on its way";
            self.refuse(key, Violation::new(Reason::FLOW_CONTROL_ERROR, words));
            return self.took(bytes);
        }
        // What padding took can be sent again at once, and what was heard.
        let padding = bytes - piece.len();
        let nowhere = match call.push(piece) {
            Got::Kept => padding,
            Got::Heard => bytes,
        };
        if nowhere > 0 {
            self.tell(key);
            self.took(nowhere);
        }
    }

    /// The server has said what it is like.
    pub(super) fn greet(&mut self) {
        self.greeted = true;
        if let Some(greeter) = self.greeter.take() {
            greeter.wake();
        }
    }

    /// The server takes no more calls.
    pub(super) fn said_goodbye(&mut self, goodbye: &Goodbye) {
        self.goodbye = Some(goodbye.clone());
        let unbegun = |call: &Call| call.rest.number == 0 || call.rest.number > goodbye.last;
        let calls = self.calls.iter();
        let open = calls.filter(|(_, call)| !call.is_over && unbegun(call));
        for key in open.map(|(key, _)| key).collect::<Vec<_>>() {
            self.finish(key, Err(Error::Unbegun(goodbye.clone())));
        }
    }

    /// The connection is over, and with it every call that is not.
    pub(super) fn fail(&mut self, error: Error) {
        let error = match (error, &self.goodbye) {
            (Error::Broken(cause), Some(goodbye)) => Error::BrokenBehind(goodbye.clone(), cause),
            (error, _) => error,
        };
        if self.failed.is_none() {
            self.failed = Some(error.clone());
        }
        if let Some(greeter) = self.greeter.take() {
            greeter.wake();
        }
        self.sending.clear();
        self.numbers.clear();
        for (_, call) in &mut self.calls {
            if !call.is_over {
                call.rest.sent = true;
                call.finish(Err(error.clone()));
                call.wake();
            }
        }
    }
}
