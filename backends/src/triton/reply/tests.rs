//! What is read of a message against what prost makes of the same bytes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use prost::Message;

use super::{Broken, News, Reply};
use crate::triton::fuzzing::{agrees, streamed};
use crate::triton::proto::infer_parameter::ParameterChoice;
use crate::triton::proto::model_infer_response::InferOutputTensor;
use crate::triton::proto::{
    InferParameter, InferTensorContents, ModelInferResponse, ModelStreamInferResponse,
};

const FLAG: &str = "triton_final_response";

fn a_parameter() -> impl Strategy<Value = InferParameter> {
    let choice = prop_oneof![
        any::<bool>().prop_map(ParameterChoice::BoolParam),
        any::<i64>().prop_map(ParameterChoice::Int64Param),
        "[a-z]{0,4}".prop_map(ParameterChoice::StringParam),
        any::<f64>()
            .prop_filter("equal to itself", |value| !value.is_nan())
            .prop_map(ParameterChoice::DoubleParam),
    ];
    option::of(choice).prop_map(|parameter_choice| InferParameter { parameter_choice })
}

fn an_output() -> impl Strategy<Value = InferOutputTensor> {
    let name = prop_oneof![
        Just("sequence_length"),
        Just("output_ids"),
        Just("a"),
        Just("")
    ];
    let datatype = prop_oneof![Just("UINT32"), Just("BYTES"), Just("")];
    let contents = option::of(vec(any::<u32>(), 0..4));
    (name, datatype, vec(any::<i64>(), 0..4), contents).prop_map(
        |(name, datatype, shape, contents)| InferOutputTensor {
            name: name.to_owned(),
            datatype: datatype.to_owned(),
            shape,
            contents: contents.map(|uint_contents| InferTensorContents {
                uint_contents,
                ..InferTensorContents::default()
            }),
            ..InferOutputTensor::default()
        },
    )
}

fn a_response() -> impl Strategy<Value = ModelInferResponse> {
    let name = prop_oneof![Just(FLAG), Just("sequence_id"), Just("")];
    let parameters = vec((name, a_parameter()), 0..4);
    let raw = vec(vec(any::<u8>(), 0..200), 0..7);
    (
        "[a-z]{0,9}",
        "[0-9]{0,3}",
        parameters,
        vec(an_output(), 0..7),
        raw,
    )
        .prop_map(
            |(model_name, id, parameters, outputs, raw)| ModelInferResponse {
                model_name,
                model_version: "1".to_owned(),
                id,
                parameters: parameters
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
                outputs,
                raw_output_contents: raw.into_iter().map(Bytes::from).collect(),
            },
        )
}

fn a_message() -> impl Strategy<Value = ModelStreamInferResponse> {
    ("[a-z ]{0,9}", option::of(a_response())).prop_map(|(error_message, infer_response)| {
        ModelStreamInferResponse {
            error_message,
            infer_response,
        }
    })
}

/// Bytes that may be fields of any kind and number, groups among them.
fn some_fields() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        (0_u8..16, 0_u8..8, vec(any::<u8>(), 0..12)).prop_map(|(number, kind, mut rest)| {
            rest.insert(0, number << 3 | kind);
            rest
        }),
        (0_u8..16, vec(any::<u8>(), 0..12)).prop_map(|(number, mut rest)| {
            let length = u8::try_from(rest.len()).expect("few");
            rest.splice(0..0, [number << 3 | 2, length]);
            rest
        }),
        (1_u8..16, any::<u8>()).prop_map(|(number, value)| vec![number << 3, value & 0x7f]),
        (1_u8..16).prop_map(|number| vec![number << 3 | 3, 0x78, 1, number << 3 | 4]),
    ];
    vec(field, 0..6).prop_map(|fields| fields.concat())
}

fn of_stream(bytes: &[u8]) -> Result<Reply, Broken> {
    // What was read before must not show.
    let yes = InferParameter {
        parameter_choice: Some(ParameterChoice::BoolParam(true)),
    };
    let before = ModelStreamInferResponse {
        error_message: "it broke".to_owned(),
        infer_response: Some(ModelInferResponse {
            model_name: "other".to_owned(),
            id: "7".to_owned(),
            parameters: [(FLAG.to_owned(), yes)].into(),
            outputs: vec![InferOutputTensor::default(); 9],
            raw_output_contents: vec![Bytes::new(); 9],
            ..ModelInferResponse::default()
        }),
    };
    let mut reply = Reply::default();
    reply.read_stream(before.encode_to_vec().into())?;
    reply.read_stream(Bytes::copy_from_slice(bytes))?;
    Ok(reply)
}

/// Whatever prost makes a message of is read as the same.
fn agrees_where_prost_reads(bytes: &[u8]) {
    streamed(bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn messages_are_read_as_prost_reads_them(message in a_message()) {
        agrees(&of_stream(&message.encode_to_vec()).expect("good"), &message);
        let response = message.infer_response.unwrap_or_default();
        let reply = Reply::of_call(Bytes::from(response.encode_to_vec())).expect("good");
        let message = ModelStreamInferResponse {
            error_message: String::new(),
            infer_response: Some(response),
        };
        agrees(&reply, &message);
    }

    #[test]
    fn messages_in_a_row_are_one(messages in vec(a_message(), 0..4), more in some_fields()) {
        let mut bytes: Vec<u8> = messages.iter().flat_map(Message::encode_to_vec).collect();
        bytes.extend(more);
        agrees_where_prost_reads(&bytes);
    }

    #[test]
    fn a_message_cut_short_or_spoilt_is_no_panic(
        message in a_message(), at in any::<usize>(), byte in any::<u8>(),
    ) {
        let mut bytes = message.encode_to_vec();
        let at = at % (bytes.len() + 1);
        agrees_where_prost_reads(&bytes[..at]);
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        agrees_where_prost_reads(&bytes);
    }

    #[test]
    fn fields_of_every_kind_are_read_as_prost_reads_them(
        outer in some_fields(), inner in some_fields(), parameter in some_fields(), list in some_fields(),
    ) {
        let within = |number: u8, bytes: &[u8]| {
            let mut field = vec![number << 3 | 2];
            prost::encoding::encode_varint(bytes.len() as u64, &mut field);
            field.extend(bytes);
            field
        };
        let inner = [inner, within(4, &parameter), within(5, &list)].concat();
        agrees_where_prost_reads(&[outer.clone(), within(2, &inner), outer].concat());
    }

    #[test]
    fn what_differs_from_the_message_before_is_read_anew(
        response in a_response(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let message = ModelStreamInferResponse {
            error_message: String::new(),
            infer_response: Some(response),
        };
        let before = message.encode_to_vec();
        let mut bytes = before.clone();
        for (at, byte) in changes {
            bytes[at.index(before.len())] = byte;
        }
        let mut reply = Reply::default();
        reply.read_stream(before.into()).expect("good");
        let read = reply.read_stream(bytes.clone().into());
        if let Ok(message) = ModelStreamInferResponse::decode(bytes.as_slice()) {
            read.expect("prost reads it");
            agrees(&reply, &message);
        }
    }

    #[test]
    fn noise_is_no_panic(bytes in vec(any::<u8>(), 0..300)) {
        agrees_where_prost_reads(&bytes);
        let _ = Reply::of_call(Bytes::from(bytes));
    }
}

#[test]
fn what_is_no_message_is_said_in_prosts_words() {
    for (bytes, words) in [
        (&[0x12, 9, 1][..], "underflow"),
        (&[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f, 1], "underflow"),
        (&[0x08, 1], "wire type"),
        (&[0x12, 2, 0x08, 1], "wire type"),
        (&[0x12, 4, 0x2a, 2, 0x08, 1], "wire type"),
        (&[0x12, 6, 0x22, 4, 0x12, 2, 0x0a, 0], "wire type"),
    ] {
        let Broken(said) = of_stream(bytes).expect_err(words);
        let prost = ModelStreamInferResponse::decode(bytes).expect_err(words);
        assert!(said.contains(words), "{said}");
        assert!(prost.to_string().contains(words), "{prost}");
    }
}

/// The engine's messages as they come, one token after the other.
#[test]
fn other_contents_of_the_same_tensors_are_told_from_news() {
    let message = |id: &str, ids: &[u8], length: u8| {
        let output = |name: &str| InferOutputTensor {
            name: name.to_owned(),
            datatype: "UINT32".to_owned(),
            ..InferOutputTensor::default()
        };
        ModelStreamInferResponse {
            error_message: String::new(),
            infer_response: Some(ModelInferResponse {
                id: id.to_owned(),
                outputs: vec![output("output_ids"), output("sequence_length")],
                raw_output_contents: vec![ids.to_vec().into(), vec![length, 0, 0, 0].into()],
                ..ModelInferResponse::default()
            }),
        }
    };
    let mut reply = Reply::default();
    for (message, news) in [
        (message("7", &[1, 0, 0, 0], 1), News::Any),
        (message("7", &[9, 0, 0, 0], 2), News::Contents),
        (message("8", &[9, 0, 0, 0], 3), News::Any),
        (message("8", &[9, 0], 3), News::Any),
        (message("8", &[1, 1], 4), News::Contents),
    ] {
        let read = reply.read_stream(message.encode_to_vec().into());
        assert_eq!(read, Ok(news));
        agrees(&reply, &message);
        reply.let_go();
    }
    assert!(reply.read_stream(vec![0x08].into()).is_err());
    let last = message("8", &[1, 1], 4).encode_to_vec();
    assert_eq!(reply.read_stream(last.into()), Ok(News::Any));
}

#[test]
fn more_outputs_than_usual_are_found() {
    let name = |at: usize| format!("output number {at}");
    let response = ModelInferResponse {
        outputs: (0..30)
            .map(|at| InferOutputTensor {
                name: name(at),
                ..InferOutputTensor::default()
            })
            .collect(),
        raw_output_contents: (0..29).map(|at| Bytes::from(vec![at])).collect(),
        ..ModelInferResponse::default()
    };
    let reply = Reply::of_call(Bytes::from(response.encode_to_vec())).expect("good");
    for at in 0..29 {
        let raw = reply.tensor(name(at).as_bytes()).and_then(|t| t.raw);
        let raw = raw.map(|raw| reply.part(raw).to_vec());
        assert_eq!(raw, Some(vec![u8::try_from(at).expect("few")]));
    }
    let last = reply.tensor(name(29).as_bytes()).expect("listed");
    assert!(last.raw.is_none());
}
