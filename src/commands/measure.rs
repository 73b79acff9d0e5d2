//! What `profile` and `compare` share: from a configuration to finished runs,
//! read back from their folders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use backends::{Backend, Clock, ServerInfo};

use super::advise;
use super::header::header;
use crate::config::{Arm, Config, Data};
use crate::plan::{self, Plan, Settings};
use crate::record::{self, Recount, Run};
use crate::report;
use crate::run::{CLIENT_THREAD, Limits, Runner, Show, Stop, Wall};
use crate::sim::{self, Embedded};
use crate::workload::{self, Tokenizer};

/// A finished run and where its records are.
pub(super) struct Measured {
    pub(super) folder: PathBuf,
    pub(super) run: Run,
}

/// An arm whose server has answered.
struct Ready<'a> {
    arm: &'a Arm,
    backend: Arc<dyn Backend>,
    info: ServerInfo,
    /// Keeps an embedded server alive.
    _server: Option<Embedded>,
}

/// Measures all arms, one after the other, with the same plan.
///
/// # Errors
/// Whatever keeps the first request from being sent; after that, only records
/// that cannot be written.
pub(super) fn measure(config: &Config) -> Result<Vec<Measured>> {
    report::csv::check(&config.run.csv)?;
    std::fs::create_dir_all(&config.run.records).with_context(|| {
        let folder = config.run.records.display();
        format!("cannot make the folder {folder}; choose another with --records")
    })?;
    let tokenizer = Arc::new(tokenizer(&config.work.data)?);
    let clock = Clock::start();
    let servers = embedded(config, &tokenizer, clock)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.run.client_threads)
        .thread_name(CLIENT_THREAD)
        .enable_all()
        .build()
        .context("cannot start the client's threads")?;
    let stop = Stop::default();
    let measured = runtime.block_on(async {
        stop.listen();
        tokio::select! {
            measured = all(config, servers, &tokenizer, clock, &stop) => measured,
            () = stop.quit() => bail!(
                "quit by the user; what had finished is in {}, see `pairbench report`",
                config.run.records.display()
            ),
        }
    });
    runtime.shutdown_background();
    measured
}

async fn all(
    config: &Config,
    servers: Vec<Option<Embedded>>,
    tokenizer: &Tokenizer,
    clock: Clock,
    stop: &Stop,
) -> Result<Vec<Measured>> {
    let mut ready = Vec::new();
    for (arm, server) in config.arms.iter().zip(servers) {
        ready.push(probe(arm, server, config.run.concurrency).await?);
    }
    let plan = make_plan(config, tokenizer)?;
    let mut measured = Vec::new();
    for arm in ready {
        measured.push(one(config, arm, plan.clone(), tokenizer, clock, stop).await?);
        if stop.is_wished() {
            break;
        }
    }
    Ok(measured)
}

fn tokenizer(data: &Data) -> Result<Tokenizer> {
    match data {
        Data::Files { tokenizer, .. } => Tokenizer::load(tokenizer),
        Data::Bundled => Tokenizer::bundled(),
    }
}

/// Starts the embedded servers, each with an engine of its own.
fn embedded(
    config: &Config,
    tokenizer: &Arc<Tokenizer>,
    clock: Clock,
) -> Result<Vec<Option<Embedded>>> {
    let mut codec = None;
    let start = |arm: &Arm| {
        if !arm.is_embedded() {
            return Ok(None);
        }
        let codec = match &codec {
            Some(codec) => Arc::clone(codec),
            None => Arc::clone(codec.insert(sim::codec_of(Arc::clone(tokenizer))?)),
        };
        Embedded::start(arm.entry, &config.sim, codec, clock, "127.0.0.1:0").map(Some)
    };
    config.arms.iter().map(start).collect()
}

async fn probe(arm: &Arm, server: Option<Embedded>, concurrency: u32) -> Result<Ready<'_>> {
    let mut target = arm.target.clone();
    if let Some(server) = &server {
        target.address = server.address.to_string();
    }
    let of_arm = || format!("--backend {} at {}", arm.entry.name, arm.address);
    let backend = (arm.entry.connect)(target).with_context(of_arm)?;
    let info = backend.probe().await.with_context(of_arm)?;
    if let Some(most) = info.max_running.filter(|most| *most < concurrency) {
        advise(&format!(
            "{} runs {most} requests at once; of {concurrency} in flight the rest waits in its \
             queue, and the first-token latency holds that wait (see --concurrency)",
            of_arm()
        ));
    }
    Ok(Ready {
        arm,
        backend,
        info,
        _server: server,
    })
}

fn make_plan(config: &Config, tokenizer: &Tokenizer) -> Result<Plan> {
    let work = &config.work;
    let _busy = Show::busy("reading conversations and counting their tokens");
    let pairs = match &work.data {
        Data::Files { dataset, .. } => workload::read_sharegpt(dataset)?,
        Data::Bundled => workload::bundled_conversations()?,
    };
    let workload = workload::sample(&pairs, tokenizer, work.style, work.num_prompts, work.seed)?;
    let settings = Settings {
        sampling: work.sampling,
        prompt_mode: work.prompt_mode,
        stream: work.stream,
        concurrency: config.run.concurrency,
        warmup: config.run.warmup,
    };
    Ok(plan::plan(&workload.prompts, settings))
}

async fn one(
    config: &Config,
    ready: Ready<'_>,
    mut plan: Plan,
    tokenizer: &Tokenizer,
    clock: Clock,
    stop: &Stop,
) -> Result<Measured> {
    let wall = Wall::now();
    let runner = Runner {
        backend: Arc::clone(&ready.backend),
        clock,
        limits: Limits {
            first_token: config.run.first_token_timeout,
            between_tokens: config.run.token_timeout,
        },
        stop: stop.clone(),
        first_id: wall.first_id(),
    };
    let name = ready.arm.entry.name;
    let of_arm = || format!("--backend {name} at {}", ready.arm.address);
    let busy = Show::busy(&format!("{name}: counting prompts, warming up"));
    runner
        .ask_prompt_tokens(&mut plan)
        .await
        .with_context(of_arm)?;
    runner.warm_up(&plan).await.with_context(of_arm)?;
    drop(busy);
    let folder = record::create_folder(&config.run.records, &format!("{}-{name}", wall.stamp()))?;
    let header = header(config, ready.arm, &ready.info, tokenizer, &plan, wall.utc());
    runner.run(&plan, &header, &folder).await?;
    recount(&folder, tokenizer)?;
    let run = record::load(&folder)?;
    Ok(Measured { folder, run })
}

/// Counts the answers' texts with the workload's tokenizer, after the run, and
/// keeps the counts beside the records.
fn recount(folder: &Path, tokenizer: &Tokenizer) -> Result<()> {
    let run = record::load(folder)?;
    let mut recount = Recount::default();
    for record in run.records.iter().filter(|record| record.is_ok()) {
        if record.text.is_empty() {
            continue;
        }
        let first = record
            .text
            .get(..record.first_text_bytes)
            .unwrap_or_default();
        recount.answers.push((
            record.index,
            tokenizer.count_answer(&record.text)?,
            tokenizer.count_answer(first)?,
        ));
    }
    record::save_recount(folder, &recount)
}

/// Appends one row per run.
///
/// # Errors
/// When the file cannot be written; the records are there all the same.
pub(super) fn append(csv: &Path, rows: &[Vec<String>]) -> Result<()> {
    ensure!(
        !rows.is_empty(),
        "no run has finished, so {} gets no row",
        csv.display()
    );
    report::csv::append(csv, rows)
}
