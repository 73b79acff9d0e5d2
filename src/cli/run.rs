//! Flags that say how a run goes, shared by `profile` and `compare`.

use std::path::PathBuf;

use clap::Args;

use super::AccessArgs;

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

    /// How the client gets in.
    #[command(flatten)]
    pub access: AccessArgs,

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

    /// Starts the slots evenly over this many seconds instead of all at once;
    /// that time counts as part of the run
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    pub ramp: f64,

    /// Threads of the client, each with its own share of the requests and its
    /// own connections [default: one for every 128 requests in flight, at most
    /// one per core]
    #[arg(long = "client-threads", value_name = "N")]
    pub client_threads: Option<u32>,
}
