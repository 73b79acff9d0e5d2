//! What a run takes over from the calibration in its folder of records, and the
//! advice where there is none or it does not fit: a command line that can be
//! followed, or why there is none.

use super::{advise, tell};
use crate::config::{Config, Data, threads_for};
use crate::record::{Calibration, Host, RunHeader};
use crate::run::host;
use crate::stats::words::shell_word;
use crate::stats::{self, Circumstances};

/// Why a way has no client floor, and what that means.
const NO_YARDSTICK: &str = "this way cannot be calibrated, as pairbench's own servers have no paced \
                            answers for it: what of its times is the client's own delay stays \
                            unknown";

/// The calibration that is there for a run, and the machine.
pub(super) struct Known {
    calibration: Option<Calibration>,
    host: Host,
    /// Backends of the run that cannot be calibrated.
    without: Vec<&'static str>,
    /// The command that makes a calibration for all others; `None`: there is no
    /// other.
    command: Option<String>,
}

impl Known {
    /// Reads the calibration of `config`'s folder of records. One that is broken
    /// is as good as none, and named.
    pub(super) fn of(config: &Config) -> Self {
        let records = &config.run.records;
        let command = command(config);
        let calibration = Calibration::load(records).unwrap_or_else(|error| {
            let again = command.as_ref().map_or(String::new(), |command| {
                format!("; make it again with {command}")
            });
            advise(&format!("the calibration is not used: {error:#}{again}"));
            None
        });
        let without = backends(config, false);
        // The demo says nothing about a real client's share.
        let is_demo = config.work.data == Data::Bundled;
        let there = calibration.is_some() || Calibration::path(records).exists();
        if let Some(command) = command.as_ref().filter(|_| !there && !is_demo) {
            let but = match without.is_empty() {
                true => String::new(),
                false => format!(" (not for {}: cannot be calibrated)", without.join(", ")),
            };
            tell(&format!(
                "advice: how much of the figures is the client's own delay is not known here; \
                 {command} finds out{but}\n"
            ));
        }
        Self {
            calibration,
            host: host(),
            without,
            command,
        }
    }

    /// Puts what is known of the run's backend into its header.
    pub(super) fn enter(&self, header: &mut RunHeader) {
        let Some(calibration) = &self.calibration else {
            return;
        };
        if self.without.contains(&header.backend.as_str()) {
            advise(&format!("{}: {NO_YARDSTICK}", header.backend));
            header.client_floor_unused = Some(NO_YARDSTICK.to_owned());
            return;
        }
        let run = Circumstances {
            tool_version: &header.tool_version,
            host: &self.host,
            concurrency: header.concurrency,
            client_threads: header.client_threads,
        };
        match stats::floor_for(calibration, &header.backend, &run) {
            Ok(floor) => header.client_floor = Some(floor),
            Err(why) => {
                let cure = self.command.as_ref().map_or(String::new(), |command| {
                    format!("; make one that fits with {command}")
                });
                advise(&format!(
                    "{}: the calibration of {} is not used: {why}{cure}",
                    header.backend, calibration.started_utc
                ));
                header.client_floor_unused = Some(why);
            }
        }
    }
}

/// The arms' backends, each once: those that can be calibrated, or those that
/// cannot.
fn backends(config: &Config, calibrated: bool) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for entry in config.arms.iter().map(|arm| arm.entry) {
        if entry.yardstick.is_some() == calibrated && !names.contains(&entry.name) {
            names.push(entry.name);
        }
    }
    names
}

/// The command that makes a calibration for a run: of all its arms that can be
/// calibrated, under its load.
fn command(config: &Config) -> Option<String> {
    let (names, run) = (backends(config, true), &config.run);
    let arms: String = names
        .iter()
        .map(|name| format!("--backend {name} "))
        .collect();
    // What calibrate takes by itself need not be given.
    let threads = match run.client_threads == threads_for(run.concurrency) {
        true => String::new(),
        false => format!("--client-threads {} ", run.client_threads),
    };
    (!names.is_empty()).then(|| {
        format!(
            "`pairbench calibrate {arms}--concurrency {} {threads}--records {}`",
            run.concurrency,
            shell_word(&run.records.display().to_string())
        )
    })
}
