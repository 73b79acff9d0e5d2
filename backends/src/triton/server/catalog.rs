//! The simulated repository: LMDeploy's three models, an ensemble of them, and
//! the later python model, as ModelConfig shows them.

use std::collections::HashMap;

use super::super::TURBOMIND;
use super::super::proto::model_ensembling::Step;
use super::super::proto::model_instance_group::Kind;
use super::super::proto::{
    DataType, ModelConfig, ModelDynamicBatching, ModelEnsembling, ModelInput, ModelInstanceGroup,
    ModelOutput, ModelParameter, ModelTransactionPolicy,
};
use super::super::repository::LMDEPLOY_MODEL;
use super::super::texts::{POSTPROCESSING, PREPROCESSING};
use crate::ServeOptions;
use crate::engine::Engine;

/// The name of the ensemble.
pub(super) const ENSEMBLE: &str = "ensemble";

use DataType::{TypeBool, TypeFp32, TypeFp64, TypeInt32, TypeString, TypeUint32, TypeUint64};

/// Every model's configuration.
///
/// LMDeploy's own (v0.2.5, `triton_models/*/config.pbtxt`) but for two
/// things without which Triton builds no ensemble of them:
/// `skip_special_tokens` is optional, and the ensemble does with its own
/// engine what takes an output more in a real one.
pub(super) fn configs(engine: &Engine, options: &ServeOptions) -> Vec<ModelConfig> {
    vec![
        ensemble(),
        lmdeploy_model(engine),
        postprocessing(options),
        preprocessing(options),
        turbomind(engine, options),
    ]
}

fn preprocessing(options: &ServeOptions) -> ModelConfig {
    ModelConfig {
        name: PREPROCESSING.to_owned(),
        backend: "python".to_owned(),
        max_batch_size: 1,
        input: vec![input("QUERY", TypeString, &[-1])],
        output: vec![
            output("INPUT_ID", TypeUint32, &[-1]),
            output("REQUEST_INPUT_LEN", TypeUint32, &[1]),
        ],
        instance_group: instances(options.preprocess_instances),
        ..ModelConfig::default()
    }
}

fn postprocessing(options: &ServeOptions) -> ModelConfig {
    ModelConfig {
        name: POSTPROCESSING.to_owned(),
        backend: "python".to_owned(),
        max_batch_size: 1,
        input: vec![
            input("TOKENS_BATCH", TypeUint32, &[-1, -1]),
            input("sequence_length", TypeUint32, &[-1]),
            optional("skip_special_tokens", TypeInt32, &[-1]),
        ],
        output: vec![output("OUTPUT", TypeString, &[-1, -1])],
        instance_group: instances(options.postprocess_instances),
        dynamic_batching: Some(ModelDynamicBatching {
            preserve_ordering: !options.unordered_text,
        }),
        ..ModelConfig::default()
    }
}

fn turbomind(engine: &Engine, options: &ServeOptions) -> ModelConfig {
    ModelConfig {
        name: TURBOMIND.to_owned(),
        backend: TURBOMIND.to_owned(),
        max_batch_size: 1,
        input: vec![
            input("input_ids", TypeUint32, &[-1]),
            input("input_lengths", TypeUint32, &[1]),
            input("request_output_len", TypeUint32, &[-1]),
            optional("step", TypeInt32, &[1]),
            optional("session_len", TypeUint32, &[1]),
            optional("runtime_top_k", TypeUint32, &[1]),
            optional("runtime_top_p", TypeFp32, &[1]),
            optional("temperature", TypeFp32, &[1]),
            optional("repetition_penalty", TypeFp32, &[1]),
            optional("random_seed", TypeUint64, &[1]),
            optional("bad_words_list", TypeInt32, &[2, -1]),
            optional("stop_words_list", TypeInt32, &[2, -1]),
            optional("START", TypeInt32, &[1]),
            optional("END", TypeInt32, &[1]),
            optional("STOP", TypeInt32, &[1]),
            optional("CORRID", TypeUint64, &[1]),
        ],
        output: vec![
            output("output_ids", TypeUint32, &[-1, -1]),
            output("sequence_length", TypeUint32, &[-1]),
            // Declared and never sent, as turbomind does unless asked.
            output("cum_log_probs", TypeFp32, &[-1]),
        ],
        instance_group: instances(engine.config().max_running),
        parameters: HashMap::from([
            session_len(engine),
            parameter("model_name", options.model.clone()),
        ]),
        model_transaction_policy: Some(ModelTransactionPolicy { decoupled: true }),
        ..ModelConfig::default()
    }
}

fn ensemble() -> ModelConfig {
    ModelConfig {
        name: ENSEMBLE.to_owned(),
        platform: "ensemble".to_owned(),
        max_batch_size: 1,
        input: vec![
            input("text_input", TypeString, &[-1]),
            input("max_tokens", TypeUint32, &[-1]),
            optional("temperature", TypeFp32, &[1]),
            optional("top_p", TypeFp32, &[1]),
            optional("top_k", TypeUint32, &[1]),
            optional("bad_words_list", TypeInt32, &[2, -1]),
        ],
        output: vec![
            output("text_output", TypeString, &[-1, -1]),
            output("sequence_length", TypeUint32, &[-1]),
        ],
        ensemble_scheduling: Some(ModelEnsembling { step: steps() }),
        model_transaction_policy: Some(ModelTransactionPolicy { decoupled: true }),
        ..ModelConfig::default()
    }
}

fn steps() -> Vec<Step> {
    vec![
        step(
            PREPROCESSING,
            &[("QUERY", "text_input")],
            &[("INPUT_ID", "ids"), ("REQUEST_INPUT_LEN", "ids_len")],
        ),
        step(
            TURBOMIND,
            &[
                ("input_ids", "ids"),
                ("input_lengths", "ids_len"),
                ("request_output_len", "max_tokens"),
                ("temperature", "temperature"),
                ("runtime_top_p", "top_p"),
                ("runtime_top_k", "top_k"),
                ("bad_words_list", "bad_words_list"),
            ],
            &[
                ("output_ids", "out_ids"),
                ("sequence_length", "sequence_length"),
            ],
        ),
        step(
            POSTPROCESSING,
            &[
                ("TOKENS_BATCH", "out_ids"),
                ("sequence_length", "out_offset"),
            ],
            &[("OUTPUT", "text_output")],
        ),
    ]
}

fn step(model: &str, inputs: &[(&str, &str)], outputs: &[(&str, &str)]) -> Step {
    let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    Step {
        model_name: model.to_owned(),
        model_version: -1,
        input_map: inputs.iter().map(own).collect(),
        output_map: outputs.iter().map(own).collect(),
    }
}

/// LMDeploy v0.5.0, `triton_python_backend/config.pbtxt`.
fn lmdeploy_model(engine: &Engine) -> ModelConfig {
    ModelConfig {
        name: LMDEPLOY_MODEL.to_owned(),
        backend: "python".to_owned(),
        max_batch_size: 0,
        input: vec![
            input("prompt", TypeString, &[-1]),
            input("max_tokens", TypeInt32, &[1]),
            input("ignore_eos", TypeBool, &[1]),
            input("stream", TypeBool, &[1]),
            optional("temperature", TypeFp64, &[1]),
            optional("top_p", TypeFp64, &[1]),
            optional("top_k", TypeInt32, &[1]),
            optional("repetition_penalty", TypeFp64, &[1]),
            optional("stop_words", TypeString, &[-1]),
            optional("bad_words", TypeString, &[-1]),
            optional("skip_special_tokens", TypeBool, &[1]),
        ],
        output: vec![output("response", TypeString, &[-1])],
        instance_group: instances(1),
        parameters: HashMap::from([session_len(engine)]),
        model_transaction_policy: Some(ModelTransactionPolicy { decoupled: true }),
        ..ModelConfig::default()
    }
}

fn input(name: &str, kind: DataType, dims: &[i64]) -> ModelInput {
    ModelInput {
        name: name.to_owned(),
        data_type: kind.into(),
        dims: dims.to_vec(),
        ..ModelInput::default()
    }
}

fn optional(name: &str, kind: DataType, dims: &[i64]) -> ModelInput {
    ModelInput {
        optional: true,
        ..input(name, kind, dims)
    }
}

fn output(name: &str, kind: DataType, dims: &[i64]) -> ModelOutput {
    ModelOutput {
        name: name.to_owned(),
        data_type: kind.into(),
        dims: dims.to_vec(),
        ..ModelOutput::default()
    }
}

fn instances(count: usize) -> Vec<ModelInstanceGroup> {
    vec![ModelInstanceGroup {
        count: i32::try_from(count).unwrap_or(i32::MAX),
        kind: Kind::Cpu.into(),
        ..ModelInstanceGroup::default()
    }]
}

fn session_len(engine: &Engine) -> (String, ModelParameter) {
    parameter("session_len", engine.config().session_tokens.to_string())
}

fn parameter(name: &str, string_value: String) -> (String, ModelParameter) {
    (name.to_owned(), ModelParameter { string_value })
}
