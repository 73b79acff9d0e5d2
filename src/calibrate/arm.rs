//! One backend against our own server: its clients on the client's threads, a
//! plan of made-up requests, one run of it, and the server's book of that run.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use backends::yardstick::Pace;
use backends::{Backend, Clock, Entry, PromptMode, Request, Sampling, Target};

use super::join::{Joined, join};
use super::places::Places;
use super::settings::Settings;
use super::{YardOptions, YardProcess};
use crate::plan::{Job, Plan};
use crate::record::{self, RunEnd, RunHeader};
use crate::run::{Crew, Ids, Limits, Runner, Seat, Stop};

/// Longest wait for anything of a server on this machine.
const WITHIN: Duration = Duration::from_secs(30);

/// Tokens of a warm-up request.
const WARMUP_TOKENS: u32 = 4;

/// How often one run is played at most in which the host of a virtual machine had a core.
pub(super) const GOES: u32 = 12;

/// Ids of each prompt: any that a byte tokenizer has.
const PROMPT_IDS: u32 = 16;

/// A backend, connected.
pub(super) struct Arm {
    entry: &'static Entry,
    aside: Arc<dyn Backend>,
    seats: Vec<Seat>,
}

impl Arm {
    pub(super) fn name(&self) -> &'static str {
        self.entry.name
    }
}

/// What all runs of an experiment share.
pub(super) struct Play<'a> {
    pub(super) settings: &'a Settings,
    pub(super) clock: Clock,
    pub(super) stop: &'a Stop,
    pub(super) crew: &'a Crew,
    /// First id that no request has had.
    pub(super) next_id: u64,
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

    /// Makes a backend's clients of the servers.
    pub(super) fn arm(&self, entry: &'static Entry, yard: &YardProcess) -> Result<Arm> {
        let of_arm = || format!("--backend {}", entry.name);
        let wire = entry
            .yardstick
            .context("our own servers have no paced answers for it")
            .with_context(of_arm)?;
        let target = Target {
            address: yard.address(wire).to_owned(),
            model: None,
            api_key: None,
            tls: backends::Tls::default(),
            prompt_mode: PromptMode::Raw,
            connect_timeout: WITHIN,
            probe_timeout: WITHIN,
        };
        let connect = || (entry.connect)(target.clone());
        Ok(Arm {
            entry,
            aside: connect().with_context(of_arm)?,
            seats: self.crew.seats(connect).with_context(of_arm)?,
        })
    }

    /// Warms up, runs the plan, and joins its records with the server's book.
    /// `shown` is what a terminal calls it.
    pub(super) async fn run(
        &mut self,
        arm: &Arm,
        plan: &Plan,
        yard: &mut YardProcess,
        pace: Pace,
        ramp: Duration,
        shown: &str,
    ) -> Result<(Joined, RunEnd)> {
        let count = |jobs: &[Job]| u64::try_from(jobs.len()).unwrap_or(u64::MAX);
        let first_id = self.next_id.saturating_add(count(&plan.warmup));
        let runner = Runner {
            aside: Arc::clone(&arm.aside),
            seats: arm.seats.clone(),
            clock: self.clock,
            limits: Limits {
                first_token: WITHIN,
                between_tokens: WITHIN,
            },
            stop: self.stop.clone(),
            ids: Ids::from(self.next_id),
            ramp,
            // What it would say is said by the figures.
            embedded: false,
            warn: |_| {},
        };
        self.next_id = first_id.saturating_add(count(&plan.jobs));
        runner.warm_up(plan).await?;
        // What the warm-up left in the book.
        yard.take()?;
        let folder = tempfile::tempdir().context("no temporary folder for the records")?;
        let header = RunHeader {
            format: record::FORMAT,
            backend: shown.to_owned(),
            ..RunHeader::default()
        };
        let end = runner.run(plan, &header, folder.path()).await?;
        if self.stop.is_wished() {
            anyhow::bail!("stopped by the user; nothing is stored");
        }
        let run = record::load(folder.path())?;
        let joined = join(&run.records, &yard.take()?, first_id, pace)?;
        Ok((joined, end))
    }
}

/// A closed loop of made-up requests: `per_slot` for each of `concurrency`
/// slots, and one short one before them.
pub(super) fn plan(concurrency: u32, per_slot: u32, output_tokens: u32) -> Plan {
    let jobs: Vec<Job> = (0..concurrency.saturating_mul(per_slot))
        .map(|index| job(index, output_tokens))
        .collect();
    let slots = usize::try_from(concurrency).unwrap_or(usize::MAX);
    let mut warmup: Vec<Job> = jobs.iter().take(slots).cloned().collect();
    for job in &mut warmup {
        job.request.output_tokens = output_tokens.min(WARMUP_TOKENS);
    }
    Plan {
        jobs,
        warmup,
        concurrency,
        digest: "calibration".to_owned(),
    }
}

fn job(index: u32, output_tokens: u32) -> Job {
    let ids = (0..PROMPT_IDS).map(|place| 1 + (index.wrapping_add(place) % 200));
    Job {
        request: Request {
            id: 0,
            slot: 0,
            prompt: Arc::from(format!("prompt {index} of a calibration")),
            turn: None,
            token_ids: ids.collect(),
            server_prompt_tokens: Some(PROMPT_IDS),
            output_tokens,
            sampling: Sampling::default(),
            stream: true,
            prompt_mode: PromptMode::Raw,
            wire: None,
        },
        prompt_tokens: PROMPT_IDS,
    }
}

#[cfg(test)]
mod tests {
    use super::plan;

    #[test]
    fn every_slot_has_its_requests_and_a_short_one_before() {
        let plan = plan(3, 2, 100);
        assert_eq!((plan.jobs.len(), plan.warmup.len()), (6, 3));
        assert!(plan.jobs.iter().all(|job| job.request.output_tokens == 100));
        assert!(plan.warmup.iter().all(|job| job.request.output_tokens == 4));
        assert!(plan.jobs.iter().all(|job| job.request.stream));
    }
}
