//! The HTTP/2 connection that calls go over. Drives it by a task of its own;
//! each call speaks to it directly. Knows no gRPC beyond its headers.
//!
//! tonic's channel and hyper stand between a call and its connection with two
//! tasks and three queues; what that costs is in `docs/performance.md`. Its
//! generated client, for what is not timed, goes over the same connection.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream};
use hyper::body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::Status;
use tonic::codegen::Service;
use tonic::codegen::http::uri::{Authority, Parts, PathAndQuery, Scheme};
use tonic::codegen::http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header,
};

use crate::event_loop;

/// How much a server may send ahead of what has been read, over all calls of a
/// connection, bytes.
///
/// The usual few MiB are less than what turbomind sends for one token of each of
/// 64 streams with long sessions (131 kB each at 32,768 tokens); a server that
/// has to wait for the client would be measured by its waiting.
const WINDOW_BYTES: u32 = 256 << 20;

/// The same for one call. More would only let a server that outruns the client
/// queue up for longer.
const CALL_WINDOW_BYTES: u32 = 2 << 20;

/// The most that the headers or trailers of an answer may take.
const HEADERS_BYTES_MAX: u32 = 64 << 10;

const USER_AGENT: &str = concat!("pairbench/", env!("CARGO_PKG_VERSION"));

/// Where calls go.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
}

/// A connection for calls. Clones share it; it is closed when the last is gone
/// and no call is open.
#[derive(Clone, Debug)]
pub(super) struct Line {
    sender: SendRequest<Bytes>,
    origin: Arc<Origin>,
    /// The same for all its clones, and for no other line of the client.
    pub(super) number: u64,
    last_word: LastWord,
}

/// Why the server ended the connection, if it said so. Its streams may not be
/// told: those that it had promised to answer just break off.
type LastWord = Arc<OnceLock<String>>;

impl Line {
    /// Says hello on a connection that is open, and drives it from now on, on
    /// the thread of the caller. Does not wait for the server.
    ///
    /// No keepalive: Triton closes the connection on pings that come oftener
    /// than every 300 s while no data flows.
    ///
    /// # Errors
    /// When the hello cannot be written.
    pub(super) async fn over<S>(stream: S, origin: Arc<Origin>) -> Result<Self, h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(CALL_WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_header_list_size(HEADERS_BYTES_MAX)
            .handshake(stream)
            .await?;
        let last_word = LastWord::default();
        let said = Arc::clone(&last_word);
        event_loop::spawn(async move {
            // How else it ends is told to each of its calls.
            if let Err(error) = connection.await
                && error.is_go_away()
                && error.is_remote()
            {
                let _ = said.set(error.to_string());
            }
        });
        Ok(Self {
            sender,
            origin,
            number: 0,
            last_word,
        })
    }

    /// Whether a call could start: the connection neither broke nor was the
    /// server's goodbye seen.
    pub(super) fn is_open(&self) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        !matches!(self.sender.clone().poll_ready(cx), Poll::Ready(Err(_)))
    }

    /// Sends `message` to the method at `path`, half closes the call and waits
    /// for the answer's headers.
    ///
    /// # Errors
    /// When the connection breaks, or the server resets the call.
    pub(super) async fn call(
        self,
        path: PathAndQuery,
        headers: HeaderMap,
        message: Bytes,
    ) -> Result<Response<Received>, Status> {
        let last_word = self.last_word;
        let broken = |error| broken(error, &last_word);
        let mut sender = self.sender.ready().await.map_err(broken)?;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.origin.uri(path)?;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = headers;
        let (response, mut body) = sender.send_request(request, false).map_err(broken)?;
        body.send_data(message, true).map_err(broken)?;
        let response = response.await.map_err(broken)?;
        Ok(response.map(|stream| Received {
            stream,
            has_data: true,
            taken_bytes: 0,
            last_word,
        }))
    }
}

impl Origin {
    fn uri(&self, path: PathAndQuery) -> Result<Uri, Status> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).map_err(|error| Status::internal(error.to_string()))
    }
}

/// The headers of every call.
pub(super) fn headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    let grpc = HeaderValue::from_static("application/grpc");
    headers.insert(header::CONTENT_TYPE, grpc);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers
}

/// The failure of the transport that ended a call.
#[cold]
fn broken(error: h2::Error, last_word: &LastWord) -> Status {
    match last_word.get() {
        Some(word) => Status::from_error(Box::new(Ended {
            words: format!("the server had said: {word}"),
            error,
        })),
        None => Status::from_error(Box::new(error)),
    }
}

/// A failure, and what the server had said before.
#[derive(Debug)]
struct Ended {
    words: String,
    error: h2::Error,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Ended {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// What comes of an answer behind its headers. Dropping it cancels the call.
#[derive(Debug)]
pub(super) struct Received {
    stream: RecvStream,
    has_data: bool,
    /// Bytes that were taken and that the server was not told of yet.
    taken_bytes: usize,
    last_word: LastWord,
}

/// After how many bytes of a call the server may send as many more. Little next to
/// what all calls may have on their way ([`WINDOW_BYTES`]): 32,768 calls would have
/// to hold back as much; and no lot so small that each message is one.
const LOT_BYTES: usize = 8 << 10;

impl Body for Received {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.has_data {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(piece)) => {
                    self.taken_bytes += piece.len();
                    if self.taken_bytes >= LOT_BYTES {
                        let lot = std::mem::take(&mut self.taken_bytes);
                        // It can only fail for a call that is over, which the next look shows.
                        let _ = self.stream.flow_control().release_capacity(lot);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Some(Err(error)) => return Poll::Ready(ended(error, &self.last_word)),
                None => self.has_data = false,
            }
        }
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(ended(error, &self.last_word)),
        }
    }
}

/// A reset that only says that nothing more comes is an end, if an early one.
#[cold]
fn ended(error: h2::Error, last_word: &LastWord) -> Option<Result<Frame<Bytes>, Status>> {
    match error.reason() {
        Some(Reason::NO_ERROR | Reason::CANCEL) if error.is_remote() => None,
        _ => Some(Err(broken(error, last_word))),
    }
}

/// For tonic's generated client, whose calls carry one message.
impl Service<Request<tonic::body::Body>> for Line {
    type Response = Response<Received>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let line = self.clone();
        let (mut parts, body) = request.into_parts();
        parts.headers.extend(headers());
        Box::pin(async move {
            let path = parts.uri.into_parts().path_and_query;
            let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
            line.call(path, parts.headers, whole(body).await?).await
        })
    }
}

async fn whole(mut body: tonic::body::Body) -> Result<Bytes, Status> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(piece) = frame?.into_data() {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(bytes.freeze())
}
