//! The connection to a Triton server and the two kinds of calls that every way
//! shares: unary, and a stream with one request on it. Knows no model.

use std::future::Future;
use std::time::Duration;

use tokio::sync::OnceCell;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::address::Address;
use super::answer::Answer;
use super::dial::{Dial, advice};
use super::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use super::proto::infer_parameter::ParameterChoice;
use super::proto::{InferParameter, ModelInferRequest, ModelInferResponse};
use super::status::{chain_of, of_status};
use super::wire::{Inputs, MESSAGE_LIMIT_BYTES};
use crate::{Error, ErrorKind, Target, excerpt};

/// The calls of the service over one channel. Clones share the channel.
pub(super) type Stub = GrpcInferenceServiceClient<Channel>;

/// One inference request, before it is a message.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The model to ask.
    pub(super) model: &'a str,
    /// The request's id, which comes back with each of its answers.
    pub(super) id: u64,
    /// Its tensors.
    pub(super) inputs: Inputs,
    /// Adds `sequence_id`, `sequence_start` and `sequence_end`, as LMDeploy's
    /// chatbot does; Triton has no use for them here.
    pub(super) sequence: bool,
}

/// Where the server is and how to reach it.
#[derive(Debug)]
pub(super) struct Client {
    address: Address,
    endpoint: Endpoint,
    key: Option<MetadataValue<Ascii>>,
    connect_timeout: Duration,
    probe_timeout: Duration,
    shared: OnceCell<Stub>,
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
            .connect_timeout(target.connect_timeout);
        if address.tls {
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls).map_err(|error| unusable(&error))?;
        }
        let key = target.api_key.map(|key| header_of(&key)).transpose()?;
        Ok(Self {
            address,
            endpoint,
            key,
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
    pub(super) async fn open(&self) -> Result<Stub, Error> {
        self.opened(self.endpoint.connect_with_connector(Dial))
            .await
    }

    async fn opened(
        &self,
        connection: impl Future<Output = Result<Channel, tonic::transport::Error>>,
    ) -> Result<Stub, Error> {
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
        let channel = tokio::time::timeout(self.connect_timeout, connection).await;
        let channel = match channel {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => {
                let words = chain_of(&error);
                return Err(refused(&match advice(&error) {
                    Some(advice) => format!("{advice} ({words})"),
                    None => words,
                }));
            }
            Err(_) => {
                let waited = self.connect_timeout.as_secs_f64();
                return Err(refused(&format!("nothing came within {waited} s")));
            }
        };
        Ok(Stub::new(channel).max_decoding_message_size(MESSAGE_LIMIT_BYTES))
    }

    /// The channel that is shared by all calls, opened by the first.
    ///
    /// # Errors
    /// [`ErrorKind::Connect`].
    pub(super) async fn shared(&self) -> Result<Stub, Error> {
        let open = || self.opened(self.endpoint.connect());
        self.shared.get_or_try_init(open).await.cloned()
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

    /// One unary inference.
    ///
    /// # Errors
    /// The server's refusal.
    pub(super) async fn infer(
        &self,
        mut stub: Stub,
        call: Call<'_>,
    ) -> Result<ModelInferResponse, Error> {
        let model = call.model;
        let request = self.request(message(call, false));
        match stub.model_infer(request).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(of_status(&format!("`{model}`"), &status)),
        }
    }

    /// A stream with one request on it.
    ///
    /// The request lies in the outbound stream before the call is awaited, and
    /// the stream is half closed behind it: a Triton server sends its response
    /// headers only with the first message, so whoever waits for them before
    /// sending waits for ever.
    ///
    /// # Errors
    /// The server's refusal of the stream; refusals of the request come as its
    /// frames.
    pub(super) async fn stream(&self, mut stub: Stub, call: Call<'_>) -> Result<Answer, Error> {
        let (model, id) = (call.model.to_owned(), call.id.to_string());
        let outbound = tokio_stream::once(message(call, true));
        match stub.model_stream_infer(self.request(outbound)).await {
            Ok(response) => Ok(Answer::new(response.into_inner(), model, id)),
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

fn message(call: Call<'_>, streaming: bool) -> ModelInferRequest {
    let parameter = |choice| InferParameter {
        parameter_choice: Some(choice),
    };
    let mut request = ModelInferRequest {
        model_name: call.model.to_owned(),
        id: call.id.to_string(),
        inputs: call.inputs.tensors,
        raw_input_contents: call.inputs.raw,
        ..ModelInferRequest::default()
    };
    let mut add = |name: &str, choice| {
        request
            .parameters
            .insert(name.to_owned(), parameter(choice));
    };
    if streaming {
        // Without it a final response that has no tensors is dropped.
        add(
            "triton_enable_empty_final_response",
            ParameterChoice::BoolParam(true),
        );
    }
    if call.sequence {
        let id = i64::try_from(call.id).unwrap_or(i64::MAX);
        add("sequence_id", ParameterChoice::Int64Param(id));
        add("sequence_start", ParameterChoice::BoolParam(true));
        add("sequence_end", ParameterChoice::BoolParam(true));
    }
    request
}
