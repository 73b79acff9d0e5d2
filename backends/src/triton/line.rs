//! The HTTP/2 connection that calls go over. Drives it by a task of its own;
//! each call speaks to it directly. Knows no gRPC beyond its headers.
//!
//! tonic's channel and hyper stand between a call and its connection with two
//! tasks and three queues; what that costs is in `docs/performance.md`. tonic's
//! generated client, for what is not timed, goes over the same connection.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use hyper::body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::Status;
use tonic::codegen::Service;
use tonic::codegen::http::uri::{Authority, Scheme};
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response, header};

use super::grpc::Pieces;
use crate::event_loop;
use crate::http2::{self, Call, Connection, Listener, Reason, request_block};

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
    connection: Connection,
    origin: Arc<Origin>,
    /// The same for all its clones, and for no other line of the client.
    pub(super) number: u64,
}

impl Line {
    /// Says hello on a connection that is open, and drives it from now on, on
    /// the thread of the caller. Does not wait for the server.
    ///
    /// No keepalive: Triton closes the connection on pings that come oftener
    /// than every 300 s while no data flows.
    ///
    /// # Errors
    /// When the hello cannot be written.
    pub(super) async fn over<S>(stream: S, origin: Arc<Origin>) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (connection, driver) = Connection::over(stream).await?;
        event_loop::spawn(driver);
        Ok(Self {
            connection,
            origin,
            number: 0,
        })
    }

    /// Waits for the server's first word.
    ///
    /// # Errors
    /// When the connection ends before.
    pub(super) async fn greeted(&self) -> Result<(), http2::Error> {
        self.connection.greeted().await
    }

    /// Whether a call could start: the connection neither broke nor was the
    /// server's goodbye seen.
    pub(super) fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Sends `message` to the method at `path`, half closes the call and waits
    /// for the answer's headers.
    ///
    /// # Errors
    /// When the connection breaks, or the server resets the call.
    pub(super) async fn call(
        self,
        path: &str,
        headers: &HeaderMap,
        message: Bytes,
    ) -> Result<Response<Received>, Status> {
        let Origin { scheme, authority } = &*self.origin;
        let is_https = *scheme == Scheme::HTTPS;
        let block = request_block(is_https, authority.as_str(), path, headers);
        let mut call = self.connection.call(block, message).map_err(broken)?;
        let (status, headers) = poll_fn(|cx| call.poll_head(cx)).await.map_err(broken)?;
        let mut response = Response::new(Received(call));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
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
fn broken(error: http2::Error) -> Status {
    Status::from_error(Box::new(error))
}

/// What comes of an answer behind its headers. Dropping it cancels the call.
#[derive(Debug)]
pub(super) struct Received(Call);

impl Pieces for Received {
    #[inline]
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        match ready!(self.0.poll_piece(cx)) {
            Some(Ok(piece)) => Poll::Ready(Some(Ok(piece))),
            None => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(ended(error)),
        }
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.0.take_trailers()
    }
}

impl Received {
    /// Has the pieces taken where they are read; see [`Call::listen`].
    pub(super) fn listen(&mut self, listener: Box<dyn Listener>) {
        self.0.listen(listener);
    }

    /// Waits for what `done` finds in the listener; see [`Call::poll_listener`].
    pub(super) fn poll_listener<L: Listener, T>(
        &mut self,
        cx: &mut Context<'_>,
        done: impl FnOnce(&mut L) -> Option<T>,
    ) -> Poll<Option<T>> {
        self.0.poll_listener(cx, done)
    }

    /// Who listened.
    pub(super) fn unlisten<L: Listener>(&mut self) -> Option<Box<L>> {
        self.0.unlisten()
    }
}

/// A reset that only says that nothing more comes is an end, if an early one.
#[cold]
fn ended(error: http2::Error) -> Option<Result<Bytes, Status>> {
    match error {
        http2::Error::Reset(Reason::NO_ERROR | Reason::CANCEL) => None,
        error => Some(Err(broken(error))),
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(match ready!(self.poll_piece(cx)) {
            Some(piece) => Some(piece.map(Frame::data)),
            None => self.take_trailers().map(|map| Ok(Frame::trailers(map))),
        })
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
            let message = whole(body).await?;
            line.call(parts.uri.path(), &parts.headers, message).await
        })
    }
}

async fn whole(mut body: tonic::body::Body) -> Result<Bytes, Status> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(piece) = frame?.into_data() {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(bytes.freeze())
}
