//! The experiment: rounds of every backend against our own servers at one load,
//! in alternating order, each joined with the servers' book; and what came out,
//! as integers.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use backends::Clock;

use super::arm::{self, Arm, Play};
use super::join::Joined;
use super::places::Places;
use super::settings::Settings;
use super::{YardProcess, ladder};
use crate::record::{BackendFloor, Round, RunEnd};
use crate::run::{Crew, Stop};
use crate::stats;

/// Passes that may be played again, for each that was asked for.
const AGAIN: u32 = 2;

/// What came of an experiment.
#[derive(Clone, Debug)]
pub struct Calibrated {
    /// What was found for each backend, in their order.
    pub backends: Vec<BackendFloor>,
    /// Where server and client were.
    pub places: String,
    /// Passes that were played again; see [`crate::record::Calibration`].
    pub left_out_passes: u32,
}

/// Does the experiment.
///
/// # Errors
/// When the servers cannot be started, a request fails against them, or the
/// user stops it.
pub async fn calibrate(settings: &Settings, clock: Clock, stop: &Stop) -> Result<Calibrated> {
    let places = Places::take();
    let threads = usize::try_from(settings.load.client_threads).unwrap_or(1);
    // After the place was taken: threads stay where their maker is.
    let crew = Crew::start(threads)?;
    let mut play = Play {
        settings,
        clock,
        stop,
        crew: &crew,
        next_id: settings.first_id,
    };
    let mut yard = play.yard(settings.pace(), &places)?;
    let mut arms = Vec::new();
    for &entry in &settings.backends {
        arms.push(play.arm(entry, &yard)?);
    }
    let (rounds, left_out_passes) = rounds(&mut play, &arms, &mut yard).await?;
    let words = match (yard.has_own_process(), yard.not_pinned()) {
        (false, _) => "server a thread of the client's process, as this system has no clock that \
                       two processes share"
            .to_owned(),
        (true, Some(why)) => format!("{} (server not kept there: {why})", places.words),
        (true, None) => places.words.clone(),
    };
    drop(yard);
    let mut found = Vec::new();
    for (entry, played) in settings.backends.iter().zip(rounds) {
        let mut floor = floor_of(entry.name, &played);
        if settings.ladder {
            floor.ladder = ladder::climb(&mut play, entry, &places).await?;
        }
        found.push(floor);
    }
    Ok(Calibrated {
        backends: found,
        places: words,
        left_out_passes,
    })
}

/// A round: its place among all, and what came.
struct Played {
    place: u32,
    joined: Joined,
    end: RunEnd,
}

/// All rounds by backend. Every other pass goes backwards, so that a machine
/// that gets slower or faster meanwhile does so for all alike. A pass in which the
/// host took the cores is played again, as it shows the host and not the client, up to
/// a limit. How often that was. Where the rounds that were asked for leave the mean
/// floors little known, more are played.
async fn rounds(
    play: &mut Play<'_>,
    arms: &[Arm],
    yard: &mut YardProcess,
) -> Result<(Vec<Vec<Played>>, u32)> {
    let wanted = play.settings.load.rounds;
    let mut played: Vec<Vec<Played>> = arms.iter().map(|_| Vec::new()).collect();
    let (mut pass, mut left_out, mut place) = (0, 0, 0);
    while pass < wanted || (pass < play.settings.rounds_max && !is_known(&played)) {
        let rounds = one_pass(play, arms, yard, pass, &mut place).await?;
        let figures: Vec<Round> = rounds.iter().map(|(_, played)| round(played)).collect();
        if left_out < wanted.saturating_mul(AGAIN) && stats::is_taken(&figures) {
            left_out += 1;
            continue;
        }
        for (at, round) in rounds {
            if let Some(of_arm) = played.get_mut(at) {
                of_arm.push(round);
            }
        }
        pass += 1;
    }
    if play.stop.is_wished() {
        bail!("stopped by the user; nothing is stored");
    }
    Ok((played, left_out))
}

/// Whether no more rounds are needed to know the mean floor of each backend.
fn is_known(played: &[Vec<Played>]) -> bool {
    played.iter().all(|played| {
        let rounds: Vec<Round> = played.iter().map(round).collect();
        stats::is_well_known(&rounds)
    })
}

/// A round of each backend, with its place among the backends.
async fn one_pass(
    play: &mut Play<'_>,
    arms: &[Arm],
    yard: &mut YardProcess,
    pass: u32,
    place: &mut u32,
) -> Result<Vec<(usize, Played)>> {
    let load = &play.settings.load;
    let mut order: Vec<(usize, &Arm)> = arms.iter().enumerate().collect();
    if pass % 2 == 1 {
        order.reverse();
    }
    let mut rounds = Vec::new();
    for (at, arm) in order {
        let shown = format!("{} round {}", arm.name(), pass + 1);
        let plan = arm::plan(load.concurrency, load.requests, load.output_tokens);
        let ramp = Duration::from_nanos(load.ramp_ns);
        let (joined, end) = play
            .run(arm, &plan, yard, play.settings.due(), ramp, &shown)
            .await
            .with_context(|| format!("while calibrating {}", arm.name()))?;
        let place = std::mem::replace(place, place.saturating_add(1));
        rounds.push((at, Played { place, joined, end }));
    }
    Ok(rounds)
}

fn floor_of(backend: &str, played: &[Played]) -> BackendFloor {
    let all = |part: fn(&Joined) -> Vec<i64>| {
        let samples: Vec<i64> = played
            .iter()
            .flat_map(|played| part(&played.joined))
            .collect();
        stats::delay(&samples)
    };
    let rounds: Vec<Round> = played.iter().map(round).collect();
    let events: u64 = rounds.iter().map(|round| round.events).sum();
    let cpu_ns: Option<u64> = rounds.iter().map(|round| round.cpu_ns).sum();
    BackendFloor {
        backend: backend.to_owned(),
        floor: all(Joined::delays_ns),
        request: all(|joined| joined.request_ns.clone()),
        first_token_error: all(|joined| joined.first_token_error_ns.clone()),
        gap_error: all(|joined| joined.gap_error_ns.clone()),
        slip: all(|joined| joined.slip_ns.clone()),
        cpu_ns_per_event: cpu_ns.and_then(|cpu_ns| cpu_ns.checked_div(events)),
        wait_share: wait_share(played),
        rounds,
        ladder: Vec::new(),
    }
}

/// Of the busiest threads, over all rounds.
fn wait_share(played: &[Played]) -> Option<f64> {
    let ends = || played.iter().map(|played| &played.end);
    let waited: Option<u64> = ends().map(|end| end.busiest_thread_wait_ns).sum();
    let span: u64 = ends().map(|end| end.span_ns).sum();
    (span > 0).then(|| Some(waited? as f64 / span as f64))?
}

fn round(played: &Played) -> Round {
    let delay = stats::delay(&played.joined.delays_ns());
    Round {
        place: played.place,
        events: delay.count,
        mean_ns: delay.mean_ns,
        p99_ns: delay.p99_ns,
        cpu_ns: played.end.client_cpu_ns,
        wait_ns: played.end.client_wait_ns,
        span_ns: played.end.span_ns,
        cores_busy_ticks: played.end.cores_busy_ticks,
        cores_stolen_ticks: played.end.cores_stolen_ticks,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_protocols_can_be_calibrated() {
        let names: Vec<_> = backends::ALL
            .iter()
            .filter(|entry| entry.yardstick.is_some())
            .map(|entry| entry.name)
            .collect();
        assert_eq!(names, ["tis", "tis-direct", "tis-ensemble", "api_server"]);
    }
}
