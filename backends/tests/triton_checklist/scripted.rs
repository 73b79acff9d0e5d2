//! A raw Triton server that answers streams by a script. Preprocessing and
//! postprocessing speak the byte codec; everything that comes in is kept.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backends::engine::{ByteCodec, Codec};
use backends::{
    Backend, Clock, Error, Finish, PromptMode, Pulse, Request as Ask, Sampling, Sink, Target,
    Trace, find,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::proto::grpc_inference_service_server::{
    GrpcInferenceService, GrpcInferenceServiceServer,
};
use crate::proto::infer_parameter::ParameterChoice;
use crate::proto::model_infer_response::InferOutputTensor;
use crate::proto::repository_index_response::ModelIndex;
use crate::proto::*;

/// What the server does next on a stream.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Frame(ModelStreamInferResponse),
    /// Ends the stream with status OK.
    End,
    /// Keeps the stream open and says nothing.
    Hang,
}

/// A server and what it has seen.
#[derive(Clone)]
pub(crate) struct Scripted {
    pub(crate) acts: Arc<Vec<Act>>,
    pub(crate) models: Vec<ModelConfig>,
    pub(crate) ready: bool,
    /// The only key that is let in.
    pub(crate) key: Option<&'static str>,
    /// Whether preprocessing reads `<EOS>` as an id.
    pub(crate) knows_eos: bool,
    pub(crate) seen: Arc<Mutex<Vec<ModelInferRequest>>>,
}

/// A model's configuration with these inputs, all optional INT32 scalars but
/// for their names: enough for those who look for names.
pub(crate) fn model(name: &str, inputs: &[&str]) -> ModelConfig {
    let input = |name: &&str| ModelInput {
        name: (*name).to_owned(),
        data_type: DataType::TypeInt32.into(),
        dims: vec![1],
        optional: true,
        ..ModelInput::default()
    };
    ModelConfig {
        name: name.to_owned(),
        backend: name.to_owned(),
        max_batch_size: 1,
        input: inputs.iter().map(input).collect(),
        ..ModelConfig::default()
    }
}

impl Scripted {
    /// LMDeploy's three models, and this script for each stream.
    pub(crate) fn new(acts: Vec<Act>) -> Self {
        let engine = [
            "runtime_top_p",
            "temperature",
            "repetition_penalty",
            "step",
            "runtime_top_k",
            "bad_words_list",
            "session_len",
            "START",
            "END",
            "STOP",
            "CORRID",
            "random_seed",
        ];
        Self {
            acts: Arc::new(acts),
            models: vec![
                model("preprocessing", &["QUERY"]),
                model("postprocessing", &["TOKENS_BATCH", "skip_special_tokens"]),
                model("turbomind", &engine),
            ],
            ready: true,
            key: None,
            knows_eos: true,
            seen: Arc::default(),
        }
    }

    /// Serves on a free port until the test's runtime ends.
    pub(crate) async fn start(&self) -> String {
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let incoming = TcpIncoming::bind(any)
            .expect("a free port")
            .with_nodelay(Some(true));
        let address = incoming.local_addr().expect("bound").to_string();
        let service = GrpcInferenceServiceServer::new(self.clone());
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        address
    }

    /// Plays the script to one request of the backend with this name.
    pub(crate) async fn play(&self, name: &str, request: &Ask) -> (Result<Finish, Error>, Trace) {
        let backend = connect(name, &self.start().await);
        backend.warm(1).await.expect("the models answer");
        ask(&*backend, request).await
    }

    fn config(&self, name: &str) -> Result<&ModelConfig, Status> {
        self.models
            .iter()
            .find(|model| model.name == name)
            .ok_or_else(|| {
                Status::not_found(format!("Request for unknown model: '{name}' is not found"))
            })
    }

    fn let_in(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let Some(key) = self.key else { return Ok(()) };
        let given = metadata
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        if given == Some(format!("Bearer {key}").as_str()) {
            return Ok(());
        }
        Err(Status::unauthenticated("no such key"))
    }

    /// What the engine model or any other streamed one was asked.
    pub(crate) fn streamed(&self) -> Vec<ModelInferRequest> {
        let seen = self.seen.lock().expect("no panic").clone();
        let unary = ["preprocessing", "postprocessing"];
        seen.into_iter()
            .filter(|request| !unary.contains(&&*request.model_name))
            .collect()
    }
}

pub(crate) fn target(address: &str) -> Target {
    Target {
        address: address.to_owned(),
        model: None,
        api_key: None,
        tls: backends::Tls::default(),
        prompt_mode: PromptMode::Raw,
        connect_timeout: Duration::from_secs(5),
        probe_timeout: Duration::from_secs(2),
    }
}

pub(crate) fn connect(name: &str, address: &str) -> Arc<dyn Backend> {
    (find(name).expect("listed").connect)(target(address)).expect("a good address")
}

pub(crate) async fn ask(backend: &dyn Backend, request: &Ask) -> (Result<Finish, Error>, Trace) {
    let mut sink = Sink::start(Clock::start(), Pulse::default(), request.output_tokens);
    let limit = Duration::from_secs(20);
    let outcome = tokio::time::timeout(limit, backend.generate(request, &mut sink)).await;
    (outcome.expect("no request may hang"), sink.into_trace())
}

/// A request with the prompt "hi": three ids.
pub(crate) fn request(id: u64, output_tokens: u32) -> Ask {
    Ask {
        id,
        slot: 0,
        prompt: "hi".into(),
        turn: None,
        token_ids: ByteCodec.encode("hi").into(),
        server_prompt_tokens: None,
        output_tokens,
        sampling: Sampling::default(),
        stream: true,
        prompt_mode: PromptMode::Raw,
        wire: None,
    }
}

pub(crate) fn raw_u32s(values: &[u32]) -> Bytes {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// A frame of the engine: these outputs in this order.
pub(crate) fn frame(outputs: &[(&str, &str, &[i64], Bytes)], last: bool) -> Act {
    let tensor = |(name, datatype, shape, _): &(&str, &str, &[i64], Bytes)| InferOutputTensor {
        name: (*name).to_owned(),
        datatype: (*datatype).to_owned(),
        shape: shape.to_vec(),
        ..InferOutputTensor::default()
    };
    Act::Frame(ModelStreamInferResponse {
        infer_response: Some(ModelInferResponse {
            model_name: "turbomind".to_owned(),
            id: "1".to_owned(),
            parameters: [final_response(last)].into(),
            outputs: outputs.iter().map(tensor).collect(),
            raw_output_contents: outputs.iter().map(|output| output.3.clone()).collect(),
            ..ModelInferResponse::default()
        }),
        ..ModelStreamInferResponse::default()
    })
}

pub(crate) fn final_response(last: bool) -> (String, InferParameter) {
    let flag = InferParameter {
        parameter_choice: Some(ParameterChoice::BoolParam(last)),
    };
    ("triton_final_response".to_owned(), flag)
}

/// The engine's frame after `answer` behind the prompt "hi".
pub(crate) fn tokens(answer: &[u32], last: bool) -> Act {
    let ids: Vec<u32> = ByteCodec
        .encode("hi")
        .into_iter()
        .chain(answer.iter().copied())
        .collect();
    let length = u32::try_from(ids.len()).expect("short");
    frame(
        &[
            (
                "output_ids",
                "UINT32",
                &[1, 1, length.into()],
                raw_u32s(&ids),
            ),
            ("sequence_length", "UINT32", &[1, 1], raw_u32s(&[length])),
        ],
        last,
    )
}

type Frames = Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

#[tonic::async_trait]
impl GrpcInferenceService for Scripted {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        request: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        self.let_in(request.metadata())?;
        Ok(Response::new(ServerReadyResponse { ready: self.ready }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ready = self.config(&request.get_ref().name).is_ok();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: "triton".to_owned(),
            version: "2.51.0".to_owned(),
            ..ServerMetadataResponse::default()
        }))
    }

    async fn model_metadata(
        &self,
        _: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        self.let_in(request.metadata())?;
        let request = request.into_inner();
        self.config(&request.model_name)?;
        self.seen.lock().expect("no panic").push(request.clone());
        let words = |raw: &Bytes| -> Vec<u32> {
            let chunks = raw.chunks_exact(4);
            chunks
                .map(|raw| u32::from_le_bytes(raw.try_into().expect("four")))
                .collect()
        };
        let (outputs, raw) = if request.model_name == "preprocessing" {
            let text = String::from_utf8_lossy(&request.raw_input_contents[0][4..]).into_owned();
            let ids = match text.as_str() {
                "<EOS>" if self.knows_eos => vec![ByteCodec.eos()],
                text => ByteCodec.encode(text),
            };
            let length = u32::try_from(ids.len()).expect("short");
            let names = [("REQUEST_INPUT_LEN", "UINT32"), ("INPUT_ID", "UINT32")];
            (names.to_vec(), vec![raw_u32s(&[length]), raw_u32s(&ids)])
        } else {
            let ids = words(&request.raw_input_contents[0]);
            let offset = words(&request.raw_input_contents[1])[0] as usize;
            let text = ByteCodec.decode(&ids[offset..]);
            let text = String::from_utf8_lossy(&text).into_owned();
            let length = u32::try_from(text.len()).expect("short");
            let raw = [&length.to_le_bytes(), text.as_bytes()].concat();
            (vec![("OUTPUT", "BYTES")], vec![Bytes::from(raw)])
        };
        let tensor = |(name, datatype): (&str, &str)| InferOutputTensor {
            name: name.to_owned(),
            datatype: datatype.to_owned(),
            ..InferOutputTensor::default()
        };
        Ok(Response::new(ModelInferResponse {
            model_name: request.model_name,
            id: request.id,
            outputs: outputs.into_iter().map(tensor).collect(),
            raw_output_contents: raw,
            ..ModelInferResponse::default()
        }))
    }

    type ModelStreamInferStream = Frames;

    /// Answers once the first request is there, headers included.
    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Frames>, Status> {
        let first = request.into_inner().message().await?;
        self.seen.lock().expect("no panic").extend(first);
        let acts = self.acts.as_ref().clone();
        let frames = stream::iter(acts)
            .then(|act| async move {
                match act {
                    Act::Frame(frame) => Some(Ok(frame)),
                    Act::End => None,
                    Act::Hang => std::future::pending().await,
                }
            })
            .take_while(|frame| std::future::ready(frame.is_some()))
            .filter_map(std::future::ready);
        Ok(Response::new(Box::pin(frames)))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let config = self.config(&request.get_ref().name)?.clone();
        Ok(Response::new(ModelConfigResponse {
            config: Some(config),
        }))
    }

    async fn model_statistics(
        &self,
        _: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn repository_index(
        &self,
        _: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        let index = |model: &ModelConfig| ModelIndex {
            name: model.name.clone(),
            version: "1".to_owned(),
            state: "READY".to_owned(),
            ..ModelIndex::default()
        };
        let models = self.models.iter().map(index).collect();
        Ok(Response::new(RepositoryIndexResponse { models }))
    }
}
