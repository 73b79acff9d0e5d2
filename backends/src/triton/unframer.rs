//! Messages out of the pieces of a body, as gRPC frames them. Knows no call.
//!
//! tonic's own client copies each piece that HTTP/2 brings into a buffer of the
//! call and hands it to prost. Here a message stays where HTTP/2 read it, as long
//! as it came in one piece; what it says is read there (see `reply`).

use bytes::{Buf, Bytes, BytesMut};
use tonic::Status;
use tonic::codegen::http::StatusCode;

use super::budget::{Budget, Share, TOGETHER_BYTES_MAX};
use super::wire::MESSAGE_LIMIT_BYTES;

/// One byte that says whether the message is compressed, four for its length.
pub(super) const PREFIX_BYTES: usize = 5;

/// The most memory that is set aside for a message of which only the length
/// has come.
const TRUSTED_BYTES: usize = 1 << 20;

/// Makes messages of the pieces of a body, which are cut anywhere.
#[derive(Debug)]
pub(super) struct Unframer {
    /// What has come of messages that are not whole, or not the next; mostly nothing,
    /// and then no memory that would have to be looked at.
    rest: Option<Box<Unfinished>>,
    budget: Budget,
    http: StatusCode,
}

/// What follows the last message that was taken.
#[derive(Debug)]
struct Unfinished {
    /// What is left of the last piece, when `partial` is empty.
    piece: Bytes,
    /// The begin of a message that comes in several pieces.
    partial: BytesMut,
    /// What that may take, if it is much, and whether that was asked for.
    share: Share,
    has_share: bool,
}

impl Unframer {
    /// One for an answer with that status.
    pub(super) fn new(http: StatusCode) -> Self {
        Self {
            rest: None,
            budget: Budget::default(),
            http,
        }
    }

    /// Takes the memory for long messages from there.
    pub(super) fn limit(&mut self, budget: &Budget) {
        self.budget = budget.clone();
    }

    /// Memory that was set aside for a message that is not whole, bytes.
    #[cfg(test)]
    pub(super) fn set_aside_bytes(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| rest.partial.capacity())
    }

    /// Takes a piece; the next message, without its prefix, if all of it is there.
    ///
    /// # Errors
    /// When what comes is no message. Nothing follows.
    #[inline]
    pub(super) fn take(&mut self, mut piece: Bytes) -> Result<Option<Bytes>, Status> {
        if self.rest.is_none() && is_whole(&piece) {
            // Mostly a piece is a message.
            piece.advance(PREFIX_BYTES);
            return Ok(Some(piece));
        }
        self.keep(piece);
        self.next()
    }

    /// The next message of what was taken before.
    ///
    /// # Errors
    /// As [`Self::take`].
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Status> {
        match self.rest {
            None => Ok(None),
            Some(_) => self.whole(),
        }
    }

    #[inline(never)]
    fn keep(&mut self, piece: Bytes) {
        let budget = &self.budget;
        let rest = self
            .rest
            .get_or_insert_with(|| Box::new(Unfinished::of(budget)));
        rest.take(piece);
    }

    #[inline(never)]
    fn whole(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(there) = &mut self.rest else {
            return Ok(None);
        };
        let Some((flag, len)) = prefix(there.bytes()) else {
            return Ok(None);
        };
        if flag != 0 || len > MESSAGE_LIMIT_BYTES {
            return Err(self.unreadable(flag, len));
        }
        if let Some(message) = there.split(len) {
            if there.is_empty() {
                self.rest = None;
            }
            return Ok(Some(message));
        }
        if len > TRUSTED_BYTES && !there.has_share {
            if !there.share.take(len) {
                return Err(too_much(len));
            }
            there.has_share = true;
        }
        there.collect(PREFIX_BYTES + len.min(TRUSTED_BYTES));
        Ok(None)
    }

    /// Whether there is a part of a message.
    pub(super) fn has_some(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| !rest.is_empty())
    }

    /// Why a prefix is refused, in tonic's words.
    #[cold]
    fn unreadable(&self, flag: u8, len: usize) -> Status {
        match flag {
            0 => Status::out_of_range(format!(
                "Error, decoded message length too large: found {len} bytes, the limit is: \
                 {MESSAGE_LIMIT_BYTES} bytes"
            )),
            1 => Status::internal(
                "protocol error: received message with compressed-flag but no grpc-encoding was \
                 specified",
            ),
            _ => Status::internal(format!(
                "protocol error: received message with invalid compression flag: {flag} (valid \
                 flags are 0 and 1) while receiving response with status: {}",
                self.http
            )),
        }
    }
}

impl Unfinished {
    fn of(budget: &Budget) -> Self {
        Self {
            piece: Bytes::new(),
            partial: BytesMut::new(),
            share: Share::of(budget),
            has_share: false,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self.partial.is_empty() {
            true => &self.piece,
            false => &self.partial,
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    fn take(&mut self, piece: Bytes) {
        if self.is_empty() {
            self.piece = piece;
            return;
        }
        self.collect(piece.len());
        self.partial.extend_from_slice(&piece);
    }

    /// Has what there is in memory of its own, with room for a message of so many
    /// bytes.
    fn collect(&mut self, bytes: usize) {
        if self.partial.is_empty() {
            self.partial.reserve(bytes);
            self.partial.extend_from_slice(&self.piece);
            self.piece = Bytes::new();
        }
    }

    /// The first message, without its prefix, which says that it has `len` bytes.
    fn split(&mut self, len: usize) -> Option<Bytes> {
        let end = PREFIX_BYTES + len;
        if self.bytes().len() < end {
            return None;
        }
        let mut message = match self.partial.is_empty() {
            true => self.piece.split_to(end),
            false => self.partial.split_to(end).freeze(),
        };
        message.advance(PREFIX_BYTES);
        self.has_share = false;
        Some(message)
    }
}

/// The flag of a prefix and the length that it states; `None` where not all of it
/// is there.
#[inline]
fn prefix(bytes: &[u8]) -> Option<(u8, usize)> {
    let [flag, length @ ..] = *bytes.first_chunk::<PREFIX_BYTES>()?;
    let len = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    Some((flag, len))
}

/// Whether a piece is one message, and that a usual one.
#[inline]
fn is_whole(piece: &[u8]) -> bool {
    let len = piece.len().saturating_sub(PREFIX_BYTES);
    prefix(piece) == Some((0, len)) && len <= MESSAGE_LIMIT_BYTES
}

/// A message that is too long beside the others.
#[cold]
fn too_much(len: usize) -> Status {
    Status::out_of_range(format!(
        "Error, decoded message length too large: found {len} bytes beside other long messages, \
         the limit for all of them is: {TOGETHER_BYTES_MAX} bytes"
    ))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tonic::codegen::http::StatusCode;

    use super::Unframer;
    use crate::triton::budget::Budget;

    /// 200 MiB, of which a few bytes have come, cut anywhere.
    #[test]
    fn long_messages_share_their_memory_however_they_are_cut() {
        let begin = [0, 12, 128, 0, 0, 1, 2];
        for cut in 1..begin.len() {
            let budget = Budget::default();
            let mut all = Vec::new();
            let taken = (0..6).map(|_| {
                let mut one = Unframer::new(StatusCode::OK);
                one.limit(&budget);
                let (first, rest) = begin.split_at(cut);
                let taken = one.take(Bytes::copy_from_slice(first));
                let taken = taken.and_then(|_| one.take(Bytes::copy_from_slice(rest)));
                all.push(one);
                taken.is_ok()
            });
            let taken: Vec<bool> = taken.collect();
            assert_eq!(taken, [true, true, true, true, true, false], "{cut}");
        }
    }
}
