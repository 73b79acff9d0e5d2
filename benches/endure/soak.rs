//! A long run: stretches at full speed, one after the other over connections that
//! stay open, and after each a short one at a pace whose marks are set against
//! the servers' book. A process for each protocol, so that what grows has a name.
//!
//! What grows by design does not grow here: a run's records are in memory only
//! when a report is made of them, and a stretch's are dropped after it.

use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use backends::yardstick::Handed;
use backends::{Backend, Clock};
use pairbench::calibrate::YardProcess;
use pairbench::plan::Plan;
use pairbench::record::{self, Record, RunHeader};
use pairbench::run::{Crew, Ids, Limits, Runner, Stop, make_room};

use super::load::{CASES, Case, Load};
use super::ours;
use super::process::Held;
use super::samples::{Sampler, Thirds, mean, percentile};

/// Most that the resident memory may grow from the first to the last third.
const GROWTH_PERCENT_MAX: f64 = 5.0;

/// The same for the delay from hand-over to mark. Other work on the machine moves
/// it by as much.
const DRIFT_PERCENT_MAX: f64 = 20.0;

const LIMITS: Limits = Limits {
    first_token: Duration::from_secs(60),
    between_tokens: Duration::from_secs(60),
};

/// Reads `90s` or `20m`.
///
/// # Errors
/// When it is neither.
pub(crate) fn duration(words: &str) -> Result<Duration> {
    let number = |text: &str| {
        text.parse::<u64>()
            .context("a time is a number with s or m")
    };
    match (words.strip_suffix('s'), words.strip_suffix('m')) {
        (Some(seconds), _) => Ok(Duration::from_secs(number(seconds)?)),
        (_, Some(minutes)) => Ok(Duration::from_secs(60 * number(minutes)?)),
        _ => bail!("`{words}` is no time: give 90s or 20m"),
    }
}

/// Soaks both protocols at once, or one; whether nothing grew.
///
/// # Errors
/// Whatever keeps a run from its end.
pub(crate) fn soak(length: Duration, streams: u32, only: Option<&str>) -> Result<bool> {
    match only {
        Some(wire) => one(wire, length, streams),
        None => {
            let start = |wire: &str| {
                Command::new(std::env::current_exe()?)
                    .args(["--soak", &format!("{}s", length.as_secs())])
                    .args(["--streams", &streams.to_string(), "--only", wire])
                    .spawn()
            };
            let children = [start("http")?, start("grpc")?];
            let ended = children.map(|mut child| child.wait());
            let well = ended.map(|status| status.as_ref().is_ok_and(ExitStatus::success));
            Ok(well == [true, true])
        }
    }
}

/// The client under test, and what it is asked to do.
struct Soaked {
    full: Player,
    paced: Player,
    clock: Clock,
}

/// One client of one server.
struct Player {
    yard: YardProcess,
    runner: Runner,
    plan: Plan,
    load: Load,
}

/// What one round showed.
#[derive(Clone, Copy)]
struct Round {
    events_per_s: f64,
    floor_p50_us: f64,
    floor_p99_us: f64,
}

fn one(wire: &str, length: Duration, streams: u32) -> Result<bool> {
    let case = |pace: &str| {
        let name = format!("{wire}-{pace}");
        let found = CASES.iter().find(|case| case.name == name).copied();
        found.with_context(|| format!("--only {wire}: give http or grpc"))
    };
    make_room(4 * u64::from(streams))?;
    let clock = Clock::start();
    let director = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Clients wait by the timers of where they are made.
    let inside = director.enter();
    let crew = Crew::start(1)?;
    let ids = Ids::from(1);
    let mut soaked = Soaked {
        full: Player::new(case("full")?, (streams, 24, 256), clock, &crew, &ids)?,
        paced: Player::new(case("paced")?, (streams, 1, 100), clock, &crew, &ids)?,
        clock,
    };
    drop(inside);
    let (rounds, samples) = director.block_on(soaked.play(wire, length))?;
    Ok(verdict(wire, &rounds, &samples))
}

impl Soaked {
    async fn play(&mut self, wire: &str, length: Duration) -> Result<(Vec<Round>, Vec<Held>)> {
        for player in [&self.full, &self.paced] {
            player.runner.warm_up(&player.plan).await?;
        }
        let mut rounds = Vec::with_capacity(4_096);
        // What is made once (buffers, pools) is there before anything is compared.
        self.round().await?;
        let sampler = Sampler::start();
        let end_ns = self.clock.now_ns() + u64::try_from(length.as_nanos())?;
        while self.clock.now_ns() < end_ns {
            let round = self.round().await?;
            rounds.push(round);
            if rounds.len() % 10 == 1 {
                let held = super::process::held(std::process::id()).unwrap_or_default();
                println!(
                    "{wire} {:>5}: {:>9.0} events/s, {:>7} kB resident, {} descriptors, {} threads, \
                     floor p50 {:.0} us, p99 {:.0} us",
                    rounds.len(),
                    round.events_per_s,
                    held.resident_kb,
                    held.descriptors,
                    held.threads,
                    round.floor_p50_us,
                    round.floor_p99_us
                );
            }
        }
        Ok((rounds, sampler.samples()))
    }

    async fn round(&mut self) -> Result<Round> {
        let folder = tempfile::tempdir()?;
        let (span_ns, _) = self.full.play(folder.path()).await?;
        let written = std::fs::read(folder.path().join("requests.jsonl"))?;
        let requests = written.iter().filter(|&&byte| byte == b'\n').count();
        ensure!(requests == self.full.plan.jobs.len(), "records are missing");
        drop(written);
        // The book of what went at full speed is of no use.
        self.full.yard.take()?;
        let folder = tempfile::tempdir()?;
        let (_, first_id) = self.paced.play(folder.path()).await?;
        let run = record::load(folder.path())?;
        let floor_ns = floor_ns(&run.records, &self.paced.yard.take()?, first_id)?;
        let us = |percent| percentile(floor_ns.iter().map(|&ns| ns as f64 / 1e3), percent);
        Ok(Round {
            events_per_s: self.full.load.events() as f64 * 1e9 / span_ns.max(1) as f64,
            floor_p50_us: us(50),
            floor_p99_us: us(99),
        })
    }
}

impl Player {
    fn new(
        case: Case,
        (streams, requests, tokens): (u32, u32, u32),
        clock: Clock,
        crew: &Crew,
        ids: &Ids,
    ) -> Result<Self> {
        let gap = Duration::from_millis(10);
        let load = Load {
            case,
            streams,
            requests,
            tokens,
            first_token: Duration::from_millis(50),
            gap,
            ramp: if case.full_speed { Duration::ZERO } else { gap },
        };
        let yard = load.yard(None, clock)?;
        let connect = || ours::connect(yard.address(case.wire), &load);
        let runner = Runner {
            aside: connect()?,
            seats: crew.seats(connect)?,
            clock,
            limits: LIMITS,
            stop: Stop::default(),
            ids: ids.clone(),
            ramp: load.ramp,
            embedded: false,
            warn: |_| (),
        };
        let plan = ours::plan(&load);
        Ok(Self {
            yard,
            runner,
            plan,
            load,
        })
    }

    /// Plays the plan once; how long it took, and the first request's id.
    async fn play(&mut self, folder: &std::path::Path) -> Result<(u64, u64)> {
        let header = RunHeader {
            format: record::FORMAT,
            ..RunHeader::default()
        };
        if self
            .plan
            .jobs
            .iter()
            .any(|job| job.request.server_prompt_tokens.is_none())
        {
            let aside: &Arc<dyn Backend> = &self.runner.aside;
            let job = self.plan.jobs.first().context("an empty load")?;
            let count = aside.prompt_tokens(&job.request).await?;
            for job in &mut self.plan.jobs {
                job.request.server_prompt_tokens = count.or(Some(0));
            }
        }
        let first_id = self.runner.ids.next();
        let end = self.runner.run(&self.plan, &header, folder).await?;
        Ok((end.span_ns, first_id))
    }
}

/// From hand-over to mark, of every message. A request that failed is an error.
fn floor_ns(records: &[Record], book: &[Handed], first_id: u64) -> Result<Vec<i64>> {
    let mut floor = Vec::new();
    for record in records {
        ensure!(
            record.is_ok(),
            "request {}: {:?}",
            record.index,
            record.error
        );
        let id = first_id + u64::from(record.index);
        let handed = book.iter().find(|handed| handed.request == id);
        let handed = handed.context("a request that is not in the book")?;
        let mut seen = 0;
        for mark in &record.marks {
            // Where the wire does not tell, a message is a token.
            seen += usize::try_from(mark.tokens.max(1))?;
            let at_ns = handed
                .at_ns
                .get(seen - 1)
                .context("more marks than tokens")?;
            floor.push(mark.at_ns.cast_signed() - at_ns.cast_signed());
        }
    }
    Ok(floor)
}

/// Prints the thirds; whether they agree.
fn verdict(wire: &str, rounds: &[Round], samples: &[Held]) -> bool {
    let kb = |held: &[Held]| mean(held.iter().map(|held| held.resident_kb as f64));
    let files = |held: &[Held]| mean(held.iter().map(|held| held.descriptors as f64));
    let rate = |rounds: &[Round]| mean(rounds.iter().map(|round| round.events_per_s));
    // Other work only ever adds to it: the quieter rounds of each third count.
    let floor = |rounds: &[Round]| percentile(rounds.iter().map(|round| round.floor_p50_us), 25);
    let resident = Thirds::of(samples, kb);
    let descriptors = Thirds::of(samples, files);
    let floor = Thirds::of(rounds, floor);
    let peak = samples.iter().map(|held| held.peak_kb).max().unwrap_or(0);
    println!(
        "{wire}: {} rounds, {} samples, peak {peak} kB; first third, last third",
        rounds.len(),
        samples.len()
    );
    for (what, thirds) in [
        ("resident, kB", resident),
        ("descriptors", descriptors),
        ("floor p50, us", floor),
        ("events/s", Thirds::of(rounds, rate)),
    ] {
        println!(
            "{wire}: {what:<14} {:>12.1} {:>12.1} {:>+7.2} %",
            thirds.first,
            thirds.last,
            thirds.growth_percent()
        );
    }
    let well = resident.growth_percent().abs() <= GROWTH_PERCENT_MAX
        && descriptors.last <= descriptors.first + 0.5
        && floor.growth_percent() <= DRIFT_PERCENT_MAX;
    println!("{wire}: {}", if well { "flat" } else { "NOT flat" });
    well
}
