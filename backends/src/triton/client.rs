//! The connection to a Triton server and the two kinds of calls that every way
//! shares: unary, and a stream with one request on it. Knows no model.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OnceCell;
use tonic::codegen::http::HeaderMap;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::address::Address;
use super::answer::Answer;
use super::dial::{Brief, Dial, Lasting, advice};
use super::grpc;
use super::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use super::reply::Reply;
use super::status::{chain_of, of_broken, of_status};
use super::wire::MESSAGE_LIMIT_BYTES;
use crate::{Error, ErrorKind, Target, excerpt};

/// The calls of the service over one channel. Clones share the channel.
pub(super) type Stub = GrpcInferenceServiceClient<Channel>;

/// The method that answers once.
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// The method that answers in pieces.
const STREAM_INFER: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

/// How much a server may send ahead of what has been read, over all calls of a
/// connection, bytes.
///
/// hyper's own 5 MiB are less than what turbomind sends for one token of each of
/// 64 streams with long sessions (131 kB each at 32,768 tokens); a server that
/// has to wait for the client would be measured by its waiting. One call's share
/// stays hyper's 2 MiB: more would only let a server that outruns the client
/// queue up for longer.
const WINDOW_BYTES: u32 = 256 << 20;

/// Where the server is and how to reach it.
#[derive(Debug)]
pub(super) struct Client {
    address: Address,
    endpoint: Endpoint,
    key: Option<MetadataValue<Ascii>>,
    /// What each inference says beside its message.
    headers: HeaderMap,
    connect_timeout: Duration,
    probe_timeout: Duration,
    shared: OnceCell<Channel>,
}

impl Client {
    /// A client of the target's server. Opens nothing.
    ///
    /// # Errors
    /// When the address or the key cannot be used.
    pub(super) fn new(target: Target) -> Result<Self, Error> {
        let address = Address::parse(&target.address)?;
        let unusable = |error: &tonic::transport::Error| {
            Error::new(
                ErrorKind::Connect,
                format!(
                    "`{}` is no usable address: {}",
                    address.uri,
                    chain_of(error)
                ),
            )
        };
        // No HTTP/2 keepalive: Triton closes the whole channel on pings that
        // come oftener than every 300 s while no data flows.
        let mut endpoint = Endpoint::from_shared(address.uri.clone())
            .map_err(|error| unusable(&error))?
            .tcp_nodelay(true)
            .initial_connection_window_size(WINDOW_BYTES)
            .connect_timeout(target.connect_timeout);
        if address.tls {
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls).map_err(|error| unusable(&error))?;
        }
        let key = target.api_key.map(|key| header_of(&key)).transpose()?;
        let mut headers = grpc::headers();
        if let Some(key) = &key {
            let mut metadata = MetadataMap::new();
            metadata.insert("authorization", key.clone());
            headers.extend(metadata.into_headers());
        }
        Ok(Self {
            address,
            endpoint,
            key,
            headers,
            connect_timeout: target.connect_timeout,
            probe_timeout: target.probe_timeout,
            shared: OnceCell::new(),
        })
    }

    /// `HOST:PORT`.
    pub(super) fn authority(&self) -> &str {
        &self.address.authority
    }

    /// The longest wait for an answer that is not timed.
    pub(super) fn probe_timeout(&self) -> Duration {
        self.probe_timeout
    }

    /// Opens a new channel for one call; its connection gives the local port
    /// back as soon as it is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Connect`].
    pub(super) async fn open(&self) -> Result<Channel, Error> {
        self.opened(self.endpoint.connect_with_connector(Dial(Brief::of)))
            .await
    }

    async fn opened(
        &self,
        connection: impl Future<Output = Result<Channel, tonic::transport::Error>>,
    ) -> Result<Channel, Error> {
        let refused = |words: &str| {
            let words = excerpt(words);
            Error::new(
                ErrorKind::Connect,
                format!(
                    "no connection to {}: {words}; is the server running there?",
                    self.address.authority
                ),
            )
        };
        // The endpoint's own limit covers TCP, not the TLS handshake.
        match tokio::time::timeout(self.connect_timeout, connection).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) => {
                let words = chain_of(&error);
                Err(refused(&match advice(&error) {
                    Some(advice) => format!("{advice} ({words})"),
                    None => words,
                }))
            }
            Err(_) => {
                let waited = self.connect_timeout.as_secs_f64();
                Err(refused(&format!("nothing came within {waited} s")))
            }
        }
    }

    /// The channel that is shared by all calls, opened by the first.
    ///
    /// # Errors
    /// [`ErrorKind::Connect`].
    pub(super) async fn shared(&self) -> Result<Channel, Error> {
        let dial = Dial(Lasting::of);
        let open = || self.opened(self.endpoint.connect_with_connector(dial));
        self.shared.get_or_try_init(open).await.cloned()
    }

    /// The calls that are not timed, over the shared channel.
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
        match tokio::time::timeout(self.probe_timeout, call).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::new(
                ErrorKind::Connect,
                format!(
                    "{} accepts connections and did not answer {what} within {} s",
                    self.address.authority,
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
        mut channel: Channel,
        model: &str,
        message: Bytes,
    ) -> Result<Reply, Error> {
        let what = || format!("`{model}`");
        let headers = self.headers.clone();
        let answer = async {
            let mut messages = grpc::call(&mut channel, INFER, headers, message).await?;
            let Some(reply) = messages.next().await? else {
                return Err(tonic::Status::internal("Missing response message."));
            };
            // The status comes behind the message.
            while messages.next().await?.is_some() {}
            Ok(reply)
        };
        match answer.await {
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
        mut channel: Channel,
        model: &str,
        id: u64,
        message: Bytes,
    ) -> Result<Answer, Error> {
        let headers = self.headers.clone();
        match grpc::call(&mut channel, STREAM_INFER, headers, message).await {
            Ok(messages) => Ok(Answer::new(messages, model.to_owned(), id)),
            Err(status) => Err(of_status(&format!("`{model}`"), &status)),
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
