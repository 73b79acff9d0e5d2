//! The experiment: rounds of every backend against our own servers at one load,
//! in alternating order, each joined with the servers' book; and what came out,
//! as integers.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use backends::Clock;

use super::arm::{self, Arm, GOES, Play};
use super::join::Joined;
use super::places::Places;
use super::settings::Settings;
use super::{YardProcess, ladder};
use crate::record::{BackendFloor, Round, RunEnd};
use crate::run::{Crew, Stop};
use crate::stats;

/// Rounds that may be left out for another go, for each that was asked for.
const AGAIN: u32 = 2;

/// With so many rounds of each backend the experiment ends where no more may be left
/// out: fewer that show the client are worth more than many that show the host.
const LEAST_ROUNDS: u32 = 8;

/// What came of an experiment.
#[derive(Clone, Debug)]
pub struct Calibrated {
    /// What was found for each backend, in their order.
    pub backends: Vec<BackendFloor>,
    /// Where server and client were.
    pub places: String,
    /// Rounds that do not count; see [`crate::record::Calibration`].
    pub left_out_rounds: u32,
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
    let (rounds, left_out_rounds) = rounds(&mut play, &arms, &mut yard).await?;
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
        left_out_rounds,
    })
}

/// A round: its place among all, and what came.
struct Played {
    place: u32,
    joined: Joined,
    end: RunEnd,
}

/// Rounds played so far, and those of them that were left out for another go.
#[derive(Default)]
struct Count {
    played: u32,
    left_out: u32,
}

/// All rounds by backend. Every other pass goes backwards, so that a machine
/// that gets slower or faster meanwhile does so for all alike. How many rounds were
/// left out for another go. Where the rounds that were asked for leave the mean floors
/// little known, more are played; where the host does not let them be, fewer.
async fn rounds(
    play: &mut Play<'_>,
    arms: &[Arm],
    yard: &mut YardProcess,
) -> Result<(Vec<Vec<Played>>, u32)> {
    let wanted = play.settings.load.rounds;
    let mut played: Vec<Vec<Played>> = arms.iter().map(|_| Vec::new()).collect();
    let most_left_out = most_left_out(play.settings);
    let (mut pass, mut count) = (0, Count::default());
    while pass < wanted || (pass < play.settings.rounds_max && !is_known(&played)) {
        if pass >= LEAST_ROUNDS && count.left_out >= most_left_out {
            break;
        }
        let mut order: Vec<(&Arm, &mut Vec<Played>)> = arms.iter().zip(&mut played).collect();
        if pass % 2 == 1 {
            order.reverse();
        }
        for (arm, of_arm) in order {
            of_arm.push(quiet_round(play, arm, yard, pass, &mut count).await?);
        }
        pass += 1;
    }
    if play.stop.is_wished() {
        bail!("stopped by the user; nothing is stored");
    }
    let dropped = drop_taken(&mut played);
    Ok((played, count.left_out.saturating_add(dropped)))
}

/// Drops the passes in which the host took a round however often it was played, where
/// enough others are left; how many rounds that were.
fn drop_taken(played: &mut [Vec<Played>]) -> u32 {
    let passes = played.iter().map(Vec::len).min().unwrap_or(0);
    let is_quiet = |pass: usize| {
        let rounds = played.iter().filter_map(|of_arm| of_arm.get(pass));
        rounds.map(round).all(|round| !stats::is_taken(&round))
    };
    let quiet: Vec<bool> = (0..passes).map(is_quiet).collect();
    let left = quiet.iter().filter(|quiet| **quiet).count();
    if u32::try_from(left).is_ok_and(|left| left < LEAST_ROUNDS) {
        return 0;
    }
    for of_arm in &mut *played {
        let mut quiet = quiet.iter();
        of_arm.retain(|_| quiet.next().is_none_or(|quiet| *quiet));
    }
    let dropped = (passes - left).saturating_mul(played.len());
    u32::try_from(dropped).unwrap_or(u32::MAX)
}

/// Whether no more rounds are needed to know the mean floor of each backend.
fn is_known(played: &[Vec<Played>]) -> bool {
    played.iter().all(|played| {
        let rounds: Vec<Round> = played.iter().map(round).collect();
        stats::is_well_known(&rounds)
    })
}

fn most_left_out(settings: &Settings) -> u32 {
    let backends = u32::try_from(settings.backends.len()).unwrap_or(1);
    let wanted = settings.load.rounds.saturating_mul(backends);
    wanted.saturating_mul(AGAIN)
}

/// A round of a backend. One in which the host took the cores shows the host and not
/// the client: it is played again, up to a limit, and the one counts of which the host
/// took least.
async fn quiet_round(
    play: &mut Play<'_>,
    arm: &Arm,
    yard: &mut YardProcess,
    pass: u32,
    count: &mut Count,
) -> Result<Played> {
    let mut best = one_round(play, arm, yard, pass, count).await?;
    for _ in 1..GOES {
        if count.left_out >= most_left_out(play.settings) || !stats::is_taken(&round(&best)) {
            break;
        }
        count.left_out += 1;
        let again = one_round(play, arm, yard, pass, count).await?;
        if again.end.cores_stolen_ticks < best.end.cores_stolen_ticks {
            best = again;
        }
    }
    Ok(best)
}

async fn one_round(
    play: &mut Play<'_>,
    arm: &Arm,
    yard: &mut YardProcess,
    pass: u32,
    count: &mut Count,
) -> Result<Played> {
    let load = &play.settings.load;
    let shown = format!("{} round {}", arm.name(), pass + 1);
    let plan = arm::plan(load.concurrency, load.requests, load.output_tokens);
    let ramp = Duration::from_nanos(load.ramp_ns);
    let (joined, end) = play
        .run(arm, &plan, yard, play.settings.pace(), ramp, &shown)
        .await
        .with_context(|| format!("while calibrating {}", arm.name()))?;
    let place = count.played;
    count.played = count.played.saturating_add(1);
    Ok(Played { place, joined, end })
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
    use super::{Played, drop_taken};
    use crate::calibrate::join::Joined;
    use crate::record::RunEnd;

    fn played(place: u32, stolen_ticks: u64) -> Played {
        Played {
            place,
            joined: Joined::default(),
            end: RunEnd {
                span_ns: 450_000_000,
                cores_stolen_ticks: Some(stolen_ticks),
                ..RunEnd::default()
            },
        }
    }

    #[test]
    fn a_pass_in_which_the_host_took_a_round_counts_for_no_backend() {
        let rounds = |taken: &[u32]| -> Vec<Played> {
            let ticks = |place| u64::from(taken.contains(&place));
            (0..10).map(|place| played(place, ticks(place))).collect()
        };
        let places = |of: &[Played]| -> Vec<u32> { of.iter().map(|one| one.place).collect() };
        let mut few = vec![rounds(&[3]), rounds(&[7])];
        assert_eq!(drop_taken(&mut few), 4);
        for of_arm in &few {
            assert_eq!(places(of_arm), [0, 1, 2, 4, 5, 6, 8, 9]);
        }
        let mut many = vec![rounds(&[3]), rounds(&[7, 8])];
        assert_eq!(drop_taken(&mut many), 0, "seven would be too few");
        assert_eq!(places(&many[0]).len(), 10);
        assert_eq!(drop_taken(&mut []), 0);
    }

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
