//! The connection to a Triton server and the two kinds of calls that every way
//! shares: unary, and a stream with one request on it. Knows no model.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustls::ClientConfig;
use tonic::codegen::http::HeaderMap;
use tonic::codegen::http::uri::{Authority, Scheme};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use super::address::Address;
use super::answer::Answer;
use super::budget::Budget;
use super::dial::{Dial, HTTP2};
use super::frames::Frames;
use super::grpc;
use super::line::{self, Line, Origin};
use super::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use super::reader::Known;
use super::reply::Reply;
use super::status::{chain_of, of_broken, of_status};
use super::wire::MESSAGE_LIMIT_BYTES;
use crate::{Error, ErrorKind, Target, Timers, excerpt, http2, reach, tls};

/// The calls of the service, made by tonic. Clones share the connection.
pub(super) type Stub = GrpcInferenceServiceClient<Line>;

/// The method that answers once.
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// The method that answers in pieces.
const STREAM_INFER: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

/// Where the server is and how to reach it.
#[derive(Debug)]
pub(super) struct Client {
    dial: Dial,
    origin: Arc<Origin>,
    key: Option<MetadataValue<Ascii>>,
    /// What each inference says beside its message.
    headers: HeaderMap,
    connect_timeout: Duration,
    probe_timeout: Duration,
    timers: Timers,
    /// Memory for long messages.
    budget: Budget,
    /// What its streams know of messages.
    known: Known,
    shared: Arc<Shared>,
    /// Held by whoever opens the shared connection; the number of the last.
    opening: tokio::sync::Mutex<u64>,
}

/// The connection that is shared by all calls.
type Shared = Mutex<Option<Line>>;

/// A call that may be given up. If it is, its connection may be dead without a
/// word (a machine that is gone, a firewall that forgot it), and so may every
/// later call on it: the next one opens another.
#[derive(Debug)]
pub(super) struct Doubt {
    shared: Arc<Shared>,
    /// The line's number; 0: there is no doubt.
    number: u64,
}

impl Doubt {
    /// The call has come to an end, of whatever kind.
    pub(super) fn clear(&mut self) {
        self.number = 0;
    }
}

impl Drop for Doubt {
    fn drop(&mut self) {
        if self.number == 0 {
            return;
        }
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        // Not one that was opened since, nor one that is not shared at all.
        shared.take_if(|line| line.number == self.number);
    }
}

impl Client {
    /// A client of the target's server. Opens nothing.
    ///
    /// # Errors
    /// When the address or the key cannot be used, or the platform's roots
    /// cannot be read (https only).
    pub(super) fn new(target: Target) -> Result<Self, Error> {
        let address = Address::parse(&target.address)?;
        let tls = address.tls.then(|| target.tls.config(true, HTTP2));
        let tls = tls.transpose()?;
        Self::with_tls(target, address, tls)
    }

    /// The same for a server at `address` that is trusted as `tls` says; `None`
    /// without encryption.
    ///
    /// # Errors
    /// When the address or the key cannot be used.
    fn with_tls(
        target: Target,
        address: Address,
        tls: Option<ClientConfig>,
    ) -> Result<Self, Error> {
        let scheme = if address.tls {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        let authority = Authority::try_from(address.authority.as_str()).map_err(|error| {
            let place = &address.authority;
            let words = format!("`{place}` is no usable address: {error}");
            Error::new(ErrorKind::Connect, words)
        })?;
        let key = target.api_key.map(|key| header_of(&key)).transpose()?;
        let mut headers = line::headers();
        if let Some(key) = &key {
            let mut metadata = MetadataMap::new();
            metadata.insert("authorization", key.clone());
            headers.extend(metadata.into_headers());
        }
        Ok(Self {
            dial: Dial {
                authority: address.authority,
                tls: tls.map(Arc::new),
            },
            origin: Arc::new(Origin { scheme, authority }),
            key,
            headers,
            connect_timeout: target.connect_timeout,
            probe_timeout: target.probe_timeout,
            timers: Timers::here(),
            budget: Budget::default(),
            known: Known::default(),
            shared: Arc::default(),
            opening: tokio::sync::Mutex::default(),
        })
    }

    /// `HOST:PORT`.
    pub(super) fn authority(&self) -> &str {
        &self.dial.authority
    }

    /// The first question's failure: over TLS 1.3 a server that wants a certificate
    /// says so behind the client's own word, and a reset may swallow it.
    pub(super) fn hinted(&self, mut error: Error) -> Error {
        let broke = matches!(error.kind, ErrorKind::Cut | ErrorKind::Protocol);
        if broke && self.dial.tls.is_some() {
            error.message += tls::MAYBE_CERTIFICATE;
        }
        error
    }

    /// The longest wait for an answer that is not timed.
    pub(super) fn probe_timeout(&self) -> Duration {
        self.probe_timeout
    }

    /// What time limits are kept by.
    pub(super) fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Opens a connection for one call, which gives the local port back as soon
    /// as it is dropped. It is open when the server has said its first word: gRPC
    /// C-core, LMDeploy's client, sends no call before (`chttp2_connector.cc`
    /// waits for the SETTINGS frame).
    ///
    /// # Errors
    /// [`ErrorKind::Connect`].
    pub(super) async fn open(&self) -> Result<Line, Error> {
        let line = async {
            let line = Line::over(self.dial.brief().await?, Arc::clone(&self.origin)).await?;
            line.greeted().await.map_err(http2::Error::into_io)?;
            Ok(line)
        };
        self.opened(line).await
    }

    /// A connection, or why there is none.
    async fn opened(&self, line: impl Future<Output = io::Result<Line>>) -> Result<Line, Error> {
        let place = &self.dial.authority;
        let refused = |words: &str, cure: &str| {
            let words = excerpt(words);
            let words = format!("no connection to {place}: {words}{cure}");
            Error::new(ErrorKind::Connect, words)
        };
        match self.timers.timeout(self.connect_timeout, line).await {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(error)) => {
                if let Some(words) = tls::refusal(&error) {
                    return Err(refused(&words, ""));
                }
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    let words = "the server does not let HTTP/2 begin";
                    return Err(refused(words, &format!("; {}", reach::cure(words))));
                }
                let words = chain_of(&error);
                // Somebody was there, and hung up before the first word.
                if let io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe = error.kind() {
                    let cure = "; what is there does not answer as a Triton gRPC server";
                    return Err(refused(&words, cure));
                }
                if error.kind() == io::ErrorKind::Unsupported {
                    let words = format!("no connection to {place}: {}", excerpt(&words));
                    return Err(Error::new(ErrorKind::Protocol, words));
                }
                Err(refused(&words, &format!("; {}", reach::cure(&words))))
            }
            Err(_) => {
                let waited = self.connect_timeout.as_secs_f64();
                let words = format!("nothing came within {waited} s");
                Err(refused(&words, "; is the server running there?"))
            }
        }
    }

    /// The connection that is shared by all calls: opened by the first, and again
    /// by the first after it broke.
    ///
    /// # Errors
    /// [`ErrorKind::Connect`].
    pub(super) async fn shared(&self) -> Result<Line, Error> {
        if let Some(line) = self.known() {
            return Ok(line);
        }
        let mut opening = self.opening.lock().await;
        // Somebody else may have opened it meanwhile.
        if let Some(line) = self.known() {
            return Ok(line);
        }
        let line = async { Line::over(self.dial.lasting().await?, Arc::clone(&self.origin)).await };
        let mut line = self.opened(line).await?;
        *opening += 1;
        line.number = *opening;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        *shared = Some(line.clone());
        Ok(line)
    }

    fn doubt(&self, line: &Line) -> Doubt {
        Doubt {
            shared: Arc::clone(&self.shared),
            number: line.number,
        }
    }

    fn known(&self) -> Option<Line> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.as_ref().filter(|line| line.is_open()).cloned()
    }

    /// The calls that are not timed, over the shared connection.
    ///
    /// # Errors
    /// [`ErrorKind::Connect`].
    pub(super) async fn stub(&self) -> Result<Stub, Error> {
        let stub = Stub::new(self.shared().await?);
        Ok(stub.max_decoding_message_size(MESSAGE_LIMIT_BYTES))
    }

    /// A message with the key that goes with it.
    pub(super) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(key) = &self.key {
            request.metadata_mut().insert("authorization", key.clone());
        }
        request
    }

    /// Awaits a call that is not timed, up to the probe's limit.
    ///
    /// # Errors
    /// The call's own, or that nothing came in time.
    pub(super) async fn untimed<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match self.timers.timeout(self.probe_timeout, call).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::new(
                ErrorKind::Connect,
                format!(
                    "{} accepts connections and did not answer {what} within {} s",
                    self.dial.authority,
                    self.probe_timeout.as_secs_f64()
                ),
            )),
        }
    }

    /// One unary inference of `model` by a message that [`Call::framed`](super::ask::Call::framed) made.
    ///
    /// # Errors
    /// The server's refusal.
    pub(super) async fn infer(
        &self,
        line: Line,
        model: &str,
        message: Bytes,
    ) -> Result<Reply, Error> {
        let what = || format!("`{model}`");
        let mut doubt = self.doubt(&line);
        let answer = async {
            let mut messages =
                grpc::call(line, INFER, &self.headers, message, &self.budget).await?;
            let Some(reply) = messages.next().await? else {
                return Err(tonic::Status::internal("Missing response message."));
            };
            // The status comes behind the message.
            while messages.next().await?.is_some() {}
            Ok(reply)
        };
        let answer = answer.await;
        doubt.clear();
        match answer {
            Ok(reply) => Reply::of_call(reply).map_err(|broken| of_broken(&what(), broken)),
            Err(status) => Err(of_status(&what(), &status)),
        }
    }

    /// A stream with one request on it, which [`Call::framed`](super::ask::Call::framed) made.
    ///
    /// The request goes out before the answer's headers are awaited, and the
    /// stream is half closed behind it: a Triton server sends its response
    /// headers only with the first message, so whoever waits for them before
    /// sending waits for ever.
    ///
    /// # Errors
    /// The server's refusal of the stream; refusals of the request come as its
    /// frames.
    pub(super) async fn stream(
        &self,
        line: Line,
        model: &str,
        id: u64,
        message: Bytes,
    ) -> Result<Answer, Error> {
        let mut doubt = self.doubt(&line);
        let timers = self.timers.clone();
        match grpc::call(line, STREAM_INFER, &self.headers, message, &self.budget).await {
            Ok(messages) => {
                let frames = Frames::new(self.known.clone(), model.to_owned(), id);
                Ok(Answer::new(messages, frames, timers, doubt))
            }
            Err(status) => {
                doubt.clear();
                Err(of_status(&format!("`{model}`"), &status))
            }
        }
    }
}

/// The key as a header, which never shows it.
fn header_of(key: &str) -> Result<MetadataValue<Ascii>, Error> {
    let words = "the API key has characters that no header can carry";
    let mut value: MetadataValue<Ascii> = format!("Bearer {key}")
        .parse()
        .map_err(|_| Error::new(ErrorKind::Auth, words))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
