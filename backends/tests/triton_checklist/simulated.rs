//! The simulated server by the raw protocol: does it behave as the real one?

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use backends::engine::{ByteCodec, Engine, EngineConfig, Script};
use backends::{Clock, ServeOptions, find};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;

use crate::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use crate::proto::infer_parameter::ParameterChoice;
use crate::proto::model_infer_request::InferInputTensor;
use crate::proto::{
    InferParameter, ModelConfigRequest, ModelInferRequest, ModelMetadataRequest,
    ModelStatisticsRequest, ModelStreamInferResponse, RepositoryIndexRequest,
};
use crate::scripted::{ask, connect, raw_u32s, request};

/// 20 ms to the first token, 5 ms for each other, and this script.
pub(crate) fn config(script: &str) -> EngineConfig {
    EngineConfig {
        script: Script::parse(script).expect("good words"),
        prompt_orders: true,
        ..EngineConfig::default()
    }
}

/// Starts the server; its address.
pub(crate) fn serve(config: EngineConfig, options: ServeOptions) -> (String, Engine) {
    let engine = Engine::new(config, Arc::new(ByteCodec), Clock::start());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let served = (find("tis").expect("listed").serve)(listener, engine.clone(), options);
    tokio::spawn(served);
    (address, engine)
}

type Client = GrpcInferenceServiceClient<tonic::transport::Channel>;

async fn raw(address: &str) -> Client {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    let channel = endpoint.expect("an address").connect().await;
    Client::new(channel.expect("connected")).max_decoding_message_size(usize::MAX)
}

fn infer(model: &str, tensors: &[(&str, &str, &[i64], Bytes)]) -> ModelInferRequest {
    let tensor = |(name, datatype, shape, _): &(&str, &str, &[i64], Bytes)| InferInputTensor {
        name: (*name).to_owned(),
        datatype: (*datatype).to_owned(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    };
    ModelInferRequest {
        model_name: model.to_owned(),
        id: "7".to_owned(),
        inputs: tensors.iter().map(tensor).collect(),
        raw_input_contents: tensors.iter().map(|tensor| tensor.3.clone()).collect(),
        ..ModelInferRequest::default()
    }
}

fn turbomind(prompt: &[u32], tokens: u32, id: u64) -> ModelInferRequest {
    let width = i64::try_from(prompt.len()).expect("short");
    let length = u32::try_from(prompt.len()).expect("short");
    infer(
        "turbomind",
        &[
            ("input_ids", "UINT32", &[1, width], raw_u32s(prompt)),
            ("input_lengths", "UINT32", &[1, 1], raw_u32s(&[length])),
            ("request_output_len", "UINT32", &[1, 1], raw_u32s(&[tokens])),
            (
                "CORRID",
                "UINT64",
                &[1, 1],
                Bytes::copy_from_slice(&id.to_le_bytes()),
            ),
        ],
    )
}

async fn frames(client: &mut Client, request: ModelInferRequest) -> Vec<ModelStreamInferResponse> {
    let stream = client
        .model_stream_infer(tokio_stream::once(request))
        .await
        .expect("OK");
    let mut stream = stream.into_inner();
    let mut frames = Vec::new();
    while let Some(frame) = stream.message().await.expect("status OK") {
        frames.push(frame);
    }
    frames
}

fn flag(frame: &ModelStreamInferResponse) -> Option<bool> {
    let parameters = &frame.infer_response.as_ref().expect("there").parameters;
    match parameters.get("triton_final_response")?.parameter_choice {
        Some(ParameterChoice::BoolParam(last)) => Some(last),
        _ => None,
    }
}

#[tokio::test]
async fn errors_on_a_stream_are_frames_of_two_kinds() {
    let (address, _engine) = serve(config(""), ServeOptions::default());
    let mut client = raw(&address).await;
    for (request, words, from_model) in [
        (
            infer("nope", &[]),
            "Request for unknown model: 'nope' is not found",
            false,
        ),
        (
            infer("turbomind", &[("X", "UINT32", &[1, 1], raw_u32s(&[1]))]),
            "unexpected inference input 'X' for model 'turbomind'",
            false,
        ),
        (
            turbomind(&[1; 5000], 1, 1),
            "TurboMind execute failure:  6",
            true,
        ),
    ] {
        let frames = frames(&mut client, request).await;
        assert_eq!(frames.len(), 1, "{frames:?}");
        assert_eq!(frames[0].error_message, words);
        let response = frames[0].infer_response.as_ref().expect("there");
        assert_eq!(response.id, "7");
        assert_eq!(flag(&frames[0]), from_model.then_some(true));
        assert_eq!(response.model_name.is_empty(), !from_model);
    }
}

#[tokio::test]
async fn a_running_correlation_id_is_busy() {
    let (address, _engine) = serve(config(""), ServeOptions::default());
    let mut client = raw(&address).await;
    let long = tokio_stream::once(turbomind(&[1], 200, 9));
    // Returns with the first token, so it runs.
    let running = client.model_stream_infer(long).await.expect("started");
    let busy = frames(&mut client, turbomind(&[1], 2, 9)).await;
    assert_eq!(busy[0].error_message, "TurboMind execute failure:  3");
    assert_eq!(frames(&mut client, turbomind(&[1], 2, 10)).await.len(), 2);
    drop(running);
}

#[tokio::test]
async fn the_last_token_is_final_and_empty_finals_come_only_when_asked_for() {
    let options = ServeOptions {
        full_output_ids: true,
        ..ServeOptions::default()
    };
    let (address, _engine) = serve(config(""), options);
    let mut client = raw(&address).await;
    let given = frames(&mut client, turbomind(&[1, 5], 3, 1)).await;
    let flags: Vec<_> = given.iter().map(flag).collect();
    assert_eq!(flags, [Some(false), Some(false), Some(true)]);
    let first = given[0].infer_response.as_ref().expect("there");
    assert_eq!(
        first.outputs[0].shape,
        [1, 1, 2056],
        "the whole session buffer"
    );
    assert_eq!(first.raw_output_contents[0].len(), 4 * 2056);
    // Nothing asked for: the flag alone would come.
    let mut none = turbomind(&[1, 5], 0, 1);
    assert_eq!(frames(&mut client, none.clone()).await, []);
    let yes = InferParameter {
        parameter_choice: Some(ParameterChoice::BoolParam(true)),
    };
    none.parameters
        .insert("triton_enable_empty_final_response".to_owned(), yes);
    let given = frames(&mut client, none).await;
    assert_eq!(given.iter().map(flag).collect::<Vec<_>>(), [Some(true)]);
    let response = given[0].infer_response.as_ref().expect("there");
    assert!(response.outputs.is_empty() && response.model_version.is_empty());
}

#[tokio::test]
async fn the_python_model_sends_an_empty_text_behind_the_last_token() {
    let (address, _engine) = serve(config(""), ServeOptions::default());
    let yes = Bytes::from_static(&[1]);
    let request = infer(
        "lmdeploy_model",
        &[
            ("prompt", "BYTES", &[1], Bytes::from_static(b"\x02\0\0\0hi")),
            ("max_tokens", "INT32", &[1], raw_u32s(&[3])),
            ("ignore_eos", "BOOL", &[1], yes.clone()),
            ("stream", "BOOL", &[1], yes),
        ],
    );
    let frames = frames(&mut raw(&address).await, request).await;
    let flags: Vec<_> = frames.iter().map(flag).collect();
    assert_eq!(flags, [Some(false), Some(false), Some(false), Some(true)]);
    let last = frames[3].infer_response.as_ref().expect("there");
    assert_eq!(last.raw_output_contents[0].as_ref(), [0; 4]);
    assert!(last.outputs[0].shape.is_empty(), "rank 0");
}

#[tokio::test]
async fn headers_come_only_with_the_first_message() {
    let (address, _engine) = serve(config(""), ServeOptions::default());
    let mut client = raw(&address).await;
    let (out, inbound) = mpsc::unbounded_channel();
    let call = client.model_stream_infer(UnboundedReceiverStream::new(inbound));
    tokio::pin!(call);
    let early = tokio::time::timeout(Duration::from_millis(100), call.as_mut()).await;
    assert!(early.is_err(), "no request, no headers");
    out.send(turbomind(&[1], 1, 1)).expect("open");
    let mut stream = call.await.expect("OK").into_inner();
    assert!(stream.message().await.expect("good").is_some());
    // The stream stays open and may be used again.
    out.send(turbomind(&[1], 1, 2)).expect("open");
    assert!(stream.message().await.expect("good").is_some());
    drop(out);
    assert_eq!(stream.message().await.expect("good"), None);
}

#[tokio::test]
async fn unary_calls_of_decoupled_models_are_refused() {
    let (address, _engine) = serve(config(""), ServeOptions::default());
    let mut client = raw(&address).await;
    let status = client
        .model_infer(turbomind(&[1], 1, 1))
        .await
        .expect_err("refused");
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("decoupled transaction policy"));
    let status = client
        .model_infer(infer("nope", &[]))
        .await
        .expect_err("refused");
    assert_eq!(status.code(), Code::NotFound);
    // A model with one response works on a stream.
    let query = (
        "QUERY",
        "BYTES",
        &[1, 1][..],
        Bytes::from_static(b"\x02\0\0\0hi"),
    );
    let given = frames(&mut client, infer("preprocessing", &[query])).await;
    assert_eq!(given.iter().map(flag).collect::<Vec<_>>(), [Some(true)]);
}

#[tokio::test]
async fn the_repository_describes_itself() {
    let (address, _engine) = serve(config(""), ServeOptions::default());
    let mut client = raw(&address).await;
    let index = client
        .repository_index(RepositoryIndexRequest::default())
        .await
        .expect("OK");
    assert_eq!(index.get_ref().models.len(), 5);
    let name = "postprocessing".to_owned();
    let metadata = ModelMetadataRequest {
        name: name.clone(),
        ..ModelMetadataRequest::default()
    };
    let metadata = client
        .model_metadata(metadata)
        .await
        .expect("OK")
        .into_inner();
    assert_eq!(metadata.inputs[0].shape, [-1, -1, -1], "with the batch");
    let config = ModelConfigRequest {
        name,
        ..ModelConfigRequest::default()
    };
    let config = client
        .model_config(config)
        .await
        .expect("OK")
        .into_inner()
        .config
        .expect("there");
    assert_eq!(config.input[0].dims, [-1, -1], "without the batch");
    assert_eq!(config.instance_group[0].count, 16);
}

#[tokio::test]
async fn statistics_are_counted() {
    let options = ServeOptions {
        preprocess: Duration::from_millis(5),
        ..ServeOptions::default()
    };
    let (address, _engine) = serve(config(""), options);
    let backend = connect("tis-ensemble", &address);
    backend.warm(1).await.expect("warm");
    ask(&*backend, &request(1, 4)).await.0.expect("served");
    let statistics = raw(&address)
        .await
        .model_statistics(ModelStatisticsRequest::default())
        .await;
    let models = statistics.expect("OK").into_inner().model_stats;
    let count = |name: &str| {
        let model = models
            .iter()
            .find(|model| model.name == name)
            .expect("listed");
        (model.inference_count, model.inference_stats.expect("there"))
    };
    for (name, least) in [("ensemble", 1), ("turbomind", 1), ("postprocessing", 4)] {
        assert_eq!(count(name).0, least, "{name}");
    }
    let (calls, stats) = count("preprocessing");
    let infer = stats.compute_infer.expect("there");
    assert_eq!(infer.count, calls);
    assert!(infer.ns >= calls * 5_000_000, "{infer:?}");
}

/// The real server's statistics of decoupled models: the request once, the
/// time until `execute` returned, engine errors as success.
#[tokio::test]
async fn statistics_of_decoupled_models_say_little() {
    let (address, _engine) = serve(config("fail=error after=3"), ServeOptions::default());
    for (way, model) in [
        ("tis-direct", "turbomind"),
        ("tis-ensemble", "ensemble"),
        ("tis-python", "lmdeploy_model"),
    ] {
        let backend = connect(way, &address);
        backend.warm(1).await.expect("warm");
        ask(&*backend, &request(1, 9)).await.0.expect_err("failed");
        let statistics = raw(&address)
            .await
            .model_statistics(ModelStatisticsRequest {
                name: model.to_owned(),
                ..ModelStatisticsRequest::default()
            })
            .await;
        let models = statistics.expect("OK").into_inner().model_stats;
        let stats = models[0].inference_stats.expect("there");
        let (success, fail) = (stats.success.expect("there"), stats.fail.expect("there"));
        assert_eq!((success.count, fail.count), (1, 0), "{model}");
        // 20 ms to the first token alone.
        assert!(success.ns < 20_000_000, "{model}: {success:?}");
    }
}

#[tokio::test]
async fn nobody_waits_for_a_delayed_acknowledgement() {
    let (address, _engine) = serve(config(""), ServeOptions::default());
    for name in ["tis", "tis-direct", "tis-ensemble", "tis-python"] {
        let backend = connect(name, &address);
        backend.warm(1).await.expect("warm");
        let mut best_ns = u64::MAX;
        for id in 1..=20 {
            let (outcome, trace) = ask(&*backend, &request(id, 3)).await;
            outcome.expect(name);
            // A young connection acknowledges at once and hides the fault.
            if id > 8 {
                let last = trace.marks.last().expect("marks");
                best_ns = best_ns.min(last.at_ns - trace.issued_ns);
            }
        }
        // 30 ms by the engine; without TCP_NODELAY on either side the second
        // small message waits some 40 ms for the first one's acknowledgement.
        assert!(best_ns < 60_000_000, "{name}: {best_ns} ns");
    }
}
