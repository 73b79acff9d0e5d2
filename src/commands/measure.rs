//! What `profile` and `compare` share: from a configuration to finished runs,
//! read back from their folders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Error, Result, bail, ensure};
use backends::Clock;

use super::arms::{self, Ready};
use super::experiment::{self, Design};
use super::floor::Known;
use super::header::header;
use super::{advise, asked, chat, farewell};
use crate::config::{Arm, Config};
use crate::plan::{self, Plan, Settings};
use crate::record::{self, Record, Recount, Run, RunHeader};
use crate::report;
use crate::run::{Crew, Ids, Limits, Runner, Show, Stop, Wall, make_room};
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
    /// Why they did not come to their end, unless the user stopped.
    pub(super) trouble: Option<Error>,
}

/// Measures the arms, all with the same plan: one by itself, several block by
/// block. What has been measured is never lost to a later trouble.
///
/// # Errors
/// Whatever keeps an arm from being measured at all.
pub(super) fn measure(config: &Config) -> Result<Outcome> {
    experiment::check(&config.judgement)?;
    experiment::check_arms(&config.judgement, &config.arms)?;
    make_folder_of(&config.run.csv, &config.run.records)?;
    report::csv::check(&config.run.csv)?;
    record::check_parent(&config.run.records)?;
    let tokenizer = Arc::new(asked::tokenizer(&config.work.data)?);
    let needing = config.arms.iter().find(|arm| !arm.entry.applies_template);
    let needing = needing.map(|arm| format!("backend {}", arm.entry.name));
    let template = chat::template(&config.work, needing.as_deref())?;
    let clock = Clock::start();
    let servers = arms::embedded(config, &tokenizer, template.as_ref(), clock)?;
    make_room(connections(config))?;
    // This thread directs; requests run on the crew's.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let inside = runtime.enter();
    let crew = Crew::start(config.run.client_threads)?;
    drop(inside);
    let known = Known::of(config);
    let wall = Wall::now();
    let scene = Scene {
        config,
        tokenizer: &tokenizer,
        template: template.as_deref(),
        known: &known,
        clock,
        ids: Ids::from(wall.first_id()),
        wall,
        stop: Stop::default(),
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = all(&scene, servers, &crew) => outcome,
            () = scene.stop.quit() => bail!(
                "quit by the user; what had finished is in {}, see `pairbench report`",
                config.run.records.display()
            ),
        }
    });
    // Its threads wait by this runtime's timers.
    drop(crew);
    runtime.shutdown_background();
    outcome
}

/// Makes the folder that `file` is to lie in, if it is missing and one that the
/// raw records are about to make: everything of a run in one new place. Any other
/// missing folder may be a slip of the pen and is not made.
///
/// # Errors
/// When the folder of raw records cannot be made.
pub(super) fn make_folder_of(file: &Path, records: &Path) -> Result<()> {
    let whole = |path: &Path| std::path::absolute(path).ok();
    let folder = file.parent().and_then(whole);
    let ours = folder.zip(whole(records));
    if ours.is_some_and(|(folder, records)| !folder.exists() && records.starts_with(&folder)) {
        record::check_parent(records)?;
        std::fs::create_dir_all(records)
            .with_context(|| format!("cannot make the folder {}", records.display()))?;
    }
    Ok(())
}

/// Connections that are open at once: those of all arms, to their blocks' ends,
/// each thread with a client of its own; an embedded server has its ends of them
/// in this process, too.
fn connections(config: &Config) -> u64 {
    let threads = u64::try_from(config.run.client_threads).unwrap_or(1);
    let of_arm = |arm: &Arm| {
        let most = arm.entry.connections.most(config.run.concurrency) + threads;
        most * (1 + u64::from(arm.is_embedded()))
    };
    config.arms.iter().map(of_arm).sum()
}

/// What all runs stand on.
pub(super) struct Scene<'a> {
    pub(super) config: &'a Config,
    /// What makes tokens of conversations.
    pub(super) tokenizer: &'a Tokenizer,
    /// The chat template, where prompts are rendered.
    template: Option<&'a ChatTemplate>,
    /// What the client knows of its own delay.
    known: &'a Known,
    /// The one clock.
    pub(super) clock: Clock,
    ids: Ids,
    /// When all this began.
    pub(super) wall: Wall,
    pub(super) stop: Stop,
}

/// An arm that only has to be let go.
pub(super) struct Prepared {
    pub(super) runner: Runner,
    pub(super) plan: Plan,
    pub(super) header: RunHeader,
}

impl Prepared {
    /// A new folder for its records.
    pub(super) fn folder(&self, scene: &Scene<'_>) -> Result<PathBuf> {
        let name = format!("{}-{}", scene.wall.stamp(), self.header.backend);
        record::create_folder(&scene.config.run.records, &name)
    }
}

async fn all(scene: &Scene<'_>, servers: Vec<Option<Embedded>>, crew: &Crew) -> Result<Outcome> {
    let config = scene.config;
    let mut ready = Vec::new();
    for (arm, server) in config.arms.iter().zip(servers) {
        ready.push(arms::probe(arm, server, config.run.concurrency, crew).await?);
    }
    let (plan, style) = scene.plan()?;
    let design = match &config.experiment {
        Some(experiment) => Some(Design::of(experiment, scene, &plan)?),
        None => None,
    };
    // Up to here Ctrl-C simply ends the process: there is nothing to be kept.
    scene.stop.listen(farewell)?;
    let mut prepared = Vec::new();
    for (place, arm) in (0..).zip(&ready) {
        let mut arm = scene.prepare(arm, plan.clone(), &style).await?;
        if let Some(design) = &design {
            design.enter(&mut arm.header, place);
        }
        prepared.push(arm);
    }
    match design {
        Some(design) => design.play(scene, prepared).await,
        None => alone(scene, prepared).await,
    }
}

/// Runs of one arm each, without blocks.
async fn alone(scene: &Scene<'_>, prepared: Vec<Prepared>) -> Result<Outcome> {
    let mut measured = Vec::new();
    for arm in prepared {
        let folder = arm.folder(scene)?;
        let ended = arm.runner.run(&arm.plan, &arm.header, &folder).await;
        let kept = scene.finished(folder);
        let Err(trouble) = ended else {
            measured.push(kept?);
            continue;
        };
        let Ok(kept) = kept else {
            // Not even its beginning could be written.
            return Err(trouble);
        };
        measured.push(kept);
        return Ok(Outcome {
            measured,
            trouble: Some(trouble),
        });
    }
    Ok(Outcome {
        measured,
        trouble: None,
    })
}

impl Scene<'_> {
    /// The plan, and the rule by which its prompts were chosen.
    fn plan(&self) -> Result<(Plan, String)> {
        let work = &self.config.work;
        let asked = asked::choose(work, self.tokenizer, self.template)?;
        let settings = Settings {
            sampling: work.sampling,
            prompt_mode: work.prompt_mode,
            stream: work.stream,
            concurrency: self.config.run.concurrency,
            warmup: self.config.run.warmup,
        };
        Ok((plan::plan(&asked.workload.prompts, settings), asked.style()))
    }

    /// Everything of an arm that comes before the clock.
    async fn prepare(&self, ready: &Ready<'_>, mut plan: Plan, style: &str) -> Result<Prepared> {
        let run = &self.config.run;
        let runner = Runner {
            aside: Arc::clone(&ready.aside),
            seats: ready.seats.clone(),
            clock: self.clock,
            limits: Limits {
                first_token: run.first_token_timeout,
                between_tokens: run.token_timeout,
            },
            stop: self.stop.clone(),
            ids: self.ids.clone(),
            ramp: run.ramp,
            embedded: self.config.arms.iter().any(Arm::is_embedded),
            warn: advise,
        };
        let of_arm = || ready.name();
        let mut parting = None;
        tokio::select! {
            warmed = self.warm_up(&runner, &mut plan, ready.arm.entry.name) => {
                parting = warmed.with_context(of_arm)?;
            }
            () = self.stop.wished() => {}
        }
        if let Some(words) = &parting {
            advise(&format!(
                "{}: the server makes other tokens of a prompt: {words}",
                of_arm()
            ));
        }
        if self.stop.is_wished() {
            bail!("{}: stopped by the user before its first request", of_arm());
        }
        let mut header = header(
            self.config,
            ready.arm,
            &ready.info,
            self.tokenizer,
            &plan,
            style,
            self.wall.utc(),
        );
        header.chat_template = self.template.map(|template| template.origin().to_owned());
        header.prompt_parting = parting;
        self.known.enter(&mut header);
        Ok(Prepared {
            runner,
            plan,
            header,
        })
    }

    /// Has prompts counted and warms up. Gives the place where the server's
    /// tokens of a rendered prompt leave the plan's.
    async fn warm_up(
        &self,
        runner: &Runner,
        plan: &mut Plan,
        name: &str,
    ) -> Result<Option<String>> {
        let _busy = Show::busy(&format!("{name}: counting prompts, warming up"));
        runner.ask_prompt_tokens(plan).await?;
        let parting = match self.template {
            Some(_) => chat::parting(runner.aside.as_ref(), plan, self.tokenizer).await,
            None => None,
        };
        runner.warm_up(plan).await?;
        Ok(parting)
    }

    /// Reads a run back that has ended, and counts its answers' texts. If there is
    /// no room for the counts on the disk, the figures are shown all the same.
    pub(super) fn finished(&self, folder: PathBuf) -> Result<Measured> {
        let mut run = record::load(&folder)?;
        run.recount = recount(&run, self.tokenizer);
        if let Err(error) = record::save_recount(&folder, &run.recount) {
            advise(&format!(
                "the counts of answers' texts are not kept: {error:#}"
            ));
        }
        Ok(Measured { folder, run })
    }
}

/// Counts the answers' texts with the workload's tokenizer, on all cores. A text
/// that it cannot read has no count, which the report will say.
pub(super) fn recount(run: &Run, tokenizer: &Tokenizer) -> Recount {
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
