//! Flags of the hidden verb that makes a process of ours the yardstick
//! servers. Written by [`crate::calibrate`], not by people.

use clap::Args;

/// Arguments of `yardstick`.
#[derive(Clone, Copy, Debug, Args)]
pub struct YardstickArgs {
    /// Origin of the parent's clock, in nanoseconds since the machine started
    #[arg(long, value_name = "NS")]
    pub origin_ns: u64,

    /// From a request's arrival to its first token, in microseconds
    #[arg(long, value_name = "US")]
    pub first_token_us: u64,

    /// From each token to the next, in microseconds; 0 is full speed
    #[arg(long, value_name = "US")]
    pub per_token_us: u64,

    /// Ids in each message of the engine model; 0 sends those that there are
    #[arg(long, value_name = "N")]
    pub output_ids_len: u32,

    /// Moments of a gap at which tokens are handed over; 0: as the requests came
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub phases: u32,

    /// Core to keep to
    #[arg(long, value_name = "N")]
    pub core: Option<usize>,
}
