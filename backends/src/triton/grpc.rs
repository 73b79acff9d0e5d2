//! gRPC on a [`Line`], as far as an inference needs it: one message
//! out, messages in, and how the call ended. Knows the framing and no message
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
//!
//! tonic's own client copies each piece that HTTP/2 brings into a buffer of the
//! call and hands it to prost. Here a message stays where HTTP/2 read it, as long
//! as it came in one piece; what it says is read there (see `reply`).

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tonic::codegen::http::header::CONTENT_TYPE;
use tonic::codegen::http::{HeaderMap, HeaderValue, StatusCode};
use tonic::{Code, Status};

use super::budget::{Budget, Share, TOGETHER_BYTES_MAX};
use super::line::{Line, Received};
use super::wire::MESSAGE_LIMIT_BYTES;
use crate::excerpt;

/// One byte that says whether the message is compressed, four for its length.
pub(super) const PREFIX_BYTES: usize = 5;

/// The most memory that is set aside for a message of which only the length
/// has come.
const TRUSTED_BYTES: usize = 1 << 20;

/// Writes the prefix of a message into the [`PREFIX_BYTES`] that were left free
/// for it.
///
/// # Errors
/// When the message is too long for one: 4 GiB.
pub(super) fn framed(mut bytes: BytesMut) -> Result<Bytes, Status> {
    let len = bytes.len().saturating_sub(PREFIX_BYTES);
    let Some((prefix, _)) = bytes.split_first_chunk_mut::<PREFIX_BYTES>() else {
        return Err(Status::internal("no room for a prefix"));
    };
    let Ok(length) = u32::try_from(len) else {
        return Err(Status::resource_exhausted(format!(
            "{len} bytes are too long for a message of gRPC's"
        )));
    };
    let [a, b, c, d] = length.to_be_bytes();
    *prefix = [0, a, b, c, d];
    Ok(bytes.freeze())
}

/// Calls the method at `path` with one [`framed`] message, and waits for the
/// answer's headers. The call is half closed behind the message.
///
/// # Errors
/// When no answer comes, or one that is a refusal.
pub(super) async fn call(
    line: Line,
    path: &'static str,
    headers: &HeaderMap,
    message: Bytes,
    budget: &Budget,
) -> Result<Messages, Status> {
    let response = line.call(path, headers, message).await?;
    // A refusal needs no body: its status is among the headers.
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => Err(status),
        status => {
            let http = response.status();
            if let Some(status) = not_grpc(http, response.headers()) {
                return Err(status);
            }
            Ok(Messages {
                budget: budget.clone(),
                ..Messages::of(response.into_body(), http, status.is_some())
            })
        }
    }
}

/// A call's answer behind its headers.
pub(super) trait Pieces {
    /// The next bytes of its body; `None` behind the last.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>>;

    /// The headers that came behind the body, if there were any.
    fn take_trailers(&mut self) -> Option<HeaderMap>;
}

/// The messages of one call. Dropping it cancels the call.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Messages<B = Received> {
    body: B,
    /// What has come of messages that are not whole, or not the next; mostly nothing,
    /// and then no memory that would have to be looked at.
    rest: Option<Box<Rest>>,
    http: StatusCode,
    /// The status came with the headers: there are no trailers.
    has_status: bool,
    over: bool,
    budget: Budget,
}

/// What follows the last message that was taken.
#[derive(Debug)]
struct Rest {
    /// What is left of the last piece, when `partial` is empty.
    piece: Bytes,
    /// The begin of a message that comes in several pieces.
    partial: BytesMut,
    /// What that may take, if it is much.
    share: Share,
}

impl<B: Pieces> Messages<B> {
    /// The messages of an answer whose headers have come, with the call's status
    /// or without.
    pub(super) fn of(body: B, http: StatusCode, has_status: bool) -> Self {
        Self {
            body,
            rest: None,
            http,
            has_status,
            over: false,
            budget: Budget::default(),
        }
    }

    /// The next message, without its prefix; `None` at a good end. May be
    /// cancelled without losing a message.
    ///
    /// # Errors
    /// The status that the server ended the call with, a broken connection, or
    /// a message that is none. Nothing follows.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Self::next`].
    #[inline]
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Status>> {
        while !self.over {
            if self.rest.is_some() {
                match self.whole() {
                    Ok(None) => {}
                    Ok(message) => return Poll::Ready(Ok(message)),
                    Err(status) => return self.ended(Err(status)),
                }
            }
            match std::task::ready!(self.body.poll_piece(cx)) {
                Some(Ok(piece)) if self.rest.is_none() && is_whole(&piece) => {
                    // Mostly a piece is a message.
                    let mut message = piece;
                    message.advance(PREFIX_BYTES);
                    return Poll::Ready(Ok(Some(message)));
                }
                Some(Ok(piece)) => self.keep(piece),
                Some(Err(status)) => return self.ended(Err(status)),
                None => {
                    let trailers = self.body.take_trailers();
                    let end = self.end(trailers.as_ref());
                    return self.ended(end);
                }
            }
        }
        Poll::Ready(Ok(None))
    }

    #[inline(never)]
    fn keep(&mut self, piece: Bytes) {
        let budget = &self.budget;
        let rest = self.rest.get_or_insert_with(|| Box::new(Rest::of(budget)));
        rest.take(piece);
    }

    #[cold]
    fn ended(&mut self, how: Result<(), Status>) -> Poll<Result<Option<Bytes>, Status>> {
        self.over = true;
        Poll::Ready(how.map(|()| None))
    }

    /// The next message, if all of it is there.
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
        if there.partial.is_empty() {
            if len > TRUSTED_BYTES && !there.share.take(len) {
                return Err(too_much(len));
            }
            there.collect(PREFIX_BYTES + len.min(TRUSTED_BYTES));
        }
        Ok(None)
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

    /// What the end of the answer means.
    fn end(&self, trailers: Option<&HeaderMap>) -> Result<(), Status> {
        if trailers.is_none() && self.rest.as_ref().is_some_and(|rest| !rest.is_empty()) {
            return Err(Status::internal("Unexpected EOF decoding stream."));
        }
        match trailers.and_then(Status::from_header_map) {
            Some(status) if status.code() == Code::Ok => Ok(()),
            Some(status) => Err(status),
            None if self.has_status => Ok(()),
            None => Err(without_status(self.http)),
        }
    }
}

impl Rest {
    fn of(budget: &Budget) -> Self {
        Self {
            piece: Bytes::new(),
            partial: BytesMut::new(),
            share: Share::of(budget),
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

/// Why an answer's headers are none of gRPC, if they are not. The codes are those
/// of gRPC's table, but for those by which a server says that it has too much to
/// do, and for what nobody but another kind of server would say.
fn not_grpc(http: StatusCode, headers: &HeaderMap) -> Option<Status> {
    let kind = headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    if http == StatusCode::OK && (kind.is_empty() || kind.starts_with(b"application/grpc")) {
        return None;
    }
    let code = match http {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Code::ResourceExhausted,
        http if http.is_success() || http.is_redirection() => Code::Unimplemented,
        http => without_status(http).code(),
    };
    let kind = String::from_utf8_lossy(kind);
    let words = format!(
        "HTTP {} with `{}` came where gRPC was expected: this is no gRPC port, or a proxy in \
         between answers for the server",
        http.as_u16(),
        excerpt(&kind)
    );
    Some(Status::new(code, words))
}

/// An answer that ends without a status, by gRPC's table for it
/// (<https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>).
fn without_status(http: StatusCode) -> Status {
    let code = match http {
        StatusCode::OK => {
            return Status::unknown(
                "protocol error: missing grpc-status trailer, stream was terminated without a \
                 final status",
            );
        }
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    };
    let words = format!(
        "grpc-status header missing, mapped from HTTP status code {}",
        http.as_u16()
    );
    Status::new(code, words)
}

#[cfg(test)]
mod tests;
