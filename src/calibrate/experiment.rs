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

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The backends, in the order of the first round.
    pub backends: Vec<&'static Entry>,
    /// The load. Where server and client are is found out.
    pub load: Load,
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

/// Does the experiment: what was found for each backend, and where server and
/// client were.
///
/// # Errors
/// When the servers cannot be started, a request fails against them, or the
/// user stops it.
pub async fn calibrate(
    settings: &Settings,
    clock: Clock,
    stop: &Stop,
) -> Result<(Vec<BackendFloor>, String)> {
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
    let rounds = rounds(&mut play, &arms, &mut yard).await?;
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
    Ok((found, words))
}

/// A round: its place among all, and what came.
struct Played {
    place: u32,
    joined: Joined,
    end: RunEnd,
}

/// All rounds by backend. Every other pass goes backwards, so that a machine
/// that gets slower or faster meanwhile does so for all alike.
async fn rounds(
    play: &mut Play<'_>,
    arms: &[Arm],
    yard: &mut YardProcess,
) -> Result<Vec<Vec<Played>>> {
    let settings = play.settings;
    let mut played: Vec<Vec<Played>> = arms.iter().map(|_| Vec::new()).collect();
    let mut place = 0;
    for pass in 0..settings.load.rounds {
        let mut order: Vec<usize> = (0..arms.len()).collect();
        if pass % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let (Some(arm), Some(of_arm)) = (arms.get(at), played.get_mut(at)) else {
                continue;
            };
            let shown = format!("{} {}/{}", arm.name(), pass + 1, settings.load.rounds);
            let plan = arm::plan(
                settings.load.concurrency,
                settings.load.requests,
                settings.load.output_tokens,
            );
            let ramp = Duration::from_nanos(settings.load.ramp_ns);
            let (joined, end) = play
                .run(arm, &plan, yard, settings.due(), ramp, &shown)
                .await
                .with_context(|| format!("while calibrating {}", arm.name()))?;
            of_arm.push(Played { place, joined, end });
            place += 1;
        }
    }
    if play.stop.is_wished() {
        bail!("stopped by the user; nothing is stored");
    }
    Ok(played)
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
