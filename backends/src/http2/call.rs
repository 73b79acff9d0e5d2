//! A call: what is left to send of it, and what has come for it. Knows no
//! connection.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::task::{Context, Waker};

use bytes::Bytes;
use tonic::codegen::http::HeaderMap;

use super::error::Error;
use super::frame::LARGEST;
use super::headers::Headers;
use super::state::CALL_WINDOW_BYTES;

/// A call: what a piece of its answer needs, in one cache line. For a token that
/// arrives alone each further one is a wait for memory.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Call {
    /// What has come of the body and was not taken: mostly one piece or none.
    piece: Bytes,
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
}

impl Call {
    /// One of which nothing was sent.
    pub(super) fn new(block: Vec<u8>, body: Bytes) -> Self {
        Self {
            piece: Bytes::new(),
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
    pub(super) fn push(&mut self, piece: Bytes) {
        if self.piece.is_empty() {
            self.piece = piece;
        } else if !piece.is_empty() {
            self.rest.more_bytes += piece.len();
            self.rest.more.push_back(piece);
            self.has_more = true;
        }
    }

    /// The next piece, which stays.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn peek(&self) -> Bytes {
        self.piece.clone()
    }

    /// The next piece.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if self.piece.is_empty() {
            return None;
        }
        let next = if self.has_more {
            self.next()
        } else {
            Bytes::new()
        };
        Some(std::mem::replace(&mut self.piece, next))
    }

    fn next(&mut self) -> Bytes {
        let next = self.rest.more.pop_front().unwrap_or_default();
        self.rest.more_bytes -= next.len();
        self.has_more = !self.rest.more.is_empty();
        next
    }

    /// Bytes that were taken and that the server was not told of, when they are
    /// many; they are about to be told.
    #[inline]
    pub(super) fn untold(&mut self) -> Option<u32> {
        if self.receive_window > WINDOW / 2 || self.is_over {
            return None;
        }
        let waiting = self.piece.len() + self.rest.more_bytes;
        let waiting = i32::try_from(waiting).unwrap_or(i32::MAX);
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
