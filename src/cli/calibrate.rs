//! Flags of `calibrate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Arguments of `calibrate`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true, after_help = EXAMPLES)]
pub struct CalibrateArgs {
    /// A way to ask, measured against our own server: api_server, tis-direct,
    /// tis-ensemble or tis; give each of the coming run. The others cannot be
    /// calibrated [default: tis-direct, tis-ensemble and api_server]
    #[arg(long = "backend", value_name = "NAME")]
    pub backends: Vec<String>,

    /// Requests in flight at once; take that of the coming run
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub concurrency: u32,

    /// Time from a request's arrival to its first token, in milliseconds
    #[arg(long = "first-token-ms", value_name = "MS", default_value_t = 50.0)]
    pub first_token_ms: f64,

    /// Time from token to token of a stream, in milliseconds
    #[arg(long = "per-token-ms", value_name = "MS", default_value_t = 10.0)]
    pub per_token_ms: f64,

    /// Tokens of each answer
    #[arg(long = "output-tokens", value_name = "N", default_value_t = 30)]
    pub output_tokens: u32,

    /// When the streams' tokens come
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub spread: Spread,

    /// Requests per slot and round. What disturbs a round does so for all of it:
    /// many short rounds tell more than few long ones
    #[arg(long = "requests-per-slot", value_name = "N", default_value_t = 1)]
    pub requests_per_slot: u32,

    /// Rounds per backend, in alternating order (A B, B A, ...); the n-th rounds
    /// of two backends are a pair. Up to three times as many are played until each
    /// mean floor is known to 10 %, and fewer (at least 8) where the host of a
    /// virtual machine takes its cores in too many of them
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub rounds: u32,

    /// Time over which the requests of a round start, in seconds; 0: all at once
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    pub ramp: f64,

    /// Token ids in each message of Triton's engine model: LMDeploy sends its
    /// whole buffer; 0: those that there are
    #[arg(long = "output-ids", value_name = "N", default_value_t = 2056)]
    pub output_ids: u32,

    /// Threads of the client; take those of the coming run [default: as in
    /// compare, by --concurrency]
    #[arg(long = "client-threads", value_name = "N")]
    pub client_threads: Option<u32>,

    /// Leave out the search for the highest rate that the client follows
    #[arg(long = "no-ladder")]
    pub no_ladder: bool,

    /// Folder that gets calibration.json, which profile and compare with the
    /// same --records use
    #[arg(long, value_name = "DIR", default_value = "./pairbench-runs")]
    pub records: PathBuf,
}

/// When the streams' tokens come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Spread {
    /// Spread evenly over the time from token to token, a few at a time
    #[default]
    Even,
    /// All at one moment, as from an engine that gives each answer a token
    /// with every step
    Step,
    /// As the requests came
    Start,
}

const EXAMPLES: &str = "\
Examples:
  Before `compare --backend tis=... --backend api_server=... --concurrency 128`,
  on the same machine:
    pairbench calibrate --backend tis --backend api_server --concurrency 128
  Only the floor, in about a minute:
    pairbench calibrate --backend tis-direct --backend api_server --no-ladder

Exit code: 0 done, 2 error. A noisy machine is warned of on the page.";
