//! What a calibration's samples say: how delays are spread, whether the machine
//! was quiet enough, which floor a run may use. Knows [`crate::record`] only.

use super::client::{MOST_TAKEN_PERCENT, host_took};
use super::distribution::Distribution;
use super::instrument::paired;
use super::interval::Interval;
use super::words::{counted, grouped_decimal, one_line};
use crate::record::{BackendFloor, Calibration, ClientFloor, Delay, Host, Round};

/// A mean floor that is known less well than to this share of it was not measured on
/// a quiet machine.
const MOST_UNCERTAINTY: f64 = 0.20;

/// One that is known to this share of it needs no more rounds: what sets two
/// calibrations further apart is the machine then (docs/performance.md).
const GOOD_UNCERTAINTY: f64 = 0.10;

/// Share of the time that a thread may wait for a core on a quiet machine.
const MOST_WAIT: f64 = 0.02;

/// Share of a round's time that the host may have had a core and the round still count
/// for a floor: what a run has to live with can be left out here. One tick of the
/// system's count in rounds of half a second made floors 13 to 36 % larger
/// (docs/performance.md).
const MOST_TAKEN_OF_ROUND: f64 = 0.01;

/// A tick of that count, in nanoseconds (`USER_HZ`, 100 a second on Linux).
const TICK_NS: f64 = 1e7;

/// Factor by which the requests in flight of a run and of its calibration may
/// differ.
const LOAD_FACTOR: u32 = 2;

/// How samples, in nanoseconds, are spread; all zero where there are none.
#[must_use]
pub fn delay(samples: &[i64]) -> Delay {
    let all = Distribution::of(samples.iter().map(|&sample| sample as f64).collect());
    all.map_or_else(Delay::default, |all| Delay {
        count: all.count,
        mean_ns: whole(all.mean),
        p50_ns: whole(all.p50),
        p99_ns: whole(all.p99),
        max_ns: whole(all.max),
    })
}

/// The whole nanoseconds nearest to a time. A difference of two times of one
/// clock is far inside of what an i64 holds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates, and 2^63 ns are 292 years"
)]
fn whole(ns: f64) -> i64 {
    ns.round() as i64
}

/// How well a backend's mean floor is known from the means of its rounds: half of its
/// 95 % interval, as a share of it. `None` for less than two rounds or a mean of 0.
#[must_use]
pub fn uncertainty(rounds: &[Round]) -> Option<f64> {
    let means: Vec<f64> = rounds.iter().map(|round| round.mean_ns as f64).collect();
    let known = Interval::of(&means).filter(|known| known.mean > 0.0)?;
    Some((known.high - known.low) / 2.0 / known.mean)
}

/// Whether more rounds would tell little more of a backend's mean floor.
#[must_use]
pub fn is_well_known(rounds: &[Round]) -> bool {
    uncertainty(rounds).is_none_or(|uncertainty| uncertainty <= GOOD_UNCERTAINTY)
}

/// What the host took of the cores' time in these rounds, in percent.
#[must_use]
pub fn taken_percent(rounds: &[Round]) -> Option<f64> {
    let sum = |of: fn(&Round) -> Option<u64>| rounds.iter().map(of).sum::<Option<u64>>();
    let busy_ticks = sum(|round| round.cores_busy_ticks)?;
    host_took(busy_ticks, sum(|round| round.cores_stolen_ticks)?)
}

/// Whether a round shows the host of a virtual machine and not the client.
#[must_use]
pub fn is_taken(round: &Round) -> bool {
    let stolen_ns = round.cores_stolen_ticks.unwrap_or(0) as f64 * TICK_NS;
    stolen_ns > round.span_ns as f64 * MOST_TAKEN_OF_ROUND
}

/// What was remarkable about a calibration's circumstances, and the cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noise {
    /// What was seen.
    pub text: String,
    /// What to do.
    pub cure: &'static str,
}

/// Why the machine was too noisy to calibrate, if it was.
#[must_use]
pub fn noise(calibration: &Calibration) -> Vec<Noise> {
    calibration.backends.iter().flat_map(noise_of).collect()
}

fn noise_of(found: &BackendFloor) -> Vec<Noise> {
    let name = one_line(&found.backend, 20);
    let uncertain = uncertainty(&found.rounds)
        .filter(|uncertainty| *uncertainty > MOST_UNCERTAINTY)
        .map(|uncertainty| Noise {
            text: format!(
                "{name}: its mean delay is known to +-{} % only, above 20 %, as its rounds lie far \
                 apart: something else ran meanwhile",
                grouped_decimal(uncertainty * 100.0, 0)
            ),
            cure: "end what else runs on this machine and calibrate again, or give more --rounds",
        });
    let waits = found
        .wait_share
        .filter(|share| *share > MOST_WAIT)
        .map(|share| Noise {
            text: format!(
                "{name}: the client's busiest thread was ready and waited for a core for {} % of \
                 the time, above 2 %",
                grouped_decimal(share * 100.0, 1)
            ),
            cure: "leave the client's cores to it: end what else runs, or give fewer \
                   --client-threads",
        });
    let taken = taken_percent(&found.rounds)
        .filter(|percent| *percent > MOST_TAKEN_PERCENT)
        .map(|percent| Noise {
            text: format!(
                "{name}: the host of this virtual machine had its cores for {} % of the time in \
                 which they had work, above 5 %",
                grouped_decimal(percent, 1)
            ),
            cure: "calibrate when the host is less busy, or on a machine with cores of its own",
        });
    [uncertain, waits, taken].into_iter().flatten().collect()
}

/// How much longer the client takes for a token of the `other` backend than for
/// one of `first`, in nanoseconds, over the paired rounds.
#[must_use]
pub fn difference(first: &BackendFloor, other: &BackendFloor) -> Option<Interval> {
    paired(&means(first), &means(other))
}

fn means(found: &BackendFloor) -> Vec<i64> {
    found.rounds.iter().map(|round| round.mean_ns).collect()
}

/// A run about to be made, as far as its calibration has to fit it.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// Version of pairbench.
    pub tool_version: &'a str,
    /// The machine.
    pub host: &'a Host,
    /// Requests in flight.
    pub concurrency: u32,
    /// Threads of the client.
    pub client_threads: u32,
}

/// What `calibration` says of a backend in a run under these circumstances.
///
/// # Errors
/// Why it says nothing, in words.
pub fn floor_for(
    calibration: &Calibration,
    backend: &str,
    run: &Circumstances<'_>,
) -> Result<ClientFloor, String> {
    let load = &calibration.load;
    let (fewer, more) = (
        load.concurrency.min(run.concurrency),
        load.concurrency.max(run.concurrency),
    );
    if calibration.tool_version != run.tool_version {
        return Err(format!(
            "it was made by pairbench {}, this is {}",
            one_line(&calibration.tool_version, 20),
            run.tool_version
        ));
    }
    elsewhere(&calibration.host, run.host).map_or(Ok(()), Err)?;
    if more > fewer.saturating_mul(LOAD_FACTOR) {
        return Err(format!(
            "it was made with {} in flight, this run has {}",
            counted(load.concurrency.into(), "request", "requests"),
            run.concurrency
        ));
    }
    if load.client_threads != run.client_threads {
        return Err(format!(
            "it was made with {}, this run has {}",
            counted(
                load.client_threads.into(),
                "client thread",
                "client threads"
            ),
            run.client_threads
        ));
    }
    let found = calibration
        .of_backend(backend)
        .ok_or_else(|| format!("it has nothing on {}", one_line(backend, 20)))?;
    Ok(ClientFloor {
        calibrated_utc: calibration.started_utc.clone(),
        concurrency: load.concurrency,
        floor: found.floor,
        round_means_ns: means(found),
    })
}

/// Why a calibration made on one machine says nothing on another, or where the
/// client has other cores of the same; `None` where nothing speaks against it.
fn elsewhere(made: &Host, here: &Host) -> Option<String> {
    let cores = |count: u32| counted(count.into(), "core", "cores");
    let machine = |of: &Host| {
        let cpu = one_line(&of.cpu, 40);
        let count = cores(of.online_cores.unwrap_or(of.cores));
        match cpu.is_empty() {
            true => count,
            false => format!("{count}, {cpu}"),
        }
    };
    // Older files do not say how many cores the machine has.
    let online = made.online_cores.zip(here.online_cores);
    if made.cpu != here.cpu || online.is_some_and(|(made, here)| made != here) {
        return Some(format!(
            "it was made on another machine ({}), this one has {}",
            machine(made),
            machine(here)
        ));
    }
    (made.cores != here.cores).then(|| match online {
        Some((_, all)) => format!(
            "it was made with {} of this machine's {all}, this run may use {}: start calibrate and \
             the run under the same taskset or container's limit",
            cores(made.cores),
            here.cores
        ),
        None => format!(
            "it was made with {}, this run may use {}: on another machine, or under another taskset \
             or container's limit",
            cores(made.cores),
            here.cores
        ),
    })
}

#[cfg(test)]
#[path = "floor_tests.rs"]
mod tests;
