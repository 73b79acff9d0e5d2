//! A call: what is left to send of it, and what has come for it. Knows no
//! connection.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::task::{Context, Waker};

use bytes::Bytes;
use tonic::codegen::http::HeaderMap;

use super::error::Error;
use super::headers::Headers;

/// A call.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// 0: not begun.
    pub(super) number: u32,
    /// What is to be sent yet: the headers' block, the message.
    pub(super) block: Vec<u8>,
    pub(super) body: Bytes,
    /// The message has gone out, or nobody wants the rest.
    pub(super) sent: bool,
    pub(super) send_window: i64,
    pub(super) receive_window: i64,
    pub(super) untold: u32,
    /// What has come and was not taken.
    pub(super) head: Option<Headers>,
    pub(super) pieces: Pieces,
    pub(super) trailers: Option<HeaderMap>,
    /// The answer's head has come, taken or not.
    pub(super) has_head: bool,
    /// Nothing follows what has come.
    pub(super) over: Option<Result<(), Error>>,
    pub(super) waker: Option<Waker>,
}

/// Pieces of a body: mostly one.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    first: Bytes,
    more: VecDeque<Bytes>,
}

impl Pieces {
    #[inline]
    pub(super) fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
        } else if !piece.is_empty() {
            self.more.push_back(piece);
        }
    }

    /// The next, which stays.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn peek(&self) -> Bytes {
        self.first.clone()
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if self.first.is_empty() {
            return None;
        }
        let next = if self.more.is_empty() {
            Bytes::new()
        } else {
            self.more.pop_front().unwrap_or_default()
        };
        Some(std::mem::replace(&mut self.first, next))
    }
}

impl Call {
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
pub(super) type Numbers = HashMap<u32, usize, BuildHasherDefault<Plain>>;

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
