//! Flags that `profile` and `compare` share.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};

/// What is asked: the workload.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Tokenizer of the model: its folder (tokenizer.json or a SentencePiece
    /// tokenizer.model), or the file itself
    #[arg(value_name = "TOKENIZER_PATH")]
    pub tokenizer: PathBuf,

    /// Conversations in ShareGPT format (JSON)
    #[arg(value_name = "DATASET")]
    pub dataset: PathBuf,

    /// Requests to send, chosen from the dataset
    #[arg(
        long = "num-prompts",
        visible_alias = "num_prompts",
        value_name = "N",
        default_value_t = 1000
    )]
    pub num_prompts: u32,

    /// Seed of the choice; the same seed gives the same requests on every
    /// backend, and those that LMDeploy's script would choose
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Rule of the choice, named after the LMDeploy release whose script it
    /// reproduces
    #[arg(long, value_name = "STYLE", default_value = "lmdeploy-0.1")]
    pub sampling: String,

    /// Candidates that the server may choose a token from; 1 is greedy
    #[arg(
        long = "top_k",
        visible_alias = "top-k",
        value_name = "N",
        default_value_t = 1
    )]
    pub top_k: u32,

    /// Probability mass that the server may choose from, above 0 and up to 1
    #[arg(
        long = "top_p",
        visible_alias = "top-p",
        value_name = "P",
        default_value_t = 1.0
    )]
    pub top_p: f32,

    /// Softmax temperature, above 0
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub temperature: f32,

    /// Receive answers in pieces and measure the first token. Before another
    /// argument write --stream_output=true [default: false in profile, true in
    /// compare]
    #[arg(
        long = "stream_output",
        visible_alias = "stream-output",
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        action = ArgAction::Set
    )]
    pub stream_output: Option<bool>,

    /// Ask the server to ignore the end of sequence, so that every answer has
    /// the length asked for
    #[arg(
        long = "ignore_eos", visible_alias = "ignore-eos", value_name = "BOOL",
        default_value = "true", num_args = 0..=1, default_missing_value = "true",
        value_parser = BoolishValueParser::new(), action = ArgAction::Set
    )]
    pub ignore_eos: bool,

    /// What the server gets: the text as it is, or a user's turn in the
    /// model's own chat template
    #[arg(long, value_name = "MODE", default_value = "raw")]
    pub prompt: PromptArg,
}

/// Values of `--prompt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PromptArg {
    /// The text as it is
    Raw,
    /// A user's turn in the chat template
    Chat,
}

/// How the run goes.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Requests in flight at once. Keep it at or below the server's
    /// max_batch_size and, for Triton, its number of engine instances (48 by
    /// default): above that requests wait in the server's queue
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub concurrency: u32,

    /// Warm-up requests per slot, sent first and never counted
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub warmup: u32,

    /// Model to ask for; in compare rather per arm, as NAME=ADDR,model=MODEL
    /// [default: Triton: LMDeploy's names; api_server: the first of
    /// /v1/models]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// Key for servers that want one [default: for api_server the environment's
    /// OPENAI_API_KEY]
    #[arg(long = "api-key", value_name = "KEY")]
    pub api_key: Option<String>,

    /// File that gets one row per run; made with a header if it is not there
    /// [default: ./profile_tis.csv, ./profile_api_server.csv or, for compare,
    /// ./profile_compare.csv]
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Folder that gets a folder of raw records per run
    #[arg(long, value_name = "DIR", default_value = "./pairbench-runs")]
    pub records: PathBuf,

    /// Failed requests up to which a run counts as valid
    #[arg(long = "max-failed", value_name = "N", default_value_t = 0)]
    pub max_failed: u32,

    /// Longest wait for a connection, in seconds
    #[arg(long = "connect-timeout", value_name = "S", default_value_t = 10.0)]
    pub connect_timeout: f64,

    /// Longest wait for the first token (without streaming: for the whole
    /// answer), in seconds
    #[arg(
        long = "first-token-timeout",
        value_name = "S",
        default_value_t = 600.0
    )]
    pub first_token_timeout: f64,

    /// Longest wait from one token to the next, in seconds
    #[arg(long = "token-timeout", value_name = "S", default_value_t = 120.0)]
    pub token_timeout: f64,

    /// Threads of the client [default: one per core]
    #[arg(long = "client-threads", value_name = "N")]
    pub client_threads: Option<u32>,
}
