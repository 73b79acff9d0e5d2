//! Requests that Triton 2.51 objects to, and its words (seen on the wire).

use std::sync::Arc;

use bytes::Bytes;

use super::check;
use crate::engine::{ByteCodec, Engine, EngineConfig};
use crate::triton::proto::ModelInferRequest;
use crate::triton::proto::model_infer_request::InferInputTensor;
use crate::triton::server::catalog::configs;
use crate::{Clock, ServeOptions};

type Tensor<'a> = (&'a str, &'a str, &'a [i64], &'a [u8]);

fn objection(model: &str, id: &str, tensors: &[Tensor<'_>]) -> Option<String> {
    let engine = Engine::new(EngineConfig::default(), Arc::new(ByteCodec), Clock::start());
    let configs = configs(&engine, &ServeOptions::default());
    let config = configs
        .iter()
        .find(|config| config.name == model)
        .expect("listed");
    let tensor = |&(name, datatype, shape, _): &Tensor<'_>| InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    };
    let request = ModelInferRequest {
        model_name: model.to_owned(),
        id: id.to_owned(),
        inputs: tensors.iter().map(tensor).collect(),
        raw_input_contents: tensors
            .iter()
            .map(|t| Bytes::copy_from_slice(t.3))
            .collect(),
        ..ModelInferRequest::default()
    };
    check(config, &request)
        .err()
        .map(|status| status.message().to_owned())
}

const HI: &[u8] = b"\x02\0\0\0hi";
const ONE: &[u8] = &[1, 0, 0, 0];

#[test]
fn objections_have_tritons_words() {
    for (tensor, words) in [
        (
            ("QUERYX", "BYTES", &[1, 1][..], HI),
            "unexpected inference input 'QUERYX' for model 'preprocessing'",
        ),
        (
            ("QUERY", "INT32", &[1, 1], ONE),
            "[request id: 7] inference input 'QUERY' data-type is 'INT32', but model \
             'preprocessing' expects 'BYTES'",
        ),
        (
            ("QUERY", "STRING", &[1, 1], HI),
            "[request id: 7] inference input 'QUERY' data-type is '<invalid>', but model \
             'preprocessing' expects 'BYTES'",
        ),
        (
            ("QUERY", "BYTES", &[2, 1], b"\x02\0\0\0hi\x02\0\0\0hi"),
            "[request id: 7] inference request batch-size must be <= 1 for 'preprocessing'",
        ),
        (
            ("QUERY", "BYTES", &[1, 1], b"\x05\0\0\0hi"),
            "incomplete string data for inference input 'QUERY', expecting string of length 5 \
             but only 2 bytes available",
        ),
        (
            ("QUERY", "BYTES", &[1, 1], b"\x02\0\0\0hi\x02\0\0\0hi"),
            "[request id: 7] unexpected number of string elements 2 for inference input 'QUERY' \
             for model 'preprocessing', expecting 1",
        ),
    ] {
        assert_eq!(
            objection("preprocessing", "7", &[tensor]).as_deref(),
            Some(words)
        );
    }
}

#[test]
fn objections_to_shapes_counts_and_sizes_have_tritons_words() {
    let shape = objection("preprocessing", "7", &[("QUERY", "BYTES", &[1], HI)]).expect("refused");
    assert!(
        shape.starts_with(
            "[request id: 7] unexpected shape for input 'QUERY' for model 'preprocessing'. \
             Expected [-1,-1], got [1]. NOTE: "
        ),
        "{shape}"
    );
    assert_eq!(
        objection("preprocessing", "", &[]).as_deref(),
        Some(
            "[request id: <id_unknown>] expected 1 inputs but got 0 inputs for model \
             'preprocessing'. Got input(s) [], but missing required input(s) ['QUERY']. Please \
             provide all required input(s)."
        )
    );
    assert_eq!(
        objection("turbomind", "7", &[("input_ids", "UINT32", &[1, 1], ONE)]).as_deref(),
        Some(
            "[request id: 7] expected number of inputs between 3 and 16 but got 1 inputs for \
             model 'turbomind'. Got input(s) ['input_ids'], but missing required input(s) \
             ['input_lengths','request_output_len']. Please provide all required input(s)."
        )
    );
    let few = [
        ("TOKENS_BATCH", "UINT32", &[1, 1, 3][..], &[0; 8][..]),
        ("sequence_length", "UINT32", &[1, 1], ONE),
    ];
    assert_eq!(
        objection("postprocessing", "7", &few).as_deref(),
        Some(
            "[request id: 7] input byte size mismatch for input 'TOKENS_BATCH' for model \
             'postprocessing'. Expected 12, got 8"
        )
    );
}

#[test]
fn good_requests_pass() {
    assert_eq!(
        objection("preprocessing", "7", &[("QUERY", "BYTES", &[1, 1], HI)]),
        None
    );
    let turbomind = [
        ("input_ids", "UINT32", &[1, 1][..], ONE),
        ("input_lengths", "UINT32", &[1, 1], ONE),
        ("request_output_len", "UINT32", &[1, 1], ONE),
        (
            "bad_words_list",
            "INT32",
            &[1, 2, 1],
            &[2, 0, 0, 0, 1, 0, 0, 0],
        ),
    ];
    assert_eq!(objection("turbomind", "7", &turbomind), None);
}
