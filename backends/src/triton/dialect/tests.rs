//! Configurations that were seen, and what is made of them.

use super::Wire;
use crate::triton::ask::tests::read;
use crate::triton::proto::{DataType, ModelConfig, ModelInput, ModelOutput};
use crate::{ErrorKind, PromptMode, Request, Sampling};

fn input(name: &str, kind: DataType, dims: &[i64], optional: bool) -> ModelInput {
    ModelInput {
        name: name.to_owned(),
        data_type: kind.into(),
        dims: dims.to_vec(),
        optional,
        ..ModelInput::default()
    }
}

fn config(max_batch_size: i32, inputs: Vec<ModelInput>, outputs: &[&str]) -> ModelConfig {
    ModelConfig {
        name: "m".to_owned(),
        max_batch_size,
        input: inputs,
        output: outputs
            .iter()
            .map(|&name| ModelOutput {
                name: name.to_owned(),
                ..ModelOutput::default()
            })
            .collect(),
        ..ModelConfig::default()
    }
}

fn request(ignore_eos: bool) -> Request {
    Request {
        id: u64::MAX,
        slot: 0,
        prompt: "hi".into(),
        turn: None,
        token_ids: [1, 2].into(),
        server_prompt_tokens: None,
        output_tokens: 9,
        sampling: Sampling {
            ignore_eos,
            ..Sampling::default()
        },
        stream: true,
        prompt_mode: PromptMode::Raw,
        wire: None,
    }
}

/// Name, type, shape and bytes of each tensor that would be sent.
fn sent(wire: &Wire, ignore_eos: bool) -> Vec<(String, String, Vec<i64>, Vec<u8>)> {
    let sent = read(wire.inputs(&request(ignore_eos)));
    let tensors = sent.inputs.into_iter().zip(sent.raw_input_contents);
    tensors
        .map(|(tensor, raw)| (tensor.name, tensor.datatype, tensor.shape, raw.to_vec()))
        .collect()
}

fn tensor(
    name: &str,
    kind: &str,
    shape: &[i64],
    raw: &[u8],
) -> (String, String, Vec<i64>, Vec<u8>) {
    (
        name.to_owned(),
        kind.to_owned(),
        shape.to_vec(),
        raw.to_vec(),
    )
}

#[test]
fn the_draft_ensemble_speaks_in_numbers() {
    let config = config(
        1,
        vec![
            input("INPUT_0", DataType::TypeString, &[-1], false),
            input("INPUT_1", DataType::TypeUint32, &[-1], false),
            input("INPUT_2", DataType::TypeString, &[-1], true),
            input("CORRID", DataType::TypeUint64, &[1], true),
            input("runtime_top_k", DataType::TypeUint32, &[1], true),
        ],
        &["OUTPUT_0", "cum_log_probs"],
    );
    let wire = Wire::of(&config, Some(2)).expect("known");
    assert!(!wire.has_length);
    assert_eq!(
        sent(&wire, true),
        [
            tensor("INPUT_0", "BYTES", &[1, 1], b"\x02\0\0\0hi"),
            tensor("INPUT_1", "UINT32", &[1, 1], &[9, 0, 0, 0]),
            tensor("CORRID", "UINT64", &[1, 1], &[255; 8]),
            tensor("runtime_top_k", "UINT32", &[1, 1], &[1, 0, 0, 0]),
        ]
    );
}

#[test]
fn types_and_batches_are_the_configurations() {
    let config = config(
        0,
        vec![
            input("prompt", DataType::TypeString, &[-1], false),
            input("max_tokens", DataType::TypeInt32, &[1], false),
            input("ignore_eos", DataType::TypeBool, &[1], false),
            input("temperature", DataType::TypeFp64, &[1], true),
            input("top_p", DataType::TypeFp32, &[1], true),
            input("stop_words", DataType::TypeString, &[-1], true),
            input("skip_special_tokens", DataType::TypeBool, &[1], true),
        ],
        &["response"],
    );
    let wire = Wire::of(&config, None).expect("known");
    assert_eq!(
        sent(&wire, false),
        [
            tensor("prompt", "BYTES", &[1], b"\x02\0\0\0hi"),
            tensor("max_tokens", "INT32", &[1], &[9, 0, 0, 0]),
            tensor("ignore_eos", "BOOL", &[1], &[0]),
            tensor("temperature", "FP64", &[1], &1_f64.to_le_bytes()),
            tensor("top_p", "FP32", &[1], &1_f32.to_le_bytes()),
            // As postprocessing is asked.
            tensor("skip_special_tokens", "BOOL", &[1], &[1]),
        ]
    );
}

#[test]
fn ignoring_the_end_forbids_its_id_or_asks_for_a_least_length() {
    let config = config(
        1,
        vec![
            input("text_input", DataType::TypeString, &[1], false),
            input("max_tokens", DataType::TypeInt32, &[1], false),
            input("min_length", DataType::TypeInt32, &[1], true),
            input("bad_words_list", DataType::TypeInt32, &[2, -1], true),
        ],
        &["text_output", "sequence_length"],
    );
    let wire = Wire::of(&config, Some(2)).expect("known");
    assert!(wire.has_length);
    assert_eq!(sent(&wire, false).len(), 2);
    assert_eq!(
        sent(&wire, true)[2..],
        [
            tensor("min_length", "INT32", &[1, 1], &[9, 0, 0, 0]),
            tensor(
                "bad_words_list",
                "INT32",
                &[1, 2, 1],
                &[2, 0, 0, 0, 1, 0, 0, 0]
            ),
        ]
    );
}

#[test]
fn what_cannot_be_served_is_said() {
    let text = || input("text_input", DataType::TypeString, &[1], false);
    let length = || input("max_tokens", DataType::TypeInt32, &[1], false);
    let image = input("image", DataType::TypeFp32, &[-1], false);
    for (inputs, outputs, words) in [
        (vec![length()], &["text_output"][..], "the prompt"),
        (vec![text()], &["text_output"], "the answer's length"),
        (
            vec![text(), length()],
            &["logits"],
            "no output for the text",
        ),
        (
            vec![text(), length(), image],
            &["text_output"],
            "`image` (TYPE_FP32)",
        ),
    ] {
        let error = Wire::of(&config(1, inputs, outputs), None).expect_err(words);
        assert_eq!(error.kind, ErrorKind::Model);
        assert!(error.message.contains(words), "{error}");
    }
}

/// Found by the fuzzer: names are the server's words, and were repeated whole.
#[test]
fn a_refusal_is_short_whatever_a_model_is_called() {
    let long = "\u{1b}[2J no name ".repeat(1_000);
    let unnamed = ModelConfig {
        name: long.clone(),
        ..ModelConfig::default()
    };
    let inputs = vec![
        input("text_input", DataType::TypeString, &[1], false),
        input("max_tokens", DataType::TypeUint32, &[1], false),
        input(&long, DataType::TypeFp16, &[1], false),
    ];
    for config in [unnamed, config(0, inputs, &["text_output"])] {
        let error = Wire::of(&config, None).expect_err("no such model");
        let words = &error.message;
        assert!(words.len() < 1_000, "{} bytes", words.len());
        assert!(!words.contains(char::is_control), "{words:?}");
    }
}
