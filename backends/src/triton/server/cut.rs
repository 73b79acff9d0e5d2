//! Answers that break off: a stream that is reset without a status, which no
//! gRPC library lets a service ask for.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::body::{Body, Frame, SizeHint};
use tonic::Status;
use tonic::codegen::{Service, http};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::server::NamedService;

/// The trailer that turns the end of a response into a reset. It never
/// reaches the wire.
const MARK: &str = "x-pairbench-cut";

/// The status that a service ends a stream with to have it cut.
pub(super) fn cut() -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert(MARK, MetadataValue::from_static("1"));
    Status::with_metadata(tonic::Code::Aborted, "cut by script", metadata)
}

/// A service whose streams can be cut.
#[derive(Clone, Debug)]
pub(super) struct Cutting<S> {
    inner: S,
}

impl<S> Cutting<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: NamedService> NamedService for Cutting<S> {
    const NAME: &'static str = S::NAME;
}

type Reply = http::Response<tonic::body::Body>;

impl<S> Service<http::Request<tonic::body::Body>> for Cutting<S>
where
    S: Service<http::Request<tonic::body::Body>, Response = Reply, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Reply;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Reply, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let reply = self.inner.call(request);
        Box::pin(async move {
            let reply = reply.await?;
            Ok(reply.map(|inner| tonic::body::Body::new(CutBody { inner })))
        })
    }
}

struct CutBody {
    inner: tonic::body::Body,
}

impl Body for CutBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let trailers = frame.trailers_ref();
            if trailers.is_some_and(|trailers| trailers.contains_key(MARK)) {
                // An error of the body: HTTP/2 resets the stream.
                return Poll::Ready(Some(Err(Status::aborted("cut by script"))));
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
