//! What must hold of a Triton server's bytes, whatever they are; see
//! [`crate::fuzzing`]. The reader that looks at messages where they lie against
//! prost, which makes values of them; tensors against a plain reading.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use prost::Message;
use tonic::Status;
use tonic::codegen::http::{HeaderMap, StatusCode};

use super::address::Address;
use super::dialect::Wire;
use super::direct::heard;
use super::grpc::{Messages, Pieces};
use super::layout::Often;
use super::proto::infer_parameter::ParameterChoice;
use super::proto::{
    ModelConfig, ModelConfigResponse, ModelInferResponse, ModelStatisticsResponse,
    ModelStreamInferResponse,
};
use super::reader::{Known, Reader};
use super::reply::{Reply, Tensor};
use super::{repository, status, texts, wire};
use crate::fuzzing::{for_people, parts, pieces};
use crate::{Error, PromptMode, Request, Sampling};

/// Bytes of a server: as a call's body in pieces cut anywhere, as each of the
/// messages that are read, as the configuration of a model, or as tensors.
pub fn tensors(data: &[u8]) {
    let Some((kind, lengths, content)) = parts(data) else {
        return;
    };
    match kind % 5 {
        0 => {
            let at_once = called(&[content]);
            let cut = called(&pieces(content, lengths));
            assert_eq!(cut.0, at_once.0, "in pieces and at once");
            assert_eq!(cut.1.is_err(), at_once.1.is_err());
            at_once.0.iter().for_each(|message| streamed(message));
            followed(content, &pieces(content, lengths));
        }
        1 => streamed(content),
        2 => answered(content),
        3 => configured(content),
        _ => strings(content, lengths),
    }
}

/// A body by script.
struct Script(VecDeque<Bytes>);

impl Pieces for Script {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        None
    }
}

/// Every message of a call whose body comes in these pieces, and how it ended.
fn called(pieces: &[&[u8]]) -> (Vec<Bytes>, Result<(), ()>) {
    let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece));
    let mut messages = Messages::of(Script(pieces.collect()), StatusCode::OK, true);
    let mut all = Vec::new();
    loop {
        match messages.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(Some(message))) => all.push(message),
            Poll::Ready(Ok(None)) => return (all, Ok(())),
            Poll::Ready(Err(status)) => {
                for_people(&status::of_status("the call", &status));
                return (all, Err(()));
            }
            // It never waits.
            Poll::Pending => {}
        }
    }
}

/// A body as `tis-direct` listens to it: the marks and the end do not depend on how
/// it is cut, and a refusal is in words.
fn followed(at_once: &[u8], pieces: &[&[u8]]) {
    let of = |pieces: &[&[u8]]| {
        let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece));
        let (trace, end) = heard(pieces);
        let tokens: Vec<u32> = trace.marks.iter().map(|mark| mark.tokens).collect();
        let end = end.map(|end| end.map_err(|error| (error.kind, error.message)));
        (tokens, end)
    };
    let whole = of(&[at_once]);
    assert_eq!(of(pieces), whole, "in pieces and at once");
    if let Some(Err((kind, words))) = whole.1 {
        for_people(&Error::new(kind, words));
    }
}

/// Bytes as a message of a stream: what prost reads is read as the same, by a
/// reader that has read another before.
pub(super) fn streamed(bytes: &[u8]) {
    let (mut reader, known) = (Reader::default(), Known::default());
    let before = reader.read(used().encode_to_vec().into(), &known);
    assert!(before.is_ok(), "a good message");
    let read = reader.read(Bytes::copy_from_slice(bytes), &known);
    if let Ok(message) = ModelStreamInferResponse::decode(bytes) {
        assert!(read.is_ok(), "prost reads it: {read:?}");
        read.iter().for_each(|reply| agrees(reply, &message));
        again(bytes, &message);
    }
    match read {
        Ok(reply) => {
            outputs(&reply);
            let words = String::from_utf8_lossy(reply.error_message()).into_owned();
            let from_model = reply.final_flag().is_some();
            for_people(&status::of_frame("m", &words, from_model));
        }
        Err(broken) => for_people(&status::of_broken("the stream", broken)),
    }
}

/// The same bytes come twice on one stream and then on another, which knows them.
fn again(bytes: &[u8], message: &ModelStreamInferResponse) {
    let known = Known::default();
    let mut readers = [(); 2].map(|()| Reader::default());
    for stream in [0, 0, 1] {
        let read = readers[stream].read(Bytes::copy_from_slice(bytes), &known);
        assert!(read.is_ok(), "it did before: {read:?}");
        read.iter().for_each(|reply| agrees(reply, message));
    }
}

/// A message of which nothing must show in the next.
fn used() -> ModelStreamInferResponse {
    let flag = super::proto::InferParameter {
        parameter_choice: Some(ParameterChoice::BoolParam(true)),
    };
    ModelStreamInferResponse {
        error_message: "it broke".to_owned(),
        infer_response: Some(ModelInferResponse {
            model_name: "other".to_owned(),
            id: "7".to_owned(),
            parameters: [(FLAG.to_owned(), flag)].into(),
            outputs: vec![super::proto::model_infer_response::InferOutputTensor::default(); 9],
            raw_output_contents: vec![Bytes::new(); 9],
            ..ModelInferResponse::default()
        }),
    }
}

const FLAG: &str = "triton_final_response";

/// Bytes as the answer of a call.
fn answered(bytes: &[u8]) {
    let read = Reply::of_call(Bytes::copy_from_slice(bytes));
    if let Ok(response) = ModelInferResponse::decode(bytes) {
        let message = ModelStreamInferResponse {
            error_message: String::new(),
            infer_response: Some(response),
        };
        assert!(read.is_ok(), "prost reads it: {read:?}");
        read.iter().for_each(|reply| agrees(reply, &message));
    }
    match read {
        Ok(reply) => outputs(&reply),
        Err(broken) => for_people(&status::of_broken("the call", broken)),
    }
}

/// Whether a reply says what the message says.
pub(super) fn agrees(reply: &Reply, message: &ModelStreamInferResponse) {
    assert_eq!(reply.error_message(), message.error_message.as_bytes());
    assert_eq!(reply.has_response(), message.infer_response.is_some());
    let response = message.infer_response.clone().unwrap_or_default();
    assert_eq!(reply.model(), response.model_name.as_bytes());
    assert_eq!(reply.id(), response.id.as_bytes());
    let flag = response.parameters.get(FLAG);
    let flag = match flag.and_then(|flag| flag.parameter_choice.as_ref()) {
        Some(ParameterChoice::BoolParam(flag)) => Some(*flag),
        _ => None,
    };
    assert_eq!(reply.final_flag(), flag);
    assert_eq!(reply.is_empty(), response.outputs.is_empty());
    for output in &response.outputs {
        let first = response.outputs.iter().position(|o| o.name == output.name);
        let first = first.unwrap_or_default();
        let tensor = reply.tensor(output.name.as_bytes());
        let found = tensor.map(|tensor| (tensor.name, tensor.datatype));
        let datatype = response.outputs[first].datatype.as_bytes();
        assert_eq!(found, Some((output.name.as_bytes(), datatype)));
        let raw = tensor.and_then(|tensor| tensor.raw);
        let shared = raw.map(|raw| reply.share(raw));
        assert_eq!(shared.as_ref(), response.raw_output_contents.get(first));
        assert_eq!(raw.map(|raw| reply.part(raw)), shared.as_deref());
    }
    assert!(reply.tensor(b"no such name").is_none());
    for output in Often::ALL {
        let by_name = reply.tensor(output.name().as_bytes());
        let raw = |tensor: Option<Tensor<'_>>| tensor.map(|tensor| tensor.raw);
        assert_eq!(raw(reply.often(output)), raw(by_name));
    }
}

/// The tensors that the clients ask for: what is taken is what a plain reading
/// makes of the same bytes, and what is not is refused in words.
fn outputs(reply: &Reply) {
    for name in ["sequence_length", "output_ids", "OUTPUT", "text_output", ""] {
        let output = match wire::required(reply, name) {
            Ok(output) => output,
            Err(error) => {
                for_people(&error);
                continue;
            }
        };
        let tensor = reply.tensor(name.as_bytes());
        let raw = tensor.and_then(|tensor| tensor.raw);
        let raw = raw.map(|raw| reply.part(raw)).unwrap_or_default();
        match output.count() {
            Ok(count) => assert!(raw.starts_with(&count.to_le_bytes())),
            Err(error) => for_people(&error),
        }
        match output.ids(1, 3) {
            Ok(ids) => assert_eq!(ids.concat(), raw[4..12]),
            Err(error) => for_people(&error),
        }
        match output.string() {
            Ok(text) if raw.is_empty() => assert!(text.is_empty()),
            Ok(text) => {
                assert_eq!(raw[4..4 + text.len()], text[..]);
                texts::as_text(&text);
                texts::is_unfinished(&text);
            }
            Err(error) => for_people(&error),
        }
    }
}

/// Bytes as what a server says of a model, and what would be asked of it then.
fn configured(bytes: &[u8]) {
    let _ = ModelStatisticsResponse::decode(bytes);
    let wrapped = ModelConfigResponse::decode(bytes).ok();
    let configs = [
        wrapped.and_then(|answer| answer.config),
        ModelConfig::decode(bytes).ok(),
    ];
    for config in configs.into_iter().flatten() {
        repository::integer_parameter(&config, "session_len");
        repository::running_limit(&config);
        let asked = Wire::of(&config, Some(2)).and_then(|wire| wire.framed(&request()));
        asked.err().iter().for_each(for_people);
    }
}

fn request() -> Request {
    Request {
        id: 7,
        slot: 3,
        prompt: "say".into(),
        turn: None,
        token_ids: [1, 2].into(),
        server_prompt_tokens: Some(2),
        output_tokens: 5,
        sampling: Sampling::default(),
        stream: true,
        prompt_mode: PromptMode::Raw,
        wire: None,
    }
}

/// Bytes as strings in a row, and pieces as strings that come back.
fn strings(bytes: &[u8], lengths: &[u8]) {
    if let Some(found) = wire::strings_of_bytes(&Bytes::copy_from_slice(bytes)) {
        let found: Vec<&[u8]> = found.iter().map(AsRef::as_ref).collect();
        assert_eq!(wire::strings_to_bytes(&found), bytes);
    }
    let strings = pieces(bytes, lengths);
    let back = wire::strings_of_bytes(&wire::strings_to_bytes(&strings));
    assert!(
        back.is_some_and(|back| back == strings),
        "strings come back"
    );
}

/// An address as typed; the refusal, if it is none.
pub(crate) fn address(text: &str) -> Option<Error> {
    Address::parse(text).err()
}
