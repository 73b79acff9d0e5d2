//! The experiment: rounds of every backend against our own servers at one load,
//! in alternating order, each joined with the servers' book; and what came out,
//! as integers.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use backends::yardstick::Pace;
use backends::{Clock, Entry};

use super::arm::{self, Arm, Play};
use super::join::{Due, Joined};
use super::{YardOptions, YardProcess, cores, ladder};
use crate::record::{BackendFloor, Load, Round, RunEnd};
use crate::run::{Crew, Stop};
use crate::stats;

/// Passes that may be played again, for each that was asked for.
const AGAIN: u32 = 2;

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
        }
    }

    pub(super) fn due(&self) -> Due {
        Due {
            first_token_ns: self.load.first_token_ns,
            per_token_ns: self.load.per_token_ns,
        }
    }
}

/// Where server and client run: on cores of their own where there are two.
pub(super) struct Places {
    /// The server's core.
    pub(super) server: Option<usize>,
    words: String,
}

impl Places {
    /// Keeps this thread, and the client's that it starts, off the core that is
    /// chosen for the server.
    fn take() -> Self {
        let allowed = cores::allowed();
        let Some((server, client)) = allowed.split_last().filter(|(_, rest)| !rest.is_empty())
        else {
            return Self {
                server: None,
                words: "server and client share the only core".to_owned(),
            };
        };
        match cores::keep_to(client) {
            Ok(()) => Self {
                server: Some(*server),
                words: format!(
                    "server a process of its own on core {server}, client on {}",
                    listed(client)
                ),
            },
            Err(error) => Self {
                server: None,
                words: format!("server and client wherever the system likes ({error:#})"),
            },
        }
    }
}

fn listed(cores: &[usize]) -> String {
    match cores {
        [one] => format!("core {one}"),
        [first, .., last] if last - first + 1 == cores.len() => {
            format!("cores {first} to {last}")
        }
        _ => format!("{} others", cores.len()),
    }
}

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

impl Play<'_> {
    /// Starts servers of this pace.
    pub(super) fn yard(&self, pace: Pace, places: &Places) -> Result<YardProcess> {
        let options = YardOptions {
            pace,
            core: places.server,
            program: self.settings.program.clone(),
        };
        YardProcess::start(&options, self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn cores_are_named() {
        for (cores, words) in [
            (&[3][..], "core 3"),
            (&[0, 1, 2], "cores 0 to 2"),
            (&[0, 5], "2 others"),
            (&[], "0 others"),
        ] {
            assert_eq!(listed(cores), words);
        }
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
