//! Our side: the pipeline as `profile` runs it, on a made-up plan, with one
//! client thread and its records in a temporary folder.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use backends::{Backend, Clock, PromptMode, Request, Sampling, Target, find};
use pairbench::plan::{Job, Plan};
use pairbench::record::{self, RunHeader};
use pairbench::run::{Crew, Ids, Limits, Runner, Stop, make_room};

use super::load::{Cost, Load, Meter, PROMPT_TOKENS};

/// A run of ours: what it cost, and what its records say.
pub(crate) struct Outcome {
    pub(crate) cost: Cost,
    pub(crate) run: record::Run,
    /// The id of the plan's first request.
    pub(crate) first_id: u64,
}

const LIMITS: Limits = Limits {
    first_token: Duration::from_secs(60),
    between_tokens: Duration::from_secs(60),
};

/// Runs the load against a server, ids from `first_id` on.
///
/// # Errors
/// When a request failed or brought another number of tokens.
pub(crate) fn run(
    address: &str,
    load: &Load,
    threads: usize,
    clock: Clock,
    first_id: u64,
) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let cost = measure(address, load, threads, clock, first_id, folder.path())?;
    let run = record::load(folder.path())?;
    check(&run, load)?;
    Ok(Outcome {
        cost,
        run,
        first_id,
    })
}

/// The same without reading the records, which takes memory and instructions
/// that no run has.
///
/// # Errors
/// Whatever keeps the run from its end.
pub(crate) fn run_unread(address: &str, load: &Load, threads: usize, clock: Clock) -> Result<Cost> {
    let folder = tempfile::tempdir()?;
    measure(address, load, threads, clock, 1, folder.path())
}

fn measure(
    address: &str,
    load: &Load,
    threads: usize,
    clock: Clock,
    first_id: u64,
    folder: &Path,
) -> Result<Cost> {
    make_room(u64::from(load.streams))?;
    let director = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Clients wait by the timers of where they are made.
    let inside = director.enter();
    let crew = Crew::start(threads)?;
    let runner = Runner {
        aside: connect(address, load)?,
        seats: crew.seats(|| connect(address, load))?,
        clock,
        limits: LIMITS,
        stop: Stop::default(),
        ids: Ids::from(first_id),
        ramp: load.ramp,
        // The figures themselves say it.
        embedded: false,
        warn: |_| (),
    };
    drop(inside);
    let header = RunHeader {
        format: record::FORMAT,
        ..RunHeader::default()
    };
    let mut plan = plan(load);
    director.block_on(async {
        // One prompt is all prompts, so one count is all counts.
        let job = plan.jobs.first().context("an empty load")?;
        let count = runner.aside.prompt_tokens(&job.request).await?;
        for job in &mut plan.jobs {
            job.request.server_prompt_tokens = count;
        }
        runner.warm_up(&plan).await?;
        let meter = Meter::start(clock);
        let end = runner.run(&plan, &header, folder).await?;
        let cost = meter.stop(load.events());
        anyhow::Ok(Cost {
            thread_ns: end.client_cpu_ns,
            span_ns: end.span_ns,
            ..cost
        })
    })
}

/// A client of a server of the load's case.
///
/// # Errors
/// When the address is none.
pub(crate) fn connect(address: &str, load: &Load) -> Result<Arc<dyn Backend>> {
    let entry = find(load.case.backend).context("no such backend")?;
    let client = (entry.connect)(Target {
        address: address.to_owned(),
        model: None,
        api_key: None,
        tls: backends::Tls::default(),
        prompt_mode: PromptMode::Raw,
        connect_timeout: Duration::from_secs(30),
        probe_timeout: Duration::from_secs(30),
    })?;
    Ok(client)
}

/// Equal jobs, as many as there are requests.
pub(crate) fn plan(load: &Load) -> Plan {
    // A begin of sequence, then letters: what the servers' tokenizer makes of the text.
    let text = "a".repeat(usize::try_from(PROMPT_TOKENS - 1).unwrap_or_default());
    let ids: Vec<u32> = std::iter::once(1)
        .chain(text.bytes().map(|byte| u32::from(byte) + 3))
        .collect();
    let request = Request {
        id: 0,
        slot: 0,
        prompt: text.into(),
        turn: None,
        token_ids: ids.into(),
        server_prompt_tokens: None,
        output_tokens: load.tokens,
        sampling: Sampling::default(),
        stream: true,
        prompt_mode: PromptMode::Raw,
        wire: None,
    };
    let job = Job {
        request,
        prompt_tokens: PROMPT_TOKENS - 1,
    };
    let count = usize::try_from(load.streams * load.requests).unwrap_or_default();
    Plan {
        jobs: vec![job; count],
        warmup: Vec::new(),
        concurrency: load.streams,
        digest: String::new(),
    }
}

fn check(run: &record::Run, load: &Load) -> Result<()> {
    let failed = run.records.iter().find(|record| !record.is_ok());
    ensure!(
        failed.is_none(),
        "a request failed: {}",
        failed
            .and_then(|record| record.error.as_deref())
            .unwrap_or_default()
    );
    let tokens: u64 = run
        .records
        .iter()
        .map(|record| u64::from(record.completion_tokens.unwrap_or_default()))
        .sum();
    ensure!(
        tokens == load.events(),
        "{tokens} tokens came where {} were asked for",
        load.events()
    );
    Ok(())
}
