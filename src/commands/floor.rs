//! What a run takes over from the calibration in its folder of records, and the
//! advice where there is none or it does not fit.

use std::path::Path;

use super::{advise, tell};
use crate::config::{Config, Data};
use crate::record::{Calibration, Host, RunHeader};
use crate::run::host;
use crate::stats::{self, Circumstances};

/// The calibration that is there for a run, and the machine.
pub(super) struct Known {
    calibration: Option<Calibration>,
    host: Host,
}

impl Known {
    /// Reads the calibration of `config`'s folder of records. One that is broken
    /// is as good as none, and named.
    pub(super) fn of(config: &Config) -> Self {
        let records = &config.run.records;
        let calibration = Calibration::load(records).unwrap_or_else(|error| {
            advise(&format!(
                "the calibration is not used: {error:#}; make it again with {}",
                command(config, records)
            ));
            None
        });
        // The demo says nothing about a real client's share.
        let is_demo = config.work.data == Data::Bundled;
        if calibration.is_none() && !Calibration::path(records).exists() && !is_demo {
            tell(&format!(
                "advice: how much of the figures is the client's own delay is not known here; {} \
                 finds out\n",
                command(config, records)
            ));
        }
        Self {
            calibration,
            host: host(),
        }
    }

    /// Puts what is known of the run's backend into its header.
    pub(super) fn enter(&self, header: &mut RunHeader) {
        let Some(calibration) = &self.calibration else {
            return;
        };
        let run = Circumstances {
            tool_version: &header.tool_version,
            host: &self.host,
            concurrency: header.concurrency,
            client_threads: header.client_threads,
        };
        match stats::floor_for(calibration, &header.backend, &run) {
            Ok(floor) => header.client_floor = Some(floor),
            Err(why) => {
                advise(&format!(
                    "{}: the calibration of {} is not used: {why}; make one that fits with \
                     `pairbench calibrate`",
                    header.backend, calibration.started_utc
                ));
                header.client_floor_unused = Some(why);
            }
        }
    }
}

/// The command that makes a calibration for a run.
fn command(config: &Config, records: &Path) -> String {
    format!(
        "`pairbench calibrate --concurrency {} --records {}`",
        config.run.concurrency,
        records.display()
    )
}
