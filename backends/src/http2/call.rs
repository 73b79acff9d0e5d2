//! A call: what is left to send of it, and what has come for it. Knows no
//! connection.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Waker};

use bytes::Bytes;
use tonic::codegen::http::HeaderMap;

use super::error::Error;
use super::frame::LARGEST;
use super::headers::Headers;

/// How much a server may send ahead of what has been taken of one call, bytes. More
/// would only let a server that outruns the client queue up for longer.
pub(super) const CALL_WINDOW_BYTES: u32 = 2 << 20;

/// Who takes the pieces of an answer's body where they are read. For a token that
/// arrives alone, to wake a task costs more than all that is done for it.
pub(crate) trait Listener: Any + Send {
    /// Takes the next piece; whether the call's task is to be woken. The connection
    /// is at work: it must not be used here.
    fn hear(&mut self, piece: Bytes) -> bool;

    /// Looks at what the next piece will need, so that memory brings that for all
    /// pieces of a read at once and not one after the other. What it says means
    /// nothing.
    fn look_ahead(&self) -> u64 {
        0
    }
}

/// Where the pieces of a body go.
enum Inbox {
    /// They wait to be taken: mostly one or none, an empty one.
    Kept(Bytes),
    Heard(Box<dyn Listener>),
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(piece) => f.debug_tuple("Kept").field(&piece.len()).finish(),
            Self::Heard(_) => f.write_str("Heard"),
        }
    }
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// It waits to be taken.
    Kept,
    /// It is nowhere any more.
    Heard,
}

/// A call: what a piece of its answer needs, in one cache line. For a token that
/// arrives alone each further one is a wait for memory.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Call {
    inbox: Inbox,
    pub(super) waker: Option<Waker>,
    /// Bytes that the server may still send.
    pub(super) receive_window: i32,
    /// The answer's head has come, taken or not.
    pub(super) has_head: bool,
    /// There are pieces behind the first.
    has_more: bool,
    /// Nothing follows what has come.
    pub(super) is_over: bool,
    pub(super) rest: Box<Rest>,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Call>() == 64);

/// The window of a call as it begins.
const WINDOW: i32 = {
    assert!(CALL_WINDOW_BYTES < LARGEST);
    CALL_WINDOW_BYTES.cast_signed()
};

/// What a call has beside.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// 0: not begun.
    pub(super) number: u32,
    /// What is to be sent yet: the headers' block, the message.
    pub(super) block: Vec<u8>,
    pub(super) body: Bytes,
    /// The message has gone out, or nobody wants the rest.
    pub(super) sent: bool,
    pub(super) send_window: i64,
    /// What has come and was not taken.
    pub(super) head: Option<Headers>,
    more: VecDeque<Bytes>,
    more_bytes: usize,
    pub(super) trailers: Option<HeaderMap>,
    over: Option<Result<(), Error>>,
    /// What the listener died of.
    panic: Option<Box<dyn Any + Send>>,
}

impl Call {
    /// One of which nothing was sent.
    pub(super) fn new(block: Vec<u8>, body: Bytes) -> Self {
        Self {
            inbox: Inbox::Kept(Bytes::new()),
            waker: None,
            receive_window: WINDOW,
            has_head: false,
            has_more: false,
            is_over: false,
            rest: Box::new(Rest {
                block,
                body,
                ..Rest::default()
            }),
        }
    }

    /// A piece of the body has come.
    #[inline]
    pub(super) fn push(&mut self, piece: Bytes) -> Got {
        match &mut self.inbox {
            Inbox::Heard(listener) => {
                // A bug of ours costs one call, not all that share the connection.
                let heard = catch_unwind(AssertUnwindSafe(|| listener.hear(piece)));
                match heard {
                    Ok(false) => return Got::Heard,
                    Ok(true) => {}
                    Err(panic) => drop(self.rest.panic.get_or_insert(panic)),
                }
                self.wake();
                Got::Heard
            }
            Inbox::Kept(first) => {
                if first.is_empty() {
                    *first = piece;
                } else if !piece.is_empty() {
                    self.rest.more_bytes += piece.len();
                    self.rest.more.push_back(piece);
                    self.has_more = true;
                }
                self.wake();
                Got::Kept
            }
        }
    }

    /// See [`Listener::look_ahead`].
    #[inline]
    pub(super) fn look_ahead(&self) -> u64 {
        match &self.inbox {
            Inbox::Heard(listener) => listener.look_ahead(),
            Inbox::Kept(_) => 0,
        }
    }

    /// Has what comes from now on taken where it is read. All that has come before
    /// has to have been taken.
    pub(super) fn listen(&mut self, listener: Box<dyn Listener>) {
        self.inbox = Inbox::Heard(listener);
    }

    /// Who listens, and a panic of theirs.
    pub(super) fn listener(&mut self) -> (Option<&mut dyn Listener>, Option<Box<dyn Any + Send>>) {
        let panic = self.rest.panic.take();
        match &mut self.inbox {
            Inbox::Heard(listener) => (Some(&mut **listener), panic),
            Inbox::Kept(_) => (None, panic),
        }
    }

    /// What comes from now on is kept again.
    pub(super) fn unlisten(&mut self) -> Option<Box<dyn Listener>> {
        match std::mem::replace(&mut self.inbox, Inbox::Kept(Bytes::new())) {
            Inbox::Heard(listener) => Some(listener),
            kept @ Inbox::Kept(_) => {
                self.inbox = kept;
                None
            }
        }
    }

    /// The next piece, which stays.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn peek(&self) -> Bytes {
        match &self.inbox {
            Inbox::Kept(piece) => piece.clone(),
            Inbox::Heard(_) => Bytes::new(),
        }
    }

    /// The next piece.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let Inbox::Kept(first) = &mut self.inbox else {
            return None;
        };
        if first.is_empty() {
            return None;
        }
        let mut next = Bytes::new();
        if self.has_more {
            next = self.rest.more.pop_front().unwrap_or_default();
            self.rest.more_bytes -= next.len();
            self.has_more = !self.rest.more.is_empty();
        }
        Some(std::mem::replace(first, next))
    }

    /// Bytes of the pieces that wait to be taken.
    fn waiting_bytes(&self) -> usize {
        match &self.inbox {
            Inbox::Kept(first) => first.len() + self.rest.more_bytes,
            Inbox::Heard(_) => 0,
        }
    }

    /// Bytes that were taken and that the server was not told of, when they are
    /// many; they are about to be told.
    #[inline]
    pub(super) fn take_untold(&mut self) -> Option<u32> {
        if self.receive_window > WINDOW / 2 || self.is_over {
            return None;
        }
        let waiting = i32::try_from(self.waiting_bytes()).unwrap_or(i32::MAX);
        let untold = WINDOW - self.receive_window - waiting;
        if untold < WINDOW / 2 {
            return None;
        }
        self.receive_window += untold;
        u32::try_from(untold).ok()
    }

    /// Nothing follows.
    pub(super) fn finish(&mut self, how: Result<(), Error>) {
        self.rest.over = Some(how);
        self.is_over = true;
    }

    /// How it ended, if it has.
    pub(super) fn over(&self) -> Option<&Result<(), Error>> {
        self.rest.over.as_ref()
    }

    /// Has the task of `cx` woken by what comes.
    #[inline]
    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        if !matches!(&self.waker, Some(waker) if waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    #[inline]
    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

/// The calls that are not over, by their numbers: a key for each.
pub(super) type Numbers = HashMap<u32, u32, BuildHasherDefault<Plain>>;

/// The numbers of calls as they are: they are counted up, by us.
#[derive(Default)]
pub(super) struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        // The table looks at the highest bits, too.
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0 << 8 | u64::from(byte);
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = u64::from(number);
    }
}
