//! What the command line means: checked, completed, and the only source of
//! settings for the rooms that follow. A configuration that exists is one that
//! can be tried; nothing here opens a file or a connection.

mod access;
mod calibrate;
mod experiment;
mod sim;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use backends::{Entry, PromptMode, Sampling, Secret, Target, Tls};

use crate::cli::{AccessArgs, CompareArgs, DemoArgs, ProfileArgs, RunArgs};
use crate::workload::Rules;

pub use access::Access;
pub use calibrate::CalibrateConfig;
pub use experiment::{ExperimentConfig, Format, Judgement, Pages, shared_host};
pub use sim::SimConfig;
pub use work::{Data, Source, Work, tokenizer_family};

/// Most requests in flight that make sense on one machine; above it the ports
/// of one address run out.
const MAX_CONCURRENCY: u32 = 20_000;
/// Longest wait that a flag may ask for, in seconds: a week.
const MAX_WAIT_S: f64 = 604_800.0;
/// Most warm-up requests per slot; more would be a run of their own.
const MAX_WARMUP: u32 = 1_000;
/// Longest ramp, in seconds: an hour.
const MAX_RAMP_S: f64 = 3_600.0;
/// Requests in flight that one client thread takes on by itself. At 100 tokens
/// per second and stream that is a sixth of a core or less, and the burst at a
/// run's start is sent within some milliseconds (docs/performance.md).
const STREAMS_PER_THREAD: u32 = 128;
/// Most threads of the client.
const MAX_THREADS: u32 = 1_024;

/// Everything that `profile`, `compare` and `demo` need to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The arms, the one to compare to first.
    pub arms: Vec<Arm>,
    /// What is asked.
    pub work: Work,
    /// How the run goes.
    pub run: RunConfig,
    /// How the arms are compared; `None`: there is nothing to compare.
    pub experiment: Option<ExperimentConfig>,
    /// What is held to be a difference.
    pub judgement: Judgement,
    /// How results are shown.
    pub pages: Pages,
    /// How embedded servers behave.
    pub sim: SimConfig,
    /// How the client gets in: files that are not read yet.
    pub access: Access,
}

/// One arm: a way to ask and somebody to ask.
#[derive(Clone)]
pub struct Arm {
    /// The row of the table of backends.
    pub entry: &'static Entry,
    /// The address as given; `sim` for an embedded server.
    pub address: String,
    /// What the client has to know to ask; the address in it is set when an
    /// embedded server has one.
    pub target: Target,
}

impl Arm {
    /// The address that stands for an embedded, simulated server.
    pub const SIM: &'static str = "sim";

    /// Whether the server has to be started here.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.address == Self::SIM
    }
}

impl fmt::Debug for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The target holds a key.
        write!(f, "{}={}", self.entry.name, self.address)
    }
}

/// How the run goes.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// Requests in flight.
    pub concurrency: u32,
    /// Warm-up requests per slot.
    pub warmup: u32,
    /// Failures up to which a run is valid.
    pub max_failed: u32,
    /// Longest wait for the first token, or for a whole answer in one piece.
    pub first_token_timeout: Duration,
    /// Longest wait from token to token.
    pub token_timeout: Duration,
    /// Over which the slots start, evenly; zero: all at once.
    pub ramp: Duration,
    /// Threads of the client.
    pub client_threads: usize,
    /// File that gets the rows.
    pub csv: PathBuf,
    /// Folder that gets the folders of raw records.
    pub records: PathBuf,
}

impl Config {
    /// All keys that are sent, each once: whatever is kept or printed is kept or
    /// printed without them.
    #[must_use]
    pub fn keys(&self) -> Vec<Secret> {
        access::keys(&self.arms)
    }

    /// The configuration of `profile`.
    ///
    /// # Errors
    /// Names the flag that makes no sense, and what it takes.
    pub fn of_profile(args: ProfileArgs) -> Result<Self> {
        let entry = find(&args.backend)?;
        let work = Work::of(&args.work, false)?;
        let model = args.run.model.clone();
        let arm = arm(entry, &args.address, model, &args.run, &work)?;
        let csv = format!("./profile_{}.csv", entry.family);
        let (run, access) = run(args.run, &csv, 1)?;
        let arms = vec![arm];
        Ok(Self {
            access: Access::of(access, &arms)?,
            arms,
            work,
            run,
            experiment: None,
            judgement: Judgement::default(),
            pages: Pages::default(),
            sim: SimConfig::of(&args.sim)?,
        })
    }

    /// The configuration of `compare`.
    ///
    /// # Errors
    /// Names the flag that makes no sense, and what it takes.
    pub fn of_compare(args: CompareArgs) -> Result<Self> {
        let work = Work::of(&args.work, true)?;
        let mut arms = Vec::new();
        for word in &args.backends {
            let (name, address) = word.split_once('=').with_context(|| {
                let word = access::shown(word);
                format!("--backend {word}: give NAME=ADDRESS, such as tis=0.0.0.0:33337 or tis=sim")
            })?;
            let (address, model) = match address.split_once(",model=") {
                Some((address, model)) => (address, Some(model.to_owned())),
                None => (address, args.run.model.clone()),
            };
            arms.push(arm(find(name)?, address, model, &args.run, &work)?);
        }
        one_model_for_all(&arms, args.run.model.as_deref())?;
        ensure!(
            arms.len() >= 2,
            "compare needs two arms or more: give --backend at least twice, or use profile for one"
        );
        let experiment = ExperimentConfig::of(&args.experiment)?;
        // Arms that play at the same moment share the client's threads.
        let at_once = if experiment.duet { arms.len() } else { 1 };
        let (run, access) = run(args.run, "./profile_compare.csv", at_once)?;
        Ok(Self {
            access: Access::of(access, &arms)?,
            arms,
            work,
            run,
            experiment: Some(experiment),
            judgement: Judgement::of(args.judge)?,
            pages: Pages::of(args.page),
            sim: SimConfig::of(&args.sim)?,
        })
    }

    /// The configuration of `demo`: every text arm and the bare engine, all on
    /// one kind of simulated engine.
    ///
    /// # Errors
    /// Names the flag that makes no sense, and what it takes.
    pub fn of_demo(args: DemoArgs) -> Result<Self> {
        let work = Work {
            data: Data::Bundled,
            rules: Rules {
                num_prompts: Some(at_least_one(args.num_prompts, "--num-prompts")?),
                seed: args.seed,
                ..Rules::default()
            },
            sampling: Sampling::default(),
            prompt_mode: PromptMode::Raw,
            stream: true,
        };
        let target = Target {
            address: String::new(),
            model: None,
            api_key: None,
            tls: Tls::default(),
            prompt_mode: PromptMode::Raw,
            connect_timeout: Duration::from_secs(10),
            probe_timeout: PROBE_TIMEOUT,
        };
        let arms = backends::ALL.iter().map(|entry| Arm {
            entry,
            address: Arm::SIM.to_owned(),
            target: target.clone(),
        });
        Ok(Self {
            arms: arms.collect(),
            work,
            run: RunConfig {
                concurrency: concurrency(args.concurrency)?,
                warmup: 1,
                max_failed: 0,
                first_token_timeout: Duration::from_secs(30),
                token_timeout: Duration::from_secs(10),
                ramp: Duration::ZERO,
                client_threads: threads_for(args.concurrency),
                csv: args.csv,
                records: args.records,
            },
            experiment: Some(ExperimentConfig::of_blocks(args.blocks)?),
            judgement: Judgement::default(),
            pages: Pages::of(args.page),
            sim: SimConfig::of_demo(),
            access: Access::default(),
        })
    }
}

/// Longest wait for an answer that is not timed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// The row of the table of backends that `--backend` names.
///
/// # Errors
/// Lists the names that there are.
pub fn find(name: &str) -> Result<&'static Entry> {
    backends::find(name).with_context(|| {
        let names: Vec<_> = backends::ALL.iter().map(|entry| entry.name).collect();
        let name = access::shown(name);
        format!("--backend {name}: unknown; use one of {}", names.join(", "))
    })
}

/// `--model` for all arms makes sense only where the name means the same thing:
/// for `tis` it is the engine's model, for `tis-ensemble` the ensemble's, for
/// `api_server` what the server calls itself.
fn one_model_for_all(arms: &[Arm], model: Option<&str>) -> Result<()> {
    let Some(model) = model else {
        return Ok(());
    };
    let taking = |arm: &&Arm| arm.target.model.as_deref() == Some(model);
    let names: BTreeSet<_> = arms
        .iter()
        .filter(taking)
        .map(|arm| arm.entry.name)
        .collect();
    ensure!(
        names.len() <= 1,
        "--model {model}: means another thing for each of {}; give it per arm, as \
         --backend NAME=ADDR,model={model}",
        names.into_iter().collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

fn arm(
    entry: &'static Entry,
    address: &str,
    model: Option<String>,
    run: &RunArgs,
    work: &Work,
) -> Result<Arm> {
    ensure!(
        !address.is_empty(),
        "--backend {}: the address is empty; give HOST:PORT or sim",
        entry.name
    );
    access::refuse_secrets(entry, address)?;
    Ok(Arm {
        entry,
        address: address.to_owned(),
        target: Target {
            address: address.to_owned(),
            model,
            api_key: access::key(entry, &run.access),
            tls: Tls::default(),
            prompt_mode: work.prompt_mode,
            connect_timeout: seconds(run.connect_timeout, "--connect-timeout")?,
            probe_timeout: PROBE_TIMEOUT,
        },
    })
}

/// How the run goes, and what is left to be said of how the client gets in.
/// `at_once`: arms that are under load at the same moment.
fn run(args: RunArgs, default_csv: &str, at_once: usize) -> Result<(RunConfig, AccessArgs)> {
    let in_flight = u32::try_from(at_once).map(|arms| args.concurrency.saturating_mul(arms))?;
    let client_threads = client_threads(args.client_threads, in_flight)?;
    ensure!(
        args.warmup <= MAX_WARMUP,
        "--warmup {}: at most {MAX_WARMUP} per slot",
        args.warmup
    );
    let config = RunConfig {
        concurrency: concurrency(args.concurrency)?,
        warmup: args.warmup,
        max_failed: args.max_failed,
        first_token_timeout: seconds(args.first_token_timeout, "--first-token-timeout")?,
        token_timeout: seconds(args.token_timeout, "--token-timeout")?,
        ramp: ramp(args.ramp)?,
        client_threads,
        csv: args.csv.unwrap_or_else(|| default_csv.into()),
        records: args.records,
    };
    Ok((config, args.access))
}

fn client_threads(given: Option<u32>, in_flight: u32) -> Result<usize> {
    let Some(threads) = given else {
        return Ok(threads_for(in_flight));
    };
    ensure!(
        (1..=MAX_THREADS).contains(&threads),
        "--client-threads {threads}: must be from 1 to {MAX_THREADS}"
    );
    Ok(usize::try_from(threads)?)
}

fn concurrency(value: u32) -> Result<u32> {
    ensure!(
        (1..=MAX_CONCURRENCY).contains(&value),
        "--concurrency {value}: must be from 1 to {MAX_CONCURRENCY}"
    );
    Ok(value)
}

fn at_least_one(value: u32, flag: &str) -> Result<u32> {
    ensure!(value >= 1, "{flag} {value}: must be 1 or more");
    Ok(value)
}

fn seconds(value: f64, flag: &str) -> Result<Duration> {
    ensure!(
        value.is_finite() && value > 0.0 && value <= MAX_WAIT_S,
        "{flag} {value}: must be above 0 seconds and at most {MAX_WAIT_S} (a week)"
    );
    Ok(Duration::from_secs_f64(value))
}

fn ramp(value: f64) -> Result<Duration> {
    ensure!(
        value.is_finite() && (0.0..=MAX_RAMP_S).contains(&value),
        "--ramp {value}: must be from 0 to {MAX_RAMP_S} seconds"
    );
    Ok(Duration::from_secs_f64(value))
}

/// Client threads for so many requests in flight: one for every
/// `STREAMS_PER_THREAD`, and no more than cores.
#[must_use]
pub fn threads_for(concurrency: u32) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let needed = usize::try_from(concurrency.div_ceil(STREAMS_PER_THREAD)).unwrap_or(usize::MAX);
    needed.clamp(1, cores)
}
