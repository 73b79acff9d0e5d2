//! What a calibration is to measure, and by which pace.

use std::path::PathBuf;
use std::time::Duration;

use backends::Entry;
use backends::yardstick::Pace;

use crate::record::Load;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The backends, in the order of the first round.
    pub backends: Vec<&'static Entry>,
    /// The load. Where server and client are is found out.
    pub load: Load,
    /// Rounds per backend at most, where those of the load leave the mean floors little
    /// known.
    pub rounds_max: u32,
    /// Whether the highest rate is looked for.
    pub ladder: bool,
    /// First id of a request; see [`crate::run::Wall::first_id`].
    pub first_id: u64,
    /// The program whose hidden verb the servers are; `None`: the one that runs.
    pub program: Option<PathBuf>,
}

impl Settings {
    pub(super) fn pace(&self) -> Pace {
        Pace {
            first_token: Duration::from_nanos(self.load.first_token_ns),
            per_token: Duration::from_nanos(self.load.per_token_ns),
            output_ids_len: self.load.output_ids,
            phases: self.load.phases,
        }
    }
}
