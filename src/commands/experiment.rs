//! A comparison's experiment: designed from the configuration, played block by
//! block, as many as the wanted precision takes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};

use super::measure::{Outcome, Prepared, Scene, recount};
use super::{advise, tell};
use crate::config::{Arm, ExperimentConfig, Judgement, shared_host};
use crate::plan::{Plan, REQUESTS_PER_SLOT, Schedule, balanced, usual_blocks};
use crate::record::{self, Run, RunHeader};
use crate::run::{End, Experiment, Pace, Player};
use crate::stats::{self, Condition, Metric, PairedBlocks};

/// Largest difference that counts as none where nobody says.
const MARGIN: f64 = stats::DEFAULT_MARGIN;

/// Whether what is to decide exists, found out before anything is measured.
///
/// # Errors
/// Names the metric that there is none of, and those that there are.
pub(super) fn check(judgement: &Judgement) -> Result<()> {
    primary(judgement)?;
    for text in &judgement.fail_if {
        Condition::parse(text)
            .map_err(Error::msg)
            .context("--fail-if")?;
    }
    Ok(())
}

/// The same for the arms that conditions name.
///
/// # Errors
/// Names the arm that there is none of, and those that there are.
pub(super) fn check_arms(judgement: &Judgement, arms: &[Arm]) -> Result<()> {
    let backends: Vec<&str> = arms.iter().map(|arm| arm.entry.name).collect();
    let labels = stats::labels_of(&backends);
    for text in &judgement.fail_if {
        Condition::parse(text)
            .and_then(|condition| condition.check(&labels))
            .map_err(Error::msg)
            .context("--fail-if")?;
    }
    Ok(())
}

/// The metrics that decide; none: the usual one.
pub(super) fn primary(judgement: &Judgement) -> Result<Vec<Metric>> {
    let metric = |name: &String| {
        Metric::of_name(name).with_context(|| {
            let known = Metric::names().join(", ");
            format!("--primary {name}: there is no such metric; take one of {known}")
        })
    };
    judgement.primary.iter().map(metric).collect()
}

/// What is to be played, by whom, and how it is written down.
pub(super) struct Design<'a> {
    config: &'a ExperimentConfig,
    /// Blocks; with a precision asked for, those of the pilot.
    blocks: u32,
    schedule: Schedule,
    /// As all arms' headers have it, but for their places.
    header: record::Experiment,
    primary: Vec<Metric>,
}

impl<'a> Design<'a> {
    /// Cuts the plan into blocks, and warns of what will not count.
    ///
    /// # Errors
    /// When there are fewer prompts than blocks.
    pub(super) fn of(config: &'a ExperimentConfig, scene: &Scene<'_>, plan: &Plan) -> Result<Self> {
        let arms = u32::try_from(scene.config.arms.len())?;
        let jobs = u32::try_from(plan.jobs.len())?;
        let seed = scene.config.work.rules.seed;
        let blocks = blocks(config, jobs, arms, plan);
        let Some(schedule) = Schedule::new(jobs, blocks, arms, seed) else {
            bail!(
                "{jobs} prompts make no {blocks} blocks; raise --num-prompts to {} or more, or \
                 lower --blocks",
                blocks.saturating_mul(wanted_requests(plan))
            );
        };
        warn_of_size(blocks, &schedule, plan);
        warn_of_turns(config, blocks, arms);
        let shared_host = match config.duet {
            true => shared_host(&scene.config.arms),
            false => None,
        };
        if let Some(words) = &shared_host {
            advise(&format!(
                "--duet: {words}: arms that play at the same moment take from each other what \
                 they are measured by; leave --duet out unless each has hardware of its own"
            ));
        }
        let judgement = &scene.config.judgement;
        let primary = primary(judgement)?;
        let id = format!("{}-{}", scene.wall.stamp(), std::process::id());
        Ok(Self {
            header: record::Experiment {
                id,
                arm: 0,
                arms,
                blocks,
                block_requests: schedule.block_requests(),
                duet: config.duet,
                precision: config.precision,
                margin: judgement.margin.unwrap_or(MARGIN),
                max_time_s: config.max_time.map(|limit| limit.as_secs_f64()),
                primary: primary
                    .iter()
                    .map(|metric| metric.name().to_owned())
                    .collect(),
                fail_if: judgement.fail_if.clone(),
                shared_host,
                ..record::Experiment::default()
            },
            config,
            blocks,
            schedule,
            primary: match primary.is_empty() {
                true => vec![Metric::OutputTokensPerS],
                false => primary,
            },
        })
    }

    /// Puts into the header of the arm at `place` what it is an arm of.
    pub(super) fn enter(&self, header: &mut RunHeader, place: u32) {
        header.num_prompts = self.schedule.block_requests() * self.blocks;
        header.experiment = Some(record::Experiment {
            arm: place,
            ..self.header.clone()
        });
    }

    /// Plays all blocks and reads back what came of them.
    ///
    /// # Errors
    /// When no record can be written. Trouble after the first block is told
    /// beside what was measured.
    pub(super) async fn play(self, scene: &Scene<'_>, arms: Vec<Prepared>) -> Result<Outcome> {
        let mut folders = Vec::new();
        let mut players = Vec::new();
        for arm in arms {
            let folder = arm.folder(scene)?;
            players.push(Player::begin(arm.runner, arm.plan, arm.header, &folder)?);
            folders.push(folder);
        }
        let mut experiment = Experiment {
            players,
            schedule: self.schedule,
            duet: self.config.duet,
            max_time: self.config.max_time,
            clock: scene.clock,
            stop: scene.stop.clone(),
            embedded: scene.config.arms.iter().any(Arm::is_embedded),
            warn: advise,
            pace: Pace::default(),
        };
        let mut wanted = None;
        let played = self
            .blocks(scene, &mut experiment, &folders, &mut wanted)
            .await;
        let blocks = experiment.pace.blocks();
        let out_of_time = matches!(played, Ok(End::OutOfTime));
        let finished = experiment.finish(|header| {
            header.blocks_wanted = wanted;
            header.out_of_time = out_of_time;
        });
        let finished = finished.await;
        let trouble = played.err().or(finished.err());
        match trouble {
            Some(trouble) if blocks == 0 => Err(trouble),
            trouble => outcome(scene, folders, trouble),
        }
    }

    /// Plays the blocks, or the pilot and what it asks for.
    async fn blocks(
        &self,
        scene: &Scene<'_>,
        experiment: &mut Experiment,
        folders: &[PathBuf],
        wanted: &mut Option<u32>,
    ) -> Result<End> {
        let mut end = experiment.play(self.blocks).await?;
        if let (End::Done, Some(precision)) = (end, self.config.precision) {
            *wanted = self.blocks_wanted(scene, folders, precision)?;
            let Some(blocks) = *wanted else {
                advise(
                    "--precision: the pilot's blocks lack a figure that decides, so nobody knows \
                     how many more it takes; none are played",
                );
                return Ok(end);
            };
            self.tell_forecast(experiment, blocks, precision);
            experiment.plans(blocks).await?;
            end = experiment.play(blocks).await?;
        }
        if end == End::OutOfTime {
            let (played, arms) = (experiment.pace.blocks(), self.header.arms);
            tell(&out_of_time(played, arms, self.config.duet));
        }
        Ok(end)
    }

    /// Blocks in all that the pilot asks for (Stein's two stages).
    fn blocks_wanted(
        &self,
        scene: &Scene<'_>,
        folders: &[PathBuf],
        precision: f64,
    ) -> Result<Option<u32>> {
        let read = |folder: &PathBuf| {
            let mut run = record::load(folder)?;
            run.recount = recount(&run, scene.tokenizer);
            Ok(run)
        };
        let runs: Vec<Run> = folders.iter().map(read).collect::<Result<_>>()?;
        let runs: Vec<&Run> = runs.iter().collect();
        Ok(PairedBlocks::of(&runs).needed(&self.primary, precision))
    }

    fn tell_forecast(&self, experiment: &Experiment, blocks: u32, precision: f64) {
        let pace = experiment.pace;
        let more = blocks.saturating_sub(pace.blocks());
        let names: Vec<&str> = self.primary.iter().map(|metric| metric.name()).collect();
        let what = format!("{} to {}%", names.join(", "), shown(precision * 100.0));
        if more == 0 {
            return tell(&format!(
                "the pilot's {blocks} blocks are enough for {what}\n"
            ));
        }
        let time = pace.forecast(more).unwrap_or_default();
        tell(&format!(
            "after {} blocks: {blocks} in all for {what}; {more} more, about {}\n",
            pace.blocks(),
            about(time)
        ));
        let fitting = experiment
            .max_time
            .and_then(|limit| pace.blocks_within(limit, experiment.clock.now_ns()));
        if let Some(fitting) = fitting.filter(|fitting| *fitting < more) {
            advise(&format!(
                "--max-time has room for {fitting} of these {more} blocks; the interval will be \
                 wider than asked for"
            ));
        }
    }
}

/// A number without zeros that say nothing: `2`, `0.5`.
fn shown(number: f64) -> String {
    let long = format!("{number:.4}");
    long.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// How long something will take, no more exact than a forecast is.
fn about(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..1.5 => "a second".to_owned(),
        ..99.5 => format!("{seconds:.0} seconds"),
        ..5_970.0 => format!("{:.0} minutes", seconds / 60.0),
        _ => format!("{:.1} hours", seconds / 3600.0),
    }
}

/// Requests that a block is to have (rule 5).
fn wanted_requests(plan: &Plan) -> u32 {
    plan.concurrency.saturating_mul(REQUESTS_PER_SLOT)
}

/// How many blocks: as many as the user says; the pilot's where a precision is
/// asked for; else the usual number. Arms that play at the same moment take no
/// turns that would have to be shared out.
fn blocks(config: &ExperimentConfig, jobs: u32, arms: u32, plan: &Plan) -> u32 {
    match config.blocks {
        Some(blocks) => blocks,
        None if config.precision.is_some() => stats::PILOT_BLOCKS,
        None if config.duet => usual_blocks(jobs, 1, wanted_requests(plan)),
        None => usual_blocks(jobs, arms, wanted_requests(plan)),
    }
}

/// Warns of a number of blocks in which some arms have some turns more often than
/// others. What a precision takes is balanced by itself.
fn warn_of_turns(config: &ExperimentConfig, blocks: u32, arms: u32) {
    let whole = balanced(blocks, arms);
    if whole != blocks && !config.duet && config.precision.is_none() {
        advise(&format!(
            "{blocks} blocks are no multiple of the {arms} arms: some arms play first more often \
             than others, so that a machine that gets slower or faster does not do so for all \
             alike; take --blocks {whole}"
        ));
    }
}

/// What is said when --max-time ends a comparison.
fn out_of_time(played: u32, arms: u32, duet: bool) -> String {
    let were = if played == 1 { "was" } else { "were" };
    let turns = match duet || balanced(played, arms) == played {
        true => "",
        false => ", which is no multiple of the arms: some played first more often than others",
    };
    format!("no time for another block within --max-time; {played} {were} played{turns}\n")
}

fn warn_of_size(blocks: u32, schedule: &Schedule, plan: &Plan) {
    let (requests, wanted) = (schedule.block_requests(), wanted_requests(plan));
    let left_over = plan.jobs.len() - usize::try_from(schedule.used_jobs()).unwrap_or(0);
    if left_over > 0 {
        tell(&format!(
            "{blocks} blocks of {requests} requests; {left_over} of {} prompts are left over and \
             not asked\n",
            plan.jobs.len()
        ));
    }
    if requests < wanted {
        advise(&format!(
            "a block has {requests} requests, fewer than {REQUESTS_PER_SLOT} for each of the {} in \
             flight, and will not count (rule 5); raise --num-prompts to {} or more, or lower \
             --concurrency or --blocks",
            plan.concurrency,
            blocks.saturating_mul(wanted)
        ));
    }
}

/// Reads the arms back, those too that were stopped early.
fn outcome(scene: &Scene<'_>, folders: Vec<PathBuf>, trouble: Option<Error>) -> Result<Outcome> {
    let measured = folders.into_iter().map(|folder| scene.finished(folder));
    Ok(Outcome {
        measured: measured.collect::<Result<_>>()?,
        trouble,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{about, check, out_of_time, shown};
    use crate::config::Judgement;

    #[test]
    fn a_forecast_says_seconds_minutes_or_hours() {
        for (seconds, words) in [
            (0.2, "a second"),
            (12.4, "12 seconds"),
            (99.0, "99 seconds"),
            (100.0, "2 minutes"),
            (5_940.0, "99 minutes"),
            (9_000.0, "2.5 hours"),
        ] {
            assert_eq!(about(Duration::from_secs_f64(seconds)), words);
        }
    }

    #[test]
    fn a_comparison_that_time_ends_says_whether_turns_are_equal() {
        for (played, arms, duet, words) in [
            (1, 2, false, "1 was played, which is no multiple of the"),
            (4, 2, false, "4 were played\n"),
            (3, 2, true, "3 were played\n"),
        ] {
            let said = out_of_time(played, arms, duet);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_metric_that_there_is_not_is_found_out_early() {
        let named = |name: &str| Judgement {
            primary: vec![name.to_owned()],
            ..Judgement::default()
        };
        for good in ["throughput", "ttft_p99", "RPS"] {
            check(&named(good)).expect(good);
        }
        let error = format!("{:#}", check(&named("speed")).expect_err("unknown"));
        assert!(
            error.contains("speed") && error.contains("ttft_p99"),
            "{error}"
        );
    }

    #[test]
    fn percents_are_short() {
        for (number, words) in [(2.0, "2"), (0.5, "0.5"), (12.25, "12.25"), (10.0, "10")] {
            assert_eq!(shown(number), words);
        }
    }
}
