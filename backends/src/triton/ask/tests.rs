//! Requests by what prost reads of them.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};
use prost::Message;

use super::{Call, Inputs};
use crate::triton::proto::infer_parameter::ParameterChoice;
use crate::triton::proto::model_infer_request::InferInputTensor;
use crate::triton::proto::{InferParameter, ModelInferRequest};

/// What prost reads of a request with these tensors.
pub(crate) fn read(inputs: Inputs) -> ModelInferRequest {
    decoded(Call {
        model: "m",
        id: 7,
        inputs,
        sequence: false,
    })
}

fn decoded(call: Call<'_>) -> ModelInferRequest {
    unframed(&call.framed(false).expect("short"))
}

fn unframed(bytes: &Bytes) -> ModelInferRequest {
    let (prefix, message) = bytes.split_first_chunk::<5>().expect("a prefix");
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    assert_eq!(prefix[0], 0, "not compressed");
    assert_eq!(prefix[1..], length);
    ModelInferRequest::decode(message).expect("a message")
}

#[test]
fn inputs_are_little_endian_and_in_order() {
    let mut inputs = Inputs::default();
    inputs.text("QUERY", &[1, 1], " w475");
    inputs.u32s("input_ids", &[1, 2], &[1, 0x0102_0304]);
    inputs.i32s("bad_words_list", &[1, 2, 1], &[2, -1]);
    inputs.u64("CORRID", &[1, 1], 7);
    inputs.f32("temperature", &[1, 1], 1.0);
    let request = read(inputs);
    let raw: Vec<&[u8]> = request
        .raw_input_contents
        .iter()
        .map(Bytes::as_ref)
        .collect();
    assert_eq!(raw[0], b"\x05\0\0\0 w475");
    assert_eq!(raw[1], [1, 0, 0, 0, 4, 3, 2, 1]);
    assert_eq!(raw[2], [2, 0, 0, 0, 255, 255, 255, 255]);
    assert_eq!(raw[3], [7, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(raw[4], [0, 0, 0x80, 0x3f]);
    let words: Vec<&str> = request
        .inputs
        .iter()
        .map(|tensor| tensor.datatype.as_str())
        .collect();
    assert_eq!(words, ["BYTES", "UINT32", "INT32", "UINT64", "FP32"]);
    assert_eq!(request.inputs[2].shape, [1, 2, 1]);
}

#[test]
fn parameters_are_what_triton_and_the_chatbot_want() {
    let call = |sequence| Call {
        model: "m",
        id: u64::MAX,
        inputs: Inputs::default(),
        sequence,
    };
    let yes = |name: &str| (name.to_owned(), ParameterChoice::BoolParam(true));
    let empty = || yes("triton_enable_empty_final_response");
    let id = (
        "sequence_id".to_owned(),
        ParameterChoice::Int64Param(i64::MAX),
    );
    let three = || vec![yes("sequence_start"), yes("sequence_end"), id.clone()];
    for (sequence, streaming, expected) in [
        (false, false, vec![]),
        (false, true, vec![empty()]),
        (true, false, three()),
        (true, true, [vec![empty()], three()].concat()),
    ] {
        let bytes = call(sequence).framed(streaming).expect("short");
        let parameters = expected.into_iter().map(|(name, choice)| {
            let parameter_choice = Some(choice);
            (name, InferParameter { parameter_choice })
        });
        let expected = ModelInferRequest {
            model_name: "m".to_owned(),
            id: u64::MAX.to_string(),
            parameters: parameters.collect(),
            ..ModelInferRequest::default()
        };
        assert_eq!(unframed(&bytes), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tensors_come_back(
        model in "[a-z]{1,200}", id in any::<u64>(),
        tensors in vec(("[a-z_]{0,200}", vec(any::<i64>(), 0..20), vec(any::<u8>(), 0..300)), 0..6),
    ) {
        let mut inputs = Inputs::default();
        for (name, shape, raw) in &tensors {
            inputs.push(name, "BYTES", shape, raw);
        }
        let request = decoded(Call { model: &model, id, inputs, sequence: false });
        let listed = tensors.iter().map(|(name, shape, _)| InferInputTensor {
            name: name.clone(),
            datatype: "BYTES".to_owned(),
            shape: shape.clone(),
            ..InferInputTensor::default()
        });
        assert_eq!(request, ModelInferRequest {
            model_name: model,
            id: id.to_string(),
            inputs: listed.collect(),
            raw_input_contents: tensors.iter().map(|(_, _, raw)| raw.clone().into()).collect(),
            ..ModelInferRequest::default()
        });
    }

    #[test]
    fn ids_of_any_number_come_back(ids in vec(any::<u32>(), 0..3000)) {
        let mut inputs = Inputs::default();
        inputs.u32s("input_ids", &[1, -1], &ids);
        inputs.text("QUERY", &[], &"é".repeat(ids.len()));
        let request = read(inputs);
        let raw: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        assert_eq!(request.raw_input_contents[0], raw);
        let length = u32::try_from(2 * ids.len()).expect("short").to_le_bytes();
        assert_eq!(request.raw_input_contents[1][..4], length);
        assert_eq!(request.raw_input_contents[1].len(), 4 + 2 * ids.len());
    }
}
