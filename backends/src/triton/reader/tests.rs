//! What is read of a message against what prost makes of the same bytes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use prost::Message;

use super::{Broken, KNOWN_MAX, Known, Reader, Reply};
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
    let (mut reader, known) = (Reader::default(), Known::default());
    reader.read(before.encode_to_vec().into(), &known)?;
    reader.read(Bytes::copy_from_slice(bytes), &known)
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
        let (mut reader, known) = (Reader::default(), Known::default());
        reader.read(before.into(), &known).expect("good");
        let read = reader.read(bytes.clone().into(), &known);
        if let Ok(message) = ModelStreamInferResponse::decode(bytes.as_slice()) {
            agrees(&read.expect("prost reads it"), &message);
        }
    }

    /// Streams that share what they know, whatever the messages have in common.
    #[test]
    fn what_others_have_read_does_not_show(
        responses in vec(a_response(), 1..4),
        turns in vec((0_usize..3, any::<prop::sample::Index>(), "[0-9]{0,2}", any::<u8>()), 1..24),
    ) {
        let known = Known::default();
        let mut readers = [(); 3].map(|()| Reader::default());
        for (stream, at, id, byte) in turns {
            let mut response = at.get(&responses).clone();
            response.id = id;
            let contents = response.raw_output_contents.iter_mut();
            contents.for_each(|content| *content = vec![byte; content.len()].into());
            let message = ModelStreamInferResponse {
                error_message: String::new(),
                infer_response: Some(response),
            };
            let read = readers[stream].read(message.encode_to_vec().into(), &known);
            agrees(&read.expect("good"), &message);
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

/// A message of the engine's.
fn of_engine(id: &str, ids: &[u8], length: u8) -> ModelStreamInferResponse {
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
}

/// What a reader is told: the message, and whether it compared it only.
fn reads(reader: &mut Reader, known: &Known, message: &ModelStreamInferResponse) -> bool {
    let bytes = message.encode_to_vec();
    let compared = reader.layout.fits(&bytes);
    agrees(&reader.read(bytes.into(), known).expect("good"), message);
    compared
}

/// The engine's messages as they come, one token after the other.
#[test]
fn other_ids_and_contents_of_the_same_tensors_are_compared_only() {
    let (mut reader, known) = (Reader::default(), Known::default());
    for (message, compared) in [
        (of_engine("7", &[1, 0, 0, 0], 1), false),
        (of_engine("7", &[9, 0, 0, 0], 2), true),
        (of_engine("8", &[9, 0, 0, 0], 3), true),
        (of_engine("10", &[9, 0, 0, 0], 3), false),
        (of_engine("8", &[9, 0], 3), false),
        (of_engine("8", &[1, 1], 4), true),
    ] {
        assert_eq!(
            reads(&mut reader, &known, &message),
            compared,
            "{message:?}"
        );
    }
    assert!(reader.read(vec![0x08].into(), &known).is_err());
    assert!(!reads(&mut reader, &known, &of_engine("8", &[1, 1], 4)));
}

#[test]
fn streams_share_what_came_twice() {
    let known = Known::default();
    let [mut one, mut other, mut late] = [(); 3].map(|()| Reader::default());
    for round in 0..3 {
        reads(&mut one, &known, &of_engine("1", &[1, 2], round));
        reads(&mut other, &known, &of_engine("2", &[3, 4], round));
    }
    assert!(std::sync::Arc::ptr_eq(&one.layout, &other.layout));
    reads(&mut late, &known, &of_engine("3", &[5, 6], 0));
    assert!(late.layout.is_known(), "found at its first message");
    assert_eq!(known.0.lock().expect("whole").len(), 1);
    // Messages that are each of their own length leave nothing.
    for len in 3..30 {
        reads(&mut other, &known, &of_engine("2", &vec![0; len], 1));
    }
    assert_eq!(known.0.lock().expect("whole").len(), 1);
    // A server that never sends the same thrice takes no memory.
    for len in 3..30 {
        let message = of_engine("2", &vec![0; len], 1);
        reads(&mut other, &known, &message);
        reads(&mut other, &known, &message);
    }
    assert_eq!(known.0.lock().expect("whole").len(), KNOWN_MAX);
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
