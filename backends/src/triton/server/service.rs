//! The gRPC face of the simulation: which call means what.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::super::proto::grpc_inference_service_server::GrpcInferenceService;
use super::super::proto::model_metadata_response::TensorMetadata;
use super::super::proto::repository_index_response::ModelIndex;
use super::super::proto::{
    ModelConfig, ModelConfigRequest, ModelConfigResponse, ModelInferRequest, ModelInferResponse,
    ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
    ModelStatisticsRequest, ModelStatisticsResponse, ModelStreamInferResponse,
    RepositoryIndexRequest, RepositoryIndexResponse, ServerLiveRequest, ServerLiveResponse,
    ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
};
use super::super::repository::SIMULATED;
use super::super::wire::datatype_word;
use super::cut::cut;
use super::models::Simulation;
use super::reply::{Outbox, Outgoing};
use crate::engine::Ledger;
use crate::spend::spend;

/// The service over a simulation.
#[derive(Clone, Debug)]
pub(super) struct Service {
    simulation: Arc<Simulation>,
}

impl Service {
    pub(super) fn new(simulation: Arc<Simulation>) -> Self {
        Self { simulation }
    }
}

type Frames = Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

/// Takes the requests off a stream and answers each in a task of its own;
/// their frames interleave.
async fn take_requests(
    simulation: Arc<Simulation>,
    mut inbound: Streaming<ModelInferRequest>,
    out: Outbox,
) {
    loop {
        tokio::select! {
            () = out.closed() => return,
            message = inbound.message() => match message {
                Ok(Some(request)) => {
                    tokio::spawn(Arc::clone(&simulation).stream(request, out.clone()));
                }
                // Half closed: what runs goes on. Broken: nobody will read it.
                Ok(None) | Err(_) => return,
            }
        }
    }
}

/// How long what was handed over before a cut has to leave: a reset discards
/// what is still queued for its stream, on either side.
const BEFORE_A_CUT: Duration = Duration::from_millis(20);

/// The transport asks for the next frame now.
async fn hand_over(
    outgoing: Outgoing,
    ledger: &Ledger,
    front_end: Duration,
) -> Result<ModelStreamInferResponse, Status> {
    match outgoing {
        Outgoing::Cut => {
            tokio::time::sleep(BEFORE_A_CUT).await;
            Err(cut())
        }
        Outgoing::Frame(frame, total) => {
            spend(front_end).await;
            if let (Some(total), Some(response)) = (total, &frame.infer_response) {
                ledger.hand_over(&response.id, total);
            }
            Ok(*frame)
        }
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Service {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: true }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let asked = request.into_inner();
        let ready = self.simulation.config(&asked.name, &asked.version).is_ok();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: SIMULATED.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: vec!["statistics".to_owned(), "model_configuration".to_owned()],
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let asked = request.into_inner();
        let config = self.simulation.config(&asked.name, &asked.version)?;
        Ok(Response::new(metadata(config)))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        self.simulation
            .infer(request.get_ref())
            .await
            .map(Response::new)
    }

    type ModelStreamInferStream = Frames;

    /// Returns, and so sends its headers, only with the first frame, as Triton
    /// does.
    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Frames>, Status> {
        let (out, mut frames) = mpsc::unbounded_channel();
        let simulation = Arc::clone(&self.simulation);
        tokio::spawn(take_requests(simulation, request.into_inner(), out));
        let first = frames.recv().await;
        let ledger = self.simulation.engine.ledger().clone();
        let front_end = self.simulation.options.front_end;
        let rest = stream::unfold(frames, async |mut frames| {
            frames.recv().await.map(|frame| (frame, frames))
        });
        let frames = stream::iter(first).chain(rest).then(move |outgoing| {
            let ledger = ledger.clone();
            async move { hand_over(outgoing, &ledger, front_end).await }
        });
        Ok(Response::new(Box::pin(frames)))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let asked = request.into_inner();
        let config = self.simulation.config(&asked.name, &asked.version)?.clone();
        Ok(Response::new(ModelConfigResponse {
            config: Some(config),
        }))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let asked = request.into_inner();
        let mut model_stats = Vec::new();
        for config in &self.simulation.configs {
            if asked.name.is_empty() || asked.name == config.name {
                model_stats.push(self.simulation.statistics.of(&config.name));
            }
        }
        if model_stats.is_empty() {
            let name = asked.name;
            return Err(Status::invalid_argument(format!(
                "requested model '{name}' is not available"
            )));
        }
        Ok(Response::new(ModelStatisticsResponse { model_stats }))
    }

    async fn repository_index(
        &self,
        _: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        let index = |config: &ModelConfig| ModelIndex {
            name: config.name.clone(),
            version: "1".to_owned(),
            state: "READY".to_owned(),
            reason: String::new(),
        };
        let models = self.simulation.configs.iter().map(index).collect();
        Ok(Response::new(RepositoryIndexResponse { models }))
    }
}

fn metadata(config: &ModelConfig) -> ModelMetadataResponse {
    let tensor = |name: &str, kind, dims: &[i64]| TensorMetadata {
        name: name.to_owned(),
        datatype: datatype_word(kind).to_owned(),
        shape: (config.max_batch_size > 0)
            .then_some(-1)
            .into_iter()
            .chain(dims.iter().copied())
            .collect(),
    };
    ModelMetadataResponse {
        name: config.name.clone(),
        versions: vec!["1".to_owned()],
        platform: match config.platform.as_str() {
            "" => config.backend.clone(),
            platform => platform.to_owned(),
        },
        inputs: config
            .input
            .iter()
            .map(|input| tensor(&input.name, input.data_type(), &input.dims))
            .collect(),
        outputs: config
            .output
            .iter()
            .map(|output| tensor(&output.name, output.data_type(), &output.dims))
            .collect(),
    }
}
