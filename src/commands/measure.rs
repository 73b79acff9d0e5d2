//! What `profile` and `compare` share: from a configuration to finished runs,
//! read back from their folders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Error, Result, bail, ensure};
use backends::Clock;

use super::arms::{self, Ready};
use super::floor::Known;
use super::header::header;
use super::{advise, asked, chat};
use crate::config::Config;
use crate::plan::{self, Plan, Settings};
use crate::record::{self, Record, Recount, Run};
use crate::report;
use crate::run::{Crew, Limits, Runner, Show, Stop, Wall, make_room};
use crate::sim::Embedded;
use crate::workload::{ChatTemplate, Tokenizer};

/// A finished run and where its records are.
pub(super) struct Measured {
    pub(super) folder: PathBuf,
    pub(super) run: Run,
}

/// What became of the arms.
pub(super) struct Outcome {
    /// The runs that have records, in the order of the arms; at least one.
    pub(super) measured: Vec<Measured>,
    /// Why there are fewer than arms, unless the user stopped.
    pub(super) trouble: Option<Error>,
}

/// Measures all arms, one after the other, with the same plan. What has been
/// measured is never lost to a later arm's trouble.
///
/// # Errors
/// Whatever keeps the first arm from being measured.
pub(super) fn measure(config: &Config) -> Result<Outcome> {
    report::csv::check(&config.run.csv)?;
    record::check_parent(&config.run.records)?;
    let tokenizer = Arc::new(asked::tokenizer(&config.work.data)?);
    let needing = config.arms.iter().find(|arm| !arm.entry.applies_template);
    let needing = needing.map(|arm| format!("backend {}", arm.entry.name));
    let template = chat::template(&config.work, needing.as_deref())?;
    let clock = Clock::start();
    let servers = arms::embedded(config, &tokenizer, template.as_ref(), clock)?;
    make_room(config.run.concurrency.into())?;
    let crew = Crew::start(config.run.client_threads)?;
    // This thread directs; requests run on the crew's.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let stop = Stop::default();
    let known = Known::of(config);
    let basis = Basis {
        tokenizer: &tokenizer,
        template: template.as_deref(),
        known: &known,
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = all(config, servers, basis, &crew, clock, &stop) => outcome,
            () = stop.quit() => bail!(
                "quit by the user; what had finished is in {}, see `pairbench report`",
                config.run.records.display()
            ),
        }
    });
    runtime.shutdown_background();
    outcome
}

/// What all runs stand on: what makes tokens of conversations, and what was
/// found out about the client before.
#[derive(Clone, Copy)]
struct Basis<'a> {
    tokenizer: &'a Tokenizer,
    /// The chat template, where prompts are rendered.
    template: Option<&'a ChatTemplate>,
    /// What the client knows of its own delay.
    known: &'a Known,
}

async fn all(
    config: &Config,
    servers: Vec<Option<Embedded>>,
    basis: Basis<'_>,
    crew: &Crew,
    clock: Clock,
    stop: &Stop,
) -> Result<Outcome> {
    let mut ready = Vec::new();
    for (arm, server) in config.arms.iter().zip(servers) {
        ready.push(arms::probe(arm, server, config.run.concurrency, crew).await?);
    }
    let (plan, style) = make_plan(config, basis)?;
    // Up to here Ctrl-C simply ends the process: there is nothing to be kept.
    stop.listen();
    let mut measured = Vec::new();
    let mut trouble = None;
    for arm in ready {
        match one(config, arm, plan.clone(), &style, basis, clock, stop).await {
            Ok(run) => measured.push(run),
            Err(error) if measured.is_empty() => return Err(error),
            Err(error) => trouble = Some(error),
        }
        if trouble.is_some() || stop.is_wished() {
            break;
        }
    }
    Ok(Outcome { measured, trouble })
}

/// The plan, and the rule by which its prompts were chosen.
fn make_plan(config: &Config, basis: Basis<'_>) -> Result<(Plan, String)> {
    let work = &config.work;
    let asked = asked::choose(work, basis.tokenizer, basis.template)?;
    let settings = Settings {
        sampling: work.sampling,
        prompt_mode: work.prompt_mode,
        stream: work.stream,
        concurrency: config.run.concurrency,
        warmup: config.run.warmup,
    };
    Ok((plan::plan(&asked.workload.prompts, settings), asked.style()))
}

async fn one(
    config: &Config,
    ready: Ready<'_>,
    mut plan: Plan,
    style: &str,
    basis: Basis<'_>,
    clock: Clock,
    stop: &Stop,
) -> Result<Measured> {
    let wall = Wall::now();
    let runner = Runner {
        aside: Arc::clone(&ready.aside),
        seats: ready.seats.clone(),
        clock,
        limits: Limits {
            first_token: config.run.first_token_timeout,
            between_tokens: config.run.token_timeout,
        },
        stop: stop.clone(),
        first_id: wall.first_id(),
        ramp: config.run.ramp,
        warn: advise,
    };
    let of_arm = || ready.name();
    let mut parting = None;
    tokio::select! {
        prepared = prepare(&runner, &mut plan, ready.arm.entry.name, basis) => {
            parting = prepared.with_context(of_arm)?;
        }
        () = stop.wished() => {}
    }
    if let Some(words) = &parting {
        advise(&format!(
            "{}: the server makes other tokens of a prompt: {words}",
            of_arm()
        ));
    }
    if stop.is_wished() {
        bail!("{}: stopped by the user before its first request", of_arm());
    }
    let folder = format!("{}-{}", wall.stamp(), ready.arm.entry.name);
    let folder = record::create_folder(&config.run.records, &folder)?;
    let tokenizer = basis.tokenizer;
    let mut header = header(
        config,
        ready.arm,
        &ready.info,
        tokenizer,
        &plan,
        style,
        wall.utc(),
    );
    header.chat_template = basis.template.map(|template| template.origin().to_owned());
    header.prompt_parting = parting;
    basis.known.enter(&mut header);
    runner.run(&plan, &header, &folder).await?;
    let mut run = record::load(&folder)?;
    run.recount = recount(&run, tokenizer);
    record::save_recount(&folder, &run.recount)?;
    Ok(Measured { folder, run })
}

/// Everything that comes before the clock. Gives the place where the server's
/// tokens of a rendered prompt leave the plan's.
async fn prepare(
    runner: &Runner,
    plan: &mut Plan,
    name: &str,
    basis: Basis<'_>,
) -> Result<Option<String>> {
    let _busy = Show::busy(&format!("{name}: counting prompts, warming up"));
    runner.ask_prompt_tokens(plan).await?;
    let parting = match basis.template {
        Some(_) => chat::parting(runner.aside.as_ref(), plan, basis.tokenizer).await,
        None => None,
    };
    runner.warm_up(plan).await?;
    Ok(parting)
}

/// Counts the answers' texts with the workload's tokenizer, on all cores. A text
/// that it cannot read has no count, which the report will say.
fn recount(run: &Run, tokenizer: &Tokenizer) -> Recount {
    let answers: Vec<&Record> = run
        .records
        .iter()
        .chain(&run.lead_in)
        .filter(|record| record.is_ok() && run.header.answer == "text")
        .collect();
    let texts: Vec<&str> = answers
        .iter()
        .flat_map(|record| {
            let first = record.text.get(..record.first_text_bytes);
            [record.text.as_str(), first.unwrap_or_default()]
        })
        .collect();
    let counts: Vec<Option<u32>> = match tokenizer.count_answers(&texts) {
        Ok(counts) => counts.into_iter().map(Some).collect(),
        Err(_) => texts
            .iter()
            .map(|text| tokenizer.count_answer(text).ok())
            .collect(),
    };
    let counted = answers
        .iter()
        .zip(counts.chunks_exact(2))
        .filter_map(|(record, counts)| match counts {
            [Some(all), Some(first)] => Some((record.key(), *all, *first)),
            _ => None,
        });
    let mut recount = Recount::default();
    if run.header.experiment.is_some() {
        recount.in_blocks = counted.collect();
    } else {
        recount.answers = counted
            .map(|(key, all, first)| (key.index, all, first))
            .collect();
    }
    recount
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
