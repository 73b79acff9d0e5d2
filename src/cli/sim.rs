//! Flags of simulated servers.

use backends::Secret;
use clap::Args;

/// How simulated servers behave (`serve`, address `sim`).
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Simulated servers (`serve` and the address `sim`)")]
pub struct SimArgs {
    /// Time to the first token of a request, in milliseconds
    #[arg(long = "sim-first-token-ms", value_name = "MS", default_value_t = 20.0)]
    pub first_token_ms: f64,

    /// Time per further token, in milliseconds
    #[arg(long = "sim-per-token-ms", value_name = "MS", default_value_t = 5.0)]
    pub per_token_ms: f64,

    /// Batch as a real engine does: steps of --sim-per-token-ms, 2 % longer for
    /// each running request and by --sim-prefill-us per prompt token that
    /// joins; --sim-first-token-ms is not used
    #[arg(long = "sim-batching")]
    pub batching: bool,

    /// Time per prompt token of a joining request, in microseconds, when
    /// batching
    #[arg(long = "sim-prefill-us", value_name = "US", default_value_t = 20.0)]
    pub prefill_us: f64,

    /// Requests that run at once; more wait in the server
    #[arg(long = "sim-max-running", value_name = "N", default_value_t = 48)]
    pub max_running: u32,

    /// Longest prompt and answer together, in tokens
    #[arg(long = "sim-session-tokens", value_name = "N", default_value_t = 2056)]
    pub session_tokens: u32,

    /// Tokens that one message carries
    #[arg(long = "sim-tokens-per-message", value_name = "N", default_value_t = 1)]
    pub tokens_per_message: u32,

    /// Time of one call of Triton's preprocessing model, in milliseconds
    #[arg(long = "sim-preprocess-ms", value_name = "MS", default_value_t = 1.0)]
    pub preprocess_ms: f64,

    /// Time of one call of Triton's postprocessing model, in milliseconds
    #[arg(long = "sim-postprocess-ms", value_name = "MS", default_value_t = 1.0)]
    pub postprocess_ms: f64,

    /// Calls of Triton's postprocessing model that run at once
    #[arg(
        long = "sim-postprocess-instances",
        value_name = "N",
        default_value_t = 16
    )]
    pub postprocess_instances: u32,

    /// Time from a connection's arrival to Triton's first word on it, in
    /// milliseconds
    #[arg(long = "sim-connect-ms", value_name = "MS", default_value_t = 0.0)]
    pub connect_ms: f64,

    /// Time that a server's front end takes for each streamed message, in
    /// milliseconds
    #[arg(long = "sim-front-end-ms", value_name = "MS", default_value_t = 0.0)]
    pub front_end_ms: f64,

    /// Let the ensemble's pieces of text lose their order, as a real one's do
    /// with several postprocessing instances
    #[arg(long = "sim-unordered-text")]
    pub unordered_text: bool,

    /// Fill Triton's messages with the ids that there are, not with the whole
    /// session buffer as turbomind does
    #[arg(long = "sim-trimmed-output-ids")]
    pub trimmed_output_ids: bool,

    /// Answer as LMDeploy 0.1.0's api_server instead of 0.18.0's
    #[arg(long = "sim-old-api")]
    pub old_api: bool,

    /// Let the api_server wrap every prompt in a chat template, raw ones too: a
    /// way to see what `compare` says of unequal work
    #[arg(long = "sim-chat-template")]
    pub chat_template: bool,

    /// Failures on purpose: words such as `fail=error after=3 every=10`; fail is
    /// refuse, error, cut or stall [default: none]
    #[arg(long = "sim-script", value_name = "WORDS")]
    pub script: Option<String>,

    /// Key that the api_server wants [default: none]
    #[arg(id = "sim_api_key", long = "sim-api-key", value_name = "KEY")]
    pub api_key: Option<Secret>,

    /// Model name that the api_server reports
    #[arg(
        id = "sim_model",
        long = "sim-model",
        value_name = "NAME",
        default_value = "simulated"
    )]
    pub model: String,
}
