//! `pairbench calibrate`: the instrument measures itself, and leaves what it
//! found for the runs that follow.

use anyhow::{Context, Result, ensure};
use backends::Clock;

use super::{Exit, farewell, show};
use crate::calibrate::{self, Settings};
use crate::config::CalibrateConfig;
use crate::record::{self, CALIBRATION_FORMAT, Calibration, Load};
use crate::run::{Stop, Wall, host, make_room};
use crate::{report, stats};

/// Measures, prints the page and stores the result.
///
/// # Errors
/// Whatever keeps the measurement from its end, or its result from being
/// written.
pub(super) fn calibrate(config: &CalibrateConfig) -> Result<Exit> {
    for entry in &config.backends {
        ensure!(
            entry.yardstick.is_some(),
            "--backend {}: cannot be calibrated, as our own servers have no paced answers for it; \
             use api_server, tis-direct, tis-ensemble or tis",
            entry.name
        );
    }
    record::check_parent(&config.records)?;
    let threads = u64::try_from(config.client_threads).unwrap_or(1);
    let connections = config.backends.iter();
    let connections = connections.map(|of| of.connections.most(config.concurrency) + threads);
    make_room(connections.sum())?;
    let wall = Wall::now();
    // Before the client's threads are kept to a part of the cores.
    let host = host();
    let settings = settings(config, wall.first_id());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let stop = Stop::default();
    let found = runtime.block_on(async {
        stop.listen(farewell)?;
        calibrate::calibrate(&settings, Clock::start(), &stop).await
    })?;
    let rounds = found.backends.iter().map(|of| of.rounds.len()).max();
    let rounds = rounds.and_then(|rounds| u32::try_from(rounds).ok());
    let calibration = Calibration {
        format: CALIBRATION_FORMAT,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_utc: wall.utc(),
        host,
        load: Load {
            places: found.places,
            rounds: rounds.unwrap_or(settings.load.rounds),
            ..settings.load
        },
        backends: found.backends,
        left_out_rounds: found.left_out_rounds,
    };
    let noise = stats::noise(&calibration);
    show(&report::calibrate::page(&calibration, &noise))?;
    std::fs::create_dir_all(&config.records)
        .with_context(|| format!("cannot make the folder {}", config.records.display()))?;
    calibration.save(&config.records)?;
    let path = Calibration::path(&config.records);
    show(&format!("\nstored in {}\n", path.display()))?;
    Ok(Exit::Valid)
}

fn settings(config: &CalibrateConfig, first_id: u64) -> Settings {
    let ns = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Settings {
        backends: config.backends.clone(),
        load: Load {
            concurrency: config.concurrency,
            client_threads: u32::try_from(config.client_threads).unwrap_or(u32::MAX),
            first_token_ns: ns(config.first_token),
            per_token_ns: ns(config.per_token),
            output_tokens: config.output_tokens,
            requests: config.requests_per_slot,
            rounds: config.rounds,
            ramp_ns: ns(config.ramp),
            phases: config.phases,
            output_ids: config.output_ids,
            places: String::new(),
        },
        rounds_max: config.rounds_max,
        ladder: config.ladder,
        first_id,
        program: None,
    }
}
