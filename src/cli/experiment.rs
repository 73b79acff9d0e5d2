//! Flags that say how arms are compared and how it is shown: `compare`, and
//! what of it makes sense for `report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How the arms are played against each other.
#[derive(Debug, Args)]
pub struct ExperimentArgs {
    /// Blocks that the chosen prompts are cut into. Every arm plays each of
    /// them once, in an order that changes from block to block: take a multiple of
    /// the number of arms, lest an arm play first more often than another. What
    /// does not divide is left out [default: 6, or the multiple next to it]
    #[arg(long, value_name = "N")]
    pub blocks: Option<u32>,

    /// Play as many blocks as it takes to know the primary metrics' ratios this
    /// exactly, such as 2% or 0.02: half the width of a 95 % interval. Six blocks
    /// first, which say how many more; prompts are asked again if need be
    /// [default: --blocks, however exact]
    #[arg(long, value_name = "P%", conflicts_with = "blocks")]
    pub precision: Option<String>,

    /// Minutes after the first block's start by which the last one is to end: no
    /// block begins that would not, by the ones before [default: no limit]
    #[arg(long = "max-time", value_name = "MIN")]
    pub max_time: Option<f64>,

    /// Play each block on all arms at the same moment, for servers that each
    /// have hardware of their own: what happens to the client's machine or the
    /// network then happens to all
    #[arg(long)]
    pub duet: bool,
}

/// What is held to be a difference.
#[derive(Debug, Default, Args)]
pub struct JudgeArgs {
    /// Largest difference that counts as none, such as 2% or 0.02 [default: 2%,
    /// or what stored runs were compared with]
    #[arg(long, value_name = "P%")]
    pub margin: Option<String>,

    /// A metric that decides, such as throughput, rps, ttft, ttft_p99, tpot, itl,
    /// itl_p99 or e2e; may be given several times, and all intervals get wider.
    /// The others are shown as secondary [default: throughput]
    #[arg(long = "primary", value_name = "METRIC")]
    pub primary: Vec<String>,

    /// Exit with 1 if this holds with 95 % confidence, such as
    /// 'tis.ttft_p99 > 1.05 * api_server.ttft_p99'; may be given several times
    /// [default: none]
    #[arg(long = "fail-if", value_name = "EXPR")]
    pub fail_if: Vec<String>,
}

/// How results are shown.
#[derive(Debug, Default, Args)]
pub struct PageArgs {
    /// Write the report as one HTML page, too [default: none]
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Form of the report on standard output
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    pub format: FormatArg,
}

/// Forms of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// For a terminal
    #[default]
    Text,
    /// Markdown, for an issue or a pull request
    Md,
    /// For machines
    Json,
}
