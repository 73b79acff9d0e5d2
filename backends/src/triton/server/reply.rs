//! Frames of a simulated answer, as Triton makes them, on their way to the
//! socket.

use std::collections::HashMap;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::super::proto::infer_parameter::ParameterChoice;
use super::super::proto::model_infer_response::InferOutputTensor;
use super::super::proto::{
    InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
};
use super::super::wire::{strings_to_bytes, u32s_to_bytes};
use super::catalog::ENSEMBLE;

/// What goes out on a stream.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// A frame, and the answer's tokens up to and with it; `None` where it
    /// brings nothing that a client could mark.
    Frame(Box<ModelStreamInferResponse>, Option<u32>),
    /// The stream breaks off without a word.
    Cut,
}

/// Where the answers of one stream go.
pub(super) type Outbox = mpsc::UnboundedSender<Outgoing>;

/// The output tensors of one response.
#[derive(Clone, Debug, Default)]
pub(super) struct Tensors {
    tensors: Vec<InferOutputTensor>,
    raw: Vec<Bytes>,
}

impl Tensors {
    fn push(&mut self, name: &str, datatype: &str, shape: Vec<i64>, raw: Bytes) {
        self.tensors.push(InferOutputTensor {
            name: name.to_owned(),
            datatype: datatype.to_owned(),
            shape,
            ..InferOutputTensor::default()
        });
        self.raw.push(raw);
    }

    /// Adds UINT32 values.
    pub(super) fn u32s(&mut self, name: &str, shape: Vec<i64>, values: &[u32]) {
        self.push(name, "UINT32", shape, u32s_to_bytes(values));
    }

    /// Adds one string.
    pub(super) fn text(&mut self, name: &str, shape: Vec<i64>, text: &str) {
        self.push(name, "BYTES", shape, strings_to_bytes(&[text.as_bytes()]));
    }

    /// A response with these outputs.
    pub(super) fn response(self, model: &str, id: &str) -> ModelInferResponse {
        ModelInferResponse {
            model_name: model.to_owned(),
            model_version: "1".to_owned(),
            id: id.to_owned(),
            outputs: self.tensors,
            raw_output_contents: self.raw,
            ..ModelInferResponse::default()
        }
    }
}

/// The answer to one request.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    out: &'a Outbox,
    model: &'a str,
    id: &'a str,
    /// Whether a final response without tensors is wanted; else it is dropped.
    wants_empty_final: bool,
    parameters: HashMap<String, InferParameter>,
}

impl<'a> Reply<'a> {
    pub(super) fn new(request: &'a ModelInferRequest, out: &'a Outbox) -> Self {
        let asked = request.parameters.get("triton_enable_empty_final_response");
        let asked = asked.and_then(|parameter| parameter.parameter_choice.as_ref());
        let mut parameters = HashMap::new();
        if request.model_name == ENSEMBLE {
            // An ensemble echoes these, with zeros for those not sent.
            for (name, zero) in [
                ("sequence_id", ParameterChoice::Int64Param(0)),
                ("sequence_start", ParameterChoice::BoolParam(false)),
                ("sequence_end", ParameterChoice::BoolParam(false)),
            ] {
                let zero = InferParameter {
                    parameter_choice: Some(zero),
                };
                let sent = request.parameters.get(name).cloned();
                parameters.insert(name.to_owned(), sent.unwrap_or(zero));
            }
        }
        Self {
            out,
            model: &request.model_name,
            id: &request.id,
            wants_empty_final: matches!(asked, Some(ParameterChoice::BoolParam(true))),
            parameters,
        }
    }

    /// A frame with outputs, `total` tokens by now.
    pub(super) fn send(&self, tensors: Tensors, last: bool, total: u32) {
        let response = self.flagged(tensors.response(self.model, self.id), last);
        self.put("", response, Some(total));
    }

    /// The final flag alone.
    pub(super) fn finish(&self) {
        if self.wants_empty_final {
            let response = ModelInferResponse {
                model_version: String::new(),
                ..Tensors::default().response(self.model, self.id)
            };
            let response = self.flagged(response, true);
            self.put("", response, None);
        }
    }

    /// An error before the model got the request: no final flag.
    pub(super) fn refuse(&self, words: &str) {
        let response = ModelInferResponse {
            id: self.id.to_owned(),
            ..ModelInferResponse::default()
        };
        self.put(words, response, None);
    }

    /// An error of the model itself: with the final flag.
    pub(super) fn fail(&self, words: &str) {
        let response = ModelInferResponse {
            model_version: String::new(),
            ..Tensors::default().response(self.model, self.id)
        };
        let response = self.flagged(response, true);
        self.put(words, response, None);
    }

    /// turbomind's error of that number, two blanks before it.
    pub(super) fn engine_failed(&self, place: &str, code: u8) {
        self.fail(&format!("{place}TurboMind execute failure:  {code}"));
    }

    /// Breaks the stream off.
    pub(super) fn cut(&self) {
        // Nobody listens only when the client is gone already.
        let _ = self.out.send(Outgoing::Cut);
    }

    /// The message of a response with outputs, not sent.
    pub(super) fn message(&self, tensors: Tensors) -> ModelStreamInferResponse {
        let response = self.flagged(tensors.response(self.model, self.id), false);
        ModelStreamInferResponse {
            error_message: String::new(),
            infer_response: Some(response),
        }
    }

    fn flagged(&self, mut response: ModelInferResponse, last: bool) -> ModelInferResponse {
        response.parameters.clone_from(&self.parameters);
        let flag = InferParameter {
            parameter_choice: Some(ParameterChoice::BoolParam(last)),
        };
        response
            .parameters
            .insert("triton_final_response".to_owned(), flag);
        response
    }

    fn put(&self, error: &str, response: ModelInferResponse, total: Option<u32>) {
        let frame = ModelStreamInferResponse {
            error_message: error.to_owned(),
            infer_response: Some(response),
        };
        // As in `cut`.
        let _ = self.out.send(Outgoing::Frame(Box::new(frame), total));
    }
}
