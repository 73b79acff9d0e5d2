//! `yardstick`: this process is the servers that a calibration measures
//! against.

use std::time::Duration;

use anyhow::Result;
use backends::yardstick::Pace;

use super::Exit;
use crate::calibrate::server::{Settings, run};
use crate::cli::YardstickArgs;
use crate::run::make_all_room;

/// Serves until standard input ends.
pub(super) fn yardstick(args: YardstickArgs) -> Result<Exit> {
    make_all_room();
    run(&Settings {
        origin_since_boot_ns: args.origin_ns,
        pace: Pace {
            first_token: Duration::from_micros(args.first_token_us),
            per_token: Duration::from_micros(args.per_token_us),
            output_ids_len: args.output_ids_len,
            phases: args.phases,
        },
        core: args.core,
    })?;
    Ok(Exit::Valid)
}
