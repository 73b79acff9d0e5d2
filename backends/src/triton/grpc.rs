//! gRPC on a [`Line`], as far as an inference needs it: one message
//! out, messages in, and how the call ended. Knows no message
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tonic::codegen::http::header::CONTENT_TYPE;
use tonic::codegen::http::{HeaderMap, HeaderValue, StatusCode};
use tonic::{Code, Status};

use super::budget::Budget;
use super::line::{Line, Received};
use super::unframer::{PREFIX_BYTES, Unframer};
use crate::excerpt;

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
            let mut messages = Messages::of(response.into_body(), http, status.is_some());
            messages.unframer.limit(budget);
            Ok(messages)
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
pub(super) struct Messages<B = Received> {
    body: B,
    unframer: Unframer,
    http: StatusCode,
    /// The status came with the headers: there are no trailers.
    has_status: bool,
    over: bool,
}

impl<B: Pieces> Messages<B> {
    /// The messages of an answer whose headers have come, with the call's status
    /// or without.
    pub(super) fn of(body: B, http: StatusCode, has_status: bool) -> Self {
        Self {
            body,
            unframer: Unframer::new(http),
            http,
            has_status,
            over: false,
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
        if self.over {
            return Poll::Ready(Ok(None));
        }
        let mut message = self.unframer.next();
        while let Ok(None) = message {
            message = match std::task::ready!(self.body.poll_piece(cx)) {
                Some(Ok(piece)) => self.unframer.take(piece),
                Some(Err(status)) => Err(status),
                None => {
                    self.over = true;
                    return Poll::Ready(self.end().map(|()| None));
                }
            };
        }
        self.over = message.is_err();
        Poll::Ready(message)
    }

    /// What the end of the answer means.
    fn end(&mut self) -> Result<(), Status> {
        let trailers = self.body.take_trailers();
        if trailers.is_none() && self.unframer.has_some() {
            return Err(Status::internal("Unexpected EOF decoding stream."));
        }
        match trailers.as_ref().and_then(Status::from_header_map) {
            Some(status) if status.code() == Code::Ok => Ok(()),
            Some(status) => Err(status),
            None if self.has_status => Ok(()),
            None => Err(without_status(self.http)),
        }
    }
}

impl Messages {
    /// The call, and what makes messages of its pieces, for as long as those are
    /// taken elsewhere.
    pub(super) fn lend(&mut self) -> (&mut Received, Unframer) {
        let stand_in = Unframer::new(self.http);
        let lent = std::mem::replace(&mut self.unframer, stand_in);
        (&mut self.body, lent)
    }

    /// The call.
    pub(super) fn body(&mut self) -> &mut Received {
        &mut self.body
    }

    /// Goes on with what was lent.
    pub(super) fn take_back(&mut self, unframer: Unframer) {
        self.unframer = unframer;
    }
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
