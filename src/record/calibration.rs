//! What the instrument found out about itself: `calibration.json` in the folder
//! of raw records, written by `pairbench calibrate` and read by the runs that
//! put their records beside it. Knows integers and files; judges nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::files::{read_json, write_json};
use super::is_zero;

/// Version of the file's layout and of what its figures mean. A file with another
/// number is refused: floors of format 1 held some of the server's writing over gRPC.
pub const CALIBRATION_FORMAT: u32 = 2;

const FILE: &str = "calibration.json";

/// The machine that a client runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Processor cores that pairbench may use: fewer than there are under
    /// `taskset` or within a container's limit.
    pub cores: u32,
    /// Processor cores that the machine has in use; absent where the system does
    /// not tell, and in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online_cores: Option<u32>,
    /// Model of the processor as the system names it; empty where it does not.
    pub cpu: String,
    /// The operating system and its kernel; empty where it does not tell, and in
    /// older files.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub system: String,
}

/// The load under which the instrument was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Requests in flight.
    pub concurrency: u32,
    /// Threads of the client.
    pub client_threads: u32,
    /// From a request's arrival to its first token.
    pub first_token_ns: u64,
    /// From token to token of a stream.
    pub per_token_ns: u64,
    /// Tokens of each answer.
    pub output_tokens: u32,
    /// Requests per round.
    pub requests: u32,
    /// Rounds per backend.
    pub rounds: u32,
    /// Time over which the requests of a round start.
    pub ramp_ns: u64,
    /// Moments of a gap, evenly spread, at which tokens were handed over; 1: all in step;
    /// 0: as their requests came.
    #[serde(default)]
    pub phases: u32,
    /// Token ids in each message of the engine; 0: as many as there are.
    pub output_ids: u32,
    /// Where server and client ran, in words.
    pub places: String,
}

/// How a delay is spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    /// Samples.
    pub count: u64,
    /// Arithmetic mean.
    pub mean_ns: i64,
    /// Median.
    pub p50_ns: i64,
    /// 99th percentile.
    pub p99_ns: i64,
    /// Largest.
    pub max_ns: i64,
}

/// One round of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Place among the rounds of all backends, from 0.
    pub place: u32,
    /// Tokens.
    pub events: u64,
    /// Mean delay from hand-over to mark.
    pub mean_ns: i64,
    /// 99th percentile of that delay.
    pub p99_ns: i64,
    /// Processor time of the client; absent where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ns: Option<u64>,
    /// Time that the client's threads were ready and waited for a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ns: Option<u64>,
    /// Length of the round.
    pub span_ns: u64,
    /// Time that all cores of the machine were at work, in the system's ticks of
    /// 1/100 s; absent where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores_busy_ticks: Option<u64>,
    /// Time that they had work while the host of this virtual machine had them for
    /// others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores_stolen_ticks: Option<u64>,
}

/// One step of the ladder of rates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Requests in flight.
    pub streams: u32,
    /// From token to token of a stream, as asked.
    pub per_token_ns: u64,
    /// Tokens per second that the server handed over.
    pub events_per_s: u64,
    /// 99th percentile of the delay from hand-over to mark.
    pub floor_p99_ns: i64,
    /// 99th percentile of the client's own delay before a request.
    pub slip_p99_ns: i64,
    /// 99th percentile of the server's lateness against its own pace.
    pub server_late_p99_ns: i64,
    /// Busy time of the client's busiest thread, in percent; absent where the
    /// system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_busy_percent: Option<u64>,
    /// Processor time of the server, in percent of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_busy_percent: Option<u64>,
    /// Time that this thread was ready and waited for a core, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_wait_percent: Option<u64>,
    /// Who gave up: `none`, `client`, `server`, `machine`: something else had the
    /// client's core, or `host`: that of a virtual machine had its cores each time.
    pub limit: String,
}

/// What was found for one backend. All times in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BackendFloor {
    /// Its name in the table of backends.
    pub backend: String,
    /// From the hand-over at the server to the mark in the client, all tokens.
    pub floor: Delay,
    /// From the issue of a request to its arrival at the server.
    pub request: Delay,
    /// First-token latency as measured minus what the server took for it.
    pub first_token_error: Delay,
    /// Gap between two marks minus gap between the hand-overs, without sign.
    pub gap_error: Delay,
    /// Issued minus scheduled.
    pub slip: Delay,
    /// Processor time of the client per token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ns_per_event: Option<u64>,
    /// Share of the time in which the busiest of the client's threads was ready
    /// and waited for a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_share: Option<f64>,
    /// The rounds, in order; the n-th rounds of two backends are a pair.
    pub rounds: Vec<Round>,
    /// The ladder of rates, slowest first; empty where it was left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<Rung>,
}

impl BackendFloor {
    /// The highest rate that was followed and who ended the ladder there
    /// (`none`: nobody, the ladder ended).
    #[must_use]
    pub fn highest_rate(&self) -> Option<(u64, &str)> {
        let limit = self.ladder.iter().find(|rung| rung.limit != "none");
        let followed = self.ladder.iter().filter(|rung| rung.limit == "none");
        let rate = followed.map(|rung| rung.events_per_s).max();
        let end = limit.map_or("none", |rung| rung.limit.as_str());
        (!self.ladder.is_empty()).then(|| (rate.unwrap_or(0), end))
    }
}

/// A calibration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// [`CALIBRATION_FORMAT`].
    pub format: u32,
    /// Version of pairbench.
    pub tool_version: String,
    /// When it began, UTC, RFC 3339.
    pub started_utc: String,
    /// The machine.
    pub host: Host,
    /// The load.
    pub load: Load,
    /// What was found, in the order of the backends.
    pub backends: Vec<BackendFloor>,
    /// Rounds that were played again or left out with their pass, as the host of this
    /// virtual machine had taken its cores: none of them counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out_rounds: u32,
}

impl Calibration {
    /// Where the calibration of the runs below `records` is.
    #[must_use]
    pub fn path(records: &Path) -> PathBuf {
        records.join(FILE)
    }

    /// Writes it into the folder of raw records, over an older one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, records: &Path) -> Result<()> {
        write_json(&Self::path(records), self)
    }

    /// Reads the calibration of the runs below `records`; `None` where there is
    /// none.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged or of another format.
    pub fn load(records: &Path) -> Result<Option<Self>> {
        let path = Self::path(records);
        if !path.exists() {
            return Ok(None);
        }
        /// What every version of the file has.
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let Versioned { format } = read_json(&path)?;
        if format != CALIBRATION_FORMAT {
            bail!(
                "{} is of format {format}, this pairbench reads format {CALIBRATION_FORMAT}",
                path.display()
            );
        }
        read_json(&path)
            .map(Some)
            .context("make it again with `pairbench calibrate`")
    }

    /// What was found for the backend of this name.
    #[must_use]
    pub fn of_backend(&self, name: &str) -> Option<&BackendFloor> {
        self.backends.iter().find(|found| found.backend == name)
    }
}

/// The part of a calibration that a run carries, so that its report can be made
/// again from its own folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientFloor {
    /// When the calibration was made, UTC.
    pub calibrated_utc: String,
    /// Requests in flight during the calibration.
    pub concurrency: u32,
    /// From the hand-over at the server to the mark.
    pub floor: Delay,
    /// Mean delay of each round, in order.
    pub round_means_ns: Vec<i64>,
}

#[cfg(test)]
mod tests {
    use super::{BackendFloor, CALIBRATION_FORMAT, Calibration, Rung};

    fn calibration() -> Calibration {
        Calibration {
            format: CALIBRATION_FORMAT,
            backends: vec![BackendFloor {
                backend: "tis".to_owned(),
                wait_share: Some(0.25),
                ..BackendFloor::default()
            }],
            ..Calibration::default()
        }
    }

    #[test]
    fn what_is_saved_comes_back() {
        let folder = tempfile::tempdir().expect("temporary folder");
        assert_eq!(Calibration::load(folder.path()).expect("none"), None);
        calibration().save(folder.path()).expect("writable");
        let found = Calibration::load(folder.path()).expect("readable");
        assert_eq!(found, Some(calibration()));
        assert!(calibration().of_backend("tis").is_some());
        assert!(calibration().of_backend("tis-direct").is_none());
    }

    #[test]
    fn a_file_from_before_the_machines_cores_were_counted_is_read() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut old = serde_json::to_value(calibration()).expect("plain");
        old["host"] = serde_json::json!({ "cores": 2, "cpu": "a processor" });
        std::fs::write(Calibration::path(folder.path()), old.to_string()).expect("writable");
        let host = Calibration::load(folder.path()).expect("readable");
        let host = host.expect("there").host;
        assert_eq!((host.cores, host.online_cores), (2, None));
    }

    #[test]
    fn a_stranger_is_refused_in_words() {
        let folder = tempfile::tempdir().expect("temporary folder");
        for (content, words) in [
            ("{", "damaged"),
            ("", "damaged"),
            ("{\"format\":1}", "format 1"),
            ("{\"format\":2}", "damaged"),
            ("{\"format\":99}", "format 99"),
        ] {
            std::fs::write(Calibration::path(folder.path()), content).expect("writable");
            let error = Calibration::load(folder.path()).expect_err(content);
            assert!(format!("{error:#}").contains(words), "{error:#}");
        }
    }

    #[test]
    fn the_highest_rate_is_the_last_that_was_followed() {
        let rung = |events_per_s, limit: &str| Rung {
            events_per_s,
            limit: limit.to_owned(),
            ..Rung::default()
        };
        for (rungs, expected) in [
            (vec![], None),
            (vec![rung(10, "none")], Some((10, "none"))),
            (vec![rung(10, "server")], Some((0, "server"))),
            (
                vec![rung(10, "none"), rung(20, "none"), rung(30, "client")],
                Some((20, "client")),
            ),
        ] {
            let found = BackendFloor {
                ladder: rungs,
                ..BackendFloor::default()
            };
            assert_eq!(found.highest_rate(), expected);
        }
    }
}
