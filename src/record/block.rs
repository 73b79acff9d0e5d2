//! A block as one arm played it: the unit by which arms are compared. Integers
//! only; what they mean is for `stats` to say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The comparison that a run is one arm of. All arms of one comparison share
/// their clock: times of one may be set beside those of another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// The same for all arms of one comparison, and for no other.
    pub id: String,
    /// The arm's place among the arms, from 0.
    pub arm: u32,
    /// Arms in all.
    pub arms: u32,
    /// Blocks planned at the start. With a precision asked for, those of the
    /// pilot; later ones are added.
    pub blocks: u32,
    /// Requests of a block.
    pub block_requests: u32,
    /// The arms played the same block at the same moment, not one after the
    /// other.
    pub duet: bool,
    /// Half width of the interval that was asked for, as a share (0.02: 2 %).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// Blocks in all that the pilot's spread asks for; absent without a
    /// precision, and where the pilot did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks_wanted: Option<u32>,
    /// Time after which no block was begun, in seconds from the first block's
    /// start; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_time_s: Option<f64>,
    /// Fewer blocks were played than wanted, as the time was up.
    #[serde(default)]
    pub out_of_time: bool,
    /// Largest difference that counts as none, as a share.
    pub margin: f64,
    /// Metrics named as primary, as `--primary` takes them; none: the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub primary: Vec<String>,
    /// Conditions of `--fail-if`, as given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fail_if: Vec<String>,
    /// Arms that answer from one host although they played at the same moment,
    /// in words: they took from each other what they were measured by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_host: Option<String>,
}

/// One block of one arm. Times are on the run's clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Place in the experiment, from 0. Blocks of this number of all arms are
    /// a pair (a group): the same requests, close in time.
    pub number: u32,
    /// Place among the arms within the block, from 0: 0 played first.
    pub turn: u32,
    /// The lead-in's first request.
    pub start_ns: u64,
    /// From here on every slot was busy with the block: the first of its
    /// requests was issued (and, where slots start along a ramp, the last
    /// lead-in, too). What came before is lead-in and counts nowhere.
    pub steady_from_ns: u64,
    /// Up to here every slot was busy: the first one found no further request.
    pub steady_to_ns: u64,
    /// The last answer's end.
    pub end_ns: u64,
    /// Processor time of the client's threads from start to end, for all arms
    /// together where they played at the same moment; absent where the system
    /// does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cpu_ns: Option<u64>,
    /// The server's own counters over the block: value after minus value before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub server_counters: BTreeMap<String, f64>,
    /// The user stopped it before its requests were through.
    #[serde(default)]
    pub cut: bool,
}

impl Block {
    /// How long every slot was busy, in nanoseconds.
    #[must_use]
    pub fn steady_ns(&self) -> u64 {
        self.steady_to_ns.saturating_sub(self.steady_from_ns)
    }
}
