//! Frames that are patched against frames that are read back.

use bytes::{Buf, Bytes};
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
use prost::Message;

use super::super::super::proto::infer_parameter::ParameterChoice;
use super::super::super::proto::model_infer_request::InferInputTensor;
use super::super::super::proto::{ModelInferRequest, ModelInferResponse, ModelStreamInferResponse};
use super::super::super::wire::{strings_to_bytes, u32s_to_bytes};
use super::{Asked, Frame, u32s};
use crate::engine::ByteCodec;

fn message(model: &str, tensors: &[(&str, Bytes)]) -> Bytes {
    let request = ModelInferRequest {
        model_name: model.to_owned(),
        id: "17".to_owned(),
        inputs: tensors
            .iter()
            .map(|(name, _)| InferInputTensor {
                name: (*name).to_owned(),
                ..InferInputTensor::default()
            })
            .collect(),
        raw_input_contents: tensors.iter().map(|(_, raw)| raw.clone()).collect(),
        ..ModelInferRequest::default()
    };
    let length = u32::try_from(request.encoded_len()).expect("small");
    let bytes = [&[0][..], &length.to_be_bytes(), &request.encode_to_vec()].concat();
    bytes.into()
}

fn engine(prompt: &[u32], length: u32, tokens: u32) -> Bytes {
    message(
        "turbomind",
        &[
            ("input_ids", u32s_to_bytes(prompt)),
            ("input_lengths", u32s_to_bytes(&[length])),
            ("request_output_len", u32s_to_bytes(&[tokens])),
        ],
    )
}

fn ensemble(text: &str, tokens: u32) -> Bytes {
    message(
        "ensemble",
        &[
            ("max_tokens", u32s_to_bytes(&[tokens])),
            ("text_input", strings_to_bytes(&[text.as_bytes()])),
        ],
    )
}

/// Reads a frame as a transport may: in pieces of this many bytes.
fn read(mut frame: Frame, step: usize) -> ModelInferResponse {
    let mut bytes = Vec::new();
    while frame.has_remaining() {
        let piece = frame.chunk().len().min(step);
        bytes.extend_from_slice(&frame.chunk()[..piece]);
        frame.advance(piece);
    }
    let (prefix, body) = bytes.split_first_chunk::<5>().expect("a prefix");
    assert_eq!(prefix[0], 0);
    let length = u32::from_be_bytes(prefix[1..].try_into().expect("four"));
    assert_eq!(usize::try_from(length).expect("small"), body.len());
    let message = ModelStreamInferResponse::decode(body).expect("a message");
    assert_eq!(message.error_message, "");
    message.infer_response.expect("a response")
}

fn tensor(response: &ModelInferResponse, name: &str) -> Option<(Vec<i64>, Bytes)> {
    let at = response.outputs.iter().position(|it| it.name == name)?;
    let raw = response.raw_output_contents.get(at)?.clone();
    Some((response.outputs[at].shape.clone(), raw))
}

fn is_final(response: &ModelInferResponse) -> bool {
    let flag = response.parameters.get(super::FINAL).expect("flagged");
    flag.parameter_choice == Some(ParameterChoice::BoolParam(true))
}

proptest! {
    #[test]
    fn frames_of_the_engine_say_what_is_meant(
        prompt in prop::collection::vec(1_u32..1000, 1..9),
        tokens in 1_u32..12,
        output_ids_len in 0_u32..30,
        step in 1_usize..200,
    ) {
        let length = u32::try_from(prompt.len()).expect("small");
        let asked = Asked::read(&engine(&prompt, length, tokens), &ByteCodec).expect("plain");
        prop_assert_eq!((asked.id(), asked.tokens()), ("17", tokens));
        let mut frames = asked.frames(output_ids_len);
        for total in 1..=tokens {
            let response = read(frames.frame(total), step);
            prop_assert_eq!(is_final(&response), total == tokens);
            let (_, now) = tensor(&response, "sequence_length").expect("there");
            prop_assert_eq!(u32s(&now), [length + total]);
            let (shape, ids) = tensor(&response, "output_ids").expect("there");
            let ids = u32s(&ids);
            let width = if output_ids_len == 0 {
                length + total
            } else {
                output_ids_len.max(length + tokens)
            };
            prop_assert_eq!(shape, [1, 1, i64::from(width)]);
            prop_assert_eq!(ids.len(), usize::try_from(width).expect("small"));
            prop_assert!(ids.starts_with(&prompt));
        }
    }

    #[test]
    fn frames_of_the_ensemble_say_what_is_meant(
        text in "[a-z ]{0,20}",
        tokens in 1_u32..12,
        step in 1_usize..200,
    ) {
        let asked = Asked::read(&ensemble(&text, tokens), &ByteCodec).expect("plain");
        let mut frames = asked.frames(2056);
        // The byte codec's begin of sequence.
        let prompt = u32::try_from(text.len() + 1).expect("small");
        for total in 1..=tokens {
            let response = read(frames.frame(total), step);
            prop_assert_eq!(is_final(&response), total == tokens);
            let (_, now) = tensor(&response, "sequence_length").expect("there");
            prop_assert_eq!(u32s(&now), [prompt + total]);
            let (_, text) = tensor(&response, "text_output").expect("there");
            prop_assert!(text.len() > 4);
        }
    }

    #[test]
    fn noise_is_not_taken_on(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let noise = Bytes::from([&[0, 0, 0, 0, 200], &bytes[..]].concat());
        prop_assert!(Asked::read(&noise, &ByteCodec).is_none());
        prop_assert!(Asked::read(&bytes.into(), &ByteCodec).is_none());
    }
}

#[test]
fn what_is_no_plain_request_is_left_to_the_simulation() {
    for refused in [
        engine(&[], 0, 5),
        engine(&[1, 2], 3, 5),
        engine(&[1, 2], 2, 0),
        engine(&[1, 2], 2, u32::MAX),
        ensemble("a", 0),
        message("turbomind", &[]),
        message("lmdeploy_model", &[]),
        Bytes::new(),
    ] {
        assert!(Asked::read(&refused, &ByteCodec).is_none(), "{refused:?}");
    }
}
