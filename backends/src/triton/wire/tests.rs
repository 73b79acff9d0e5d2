//! Tensors by literal bytes.

use bytes::Bytes;
use proptest::prelude::{ProptestConfig, any, prop, proptest};

use prost::Message;

use super::{DataType, Reply, datatype_word, output, required, strings_of_bytes, strings_to_bytes};
use crate::ErrorKind;
use crate::triton::proto::ModelInferResponse;
use crate::triton::proto::model_infer_response::InferOutputTensor;

fn response(outputs: &[(&str, &str, &[i64], &[u8])]) -> Reply {
    read(&message(outputs))
}

fn read(message: &ModelInferResponse) -> Reply {
    Reply::of_call(message.encode_to_vec().into()).expect("a message")
}

fn message(outputs: &[(&str, &str, &[i64], &[u8])]) -> ModelInferResponse {
    ModelInferResponse {
        model_name: "m".to_owned(),
        outputs: outputs
            .iter()
            .map(|(name, datatype, shape, _)| InferOutputTensor {
                name: (*name).to_owned(),
                datatype: (*datatype).to_owned(),
                shape: shape.to_vec(),
                ..InferOutputTensor::default()
            })
            .collect(),
        raw_output_contents: outputs
            .iter()
            .map(|(_, _, _, raw)| Bytes::copy_from_slice(raw))
            .collect(),
        ..ModelInferResponse::default()
    }
}

#[test]
fn types_have_other_words_on_tensors() {
    for (kind, word) in [
        (DataType::TypeString, "BYTES"),
        (DataType::TypeUint32, "UINT32"),
        (DataType::TypeFp64, "FP64"),
        (DataType::TypeBool, "BOOL"),
    ] {
        assert_eq!(datatype_word(kind), word);
    }
}

#[test]
fn an_empty_string_is_four_zeros() {
    assert_eq!(strings_to_bytes(&[b""]).as_ref(), [0, 0, 0, 0]);
    let strings = strings_of_bytes(&Bytes::from_static(&[0, 0, 0, 0])).expect("one string");
    assert_eq!(strings, [Bytes::new()]);
    assert_eq!(
        strings_of_bytes(&Bytes::new()).expect("none"),
        Vec::<Bytes>::new()
    );
}

#[test]
fn outputs_are_found_by_name_whatever_their_shape() {
    let text = b"\x05\0\0\0 w475";
    for shape in [&[][..], &[1], &[1, 1, 1]] {
        let response = response(&[
            ("sequence_length", "UINT32", shape, &[9, 0, 0, 0]),
            ("text_output", "BYTES", shape, text),
        ]);
        let string = required(&response, "text_output")
            .expect("there")
            .string()
            .expect("text");
        assert_eq!(string, Bytes::from_static(b" w475"));
        let length = required(&response, "sequence_length")
            .expect("there")
            .count();
        assert_eq!(length, Ok(9));
        assert!(output(&response, "cum_log_probs").expect("fine").is_none());
    }
}

#[test]
fn counts_of_every_width_are_read() {
    for (datatype, raw, count) in [
        ("UINT32", &[7, 0, 0, 0][..], Some(7)),
        ("INT32", &[7, 0, 0, 0], Some(7)),
        ("INT64", &[7, 0, 0, 0, 0, 0, 0, 0], Some(7)),
        ("UINT64", &[7, 0, 0, 0, 0, 0, 0, 0, 1, 1], Some(7)),
        ("INT32", &[255, 255, 255, 255], None),
        ("UINT64", &[0, 0, 0, 0, 1, 0, 0, 0], None),
        ("UINT32", &[7, 0], None),
        ("UINT32", &[], None),
        ("FP32", &[0, 0, 0, 0], None),
        ("BYTES", &[0, 0, 0, 0], None),
    ] {
        let response = response(&[("n", datatype, &[1, 1], raw)]);
        let found = required(&response, "n").expect("there").count();
        assert_eq!(found.clone().ok(), count, "{datatype} {raw:?}");
        assert!(found.is_ok() || found.is_err_and(|e| e.kind == ErrorKind::Malformed));
    }
}

#[test]
fn only_the_asked_ids_are_read() {
    let raw = [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0];
    let response = response(&[("output_ids", "UINT32", &[1, 1, 3], &raw)]);
    let ids = required(&response, "output_ids").expect("there");
    assert_eq!(ids.ids(1, 3), Ok(&[[2, 0, 0, 0], [3, 0, 0, 0]][..]));
    assert_eq!(ids.ids(3, 3), Ok(&[][..]));
    for (from, to) in [(0, 4), (3, 2), (4, 4), (0, u32::MAX)] {
        let error = ids.ids(from, to).expect_err("out of range");
        assert_eq!(error.kind, ErrorKind::Malformed);
    }
}

#[test]
fn broken_strings_are_malformed() {
    for raw in [&[5, 0, 0, 0, b'a'][..], &[1, 0], &[255, 255, 255, 255, 0]] {
        let response = response(&[("OUTPUT", "BYTES", &[1], raw)]);
        let error = required(&response, "OUTPUT")
            .expect("there")
            .string()
            .expect_err("broken");
        assert_eq!(error.kind, ErrorKind::Malformed);
    }
    let no_bytes = ModelInferResponse {
        raw_output_contents: Vec::new(),
        ..message(&[("OUTPUT", "BYTES", &[1], &[])])
    };
    assert!(output(&read(&no_bytes), "OUTPUT").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn strings_come_back(strings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6)) {
        let slices: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
        let back = strings_of_bytes(&strings_to_bytes(&slices)).expect("adds up");
        assert_eq!(back, strings);
    }

    #[test]
    fn no_bytes_panic(raw in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = strings_of_bytes(&Bytes::from(raw));
    }
}
