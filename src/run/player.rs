//! One arm of a comparison: plays block after block over connections that stay
//! open, and keeps its records. Knows its own arm only.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::cpu::{Shares, ThreadTimes};
use super::slot::Shared;
use super::stretch::{Gone, Lined};
use super::{Progress, Runner};
use crate::plan::{Plan, Schedule};
use crate::record::{Block, Experiment, Recorder, RunEnd, RunHeader};

/// An arm whose server is known, warmed up and about to be measured.
pub struct Player {
    pub(super) runner: Runner,
    plan: Plan,
    header: RunHeader,
    recorder: Recorder,
    played: Played,
}

/// What the blocks add up to. Between its blocks an arm is idle, and others use
/// the same threads: that is no time of its own.
#[derive(Default)]
struct Played {
    blocks: u32,
    cut: bool,
    span_ns: u64,
    threads: ThreadTimes,
    server_counters: BTreeMap<String, f64>,
    waited_for_disk: u32,
    lost_slots: u32,
}

impl Player {
    /// Opens the records in `folder`. The plan is as the arm's server counts it,
    /// and the runner has warmed it up.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn begin(runner: Runner, plan: Plan, header: RunHeader, folder: &Path) -> Result<Self> {
        Ok(Self {
            recorder: Recorder::create(folder, &header)?,
            played: Played::default(),
            runner,
            plan,
            header,
        })
    }

    /// What the arm is called.
    pub(super) fn name(&self) -> &str {
        &self.header.backend
    }

    /// Requests in flight.
    pub(super) fn concurrency(&self) -> u32 {
        self.plan.concurrency
    }

    /// Brings a block to the start.
    pub(super) async fn line_up(
        &self,
        schedule: &Schedule,
        number: u32,
        progress: &Progress,
    ) -> Lined {
        let jobs = schedule.block(&self.plan, number);
        let slots = schedule.slots(self.plan.concurrency);
        let shared = Shared {
            block: number,
            ramp: self.runner.ramp,
            progress: progress.clone(),
            ..self.runner.shared(jobs, slots)
        };
        Lined::up(&self.runner, shared, self.recorder.door()).await
    }

    /// Keeps a block that was played in this `turn`, while the client's threads
    /// had `threads`.
    pub(super) async fn keep(
        &mut self,
        mut gone: Gone,
        turn: u32,
        threads: &ThreadTimes,
    ) -> Result<()> {
        let shared = &gone.shared;
        let own = shared.jobs.iter().filter(|placed| !placed.lead_in).count();
        let through = shared.steady.through();
        let (steady_from_ns, steady_to_ns) = shared.steady.window_ns(gone.end_ns);
        let block = Block {
            number: shared.block,
            turn,
            start_ns: gone.start_ns,
            steady_from_ns,
            steady_to_ns,
            end_ns: gone.end_ns,
            client_cpu_ns: threads.shares().map(|shares| shares.all.cpu_ns),
            cut: self.runner.stop.is_wished() && through < u64::try_from(own).unwrap_or(u64::MAX),
            server_counters: gone.server_counters(&self.runner).await,
        };
        self.played.add(&block, threads);
        self.played.waited_for_disk += gone.shared.waited_for_disk();
        self.played.lost_slots += gone.shared.lost_slots();
        self.recorder.block(&block).await
    }

    /// Ends the arm's records. `settle` enters into the header what was settled
    /// meanwhile; `stopped`: the user wanted no more blocks.
    ///
    /// # Errors
    /// When the records could not be written.
    pub(super) async fn finish(
        mut self,
        block_requests: u32,
        stopped: bool,
        settle: impl FnOnce(&mut Experiment),
    ) -> Result<()> {
        if let Some(experiment) = &mut self.header.experiment {
            settle(experiment);
        }
        let requests = self.played.blocks.saturating_mul(block_requests);
        // Who was stopped owes the rest; otherwise what was played was the plan.
        self.header.num_prompts = match stopped {
            true => self.header.num_prompts.max(requests),
            false => requests,
        };
        let settled = self.recorder.settle(&self.header).await;
        let missing = self.played.cut || requests < self.header.num_prompts;
        let played = self.played;
        let end = RunEnd {
            interrupted: stopped && missing,
            span_ns: played.span_ns,
            server_counters: played.server_counters,
            waited_for_disk: played.waited_for_disk,
            lost_slots: played.lost_slots,
            ..Shares::end(played.threads.shares())
        };
        // The first trouble, but the end in any case.
        let finished = self.recorder.finish(&end).await;
        settled.and(finished)
    }

    /// The arm's plan has so many requests by now, in so many blocks. Written
    /// down at once: a run that dies owes them.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(super) async fn plans(&mut self, requests: u32, blocks: u32) -> Result<()> {
        self.header.num_prompts = requests;
        if let Some(experiment) = &mut self.header.experiment {
            experiment.blocks_wanted = Some(blocks);
        }
        self.recorder.settle(&self.header).await
    }
}

impl Played {
    fn add(&mut self, block: &Block, threads: &ThreadTimes) {
        self.blocks += 1;
        self.cut |= block.cut;
        self.span_ns += block.end_ns.saturating_sub(block.start_ns);
        self.threads.add(threads);
        for (name, value) in &block.server_counters {
            *self.server_counters.entry(name.clone()).or_default() += value;
        }
    }
}

impl std::fmt::Debug for Player {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Player")
            .field("arm", &self.name())
            .finish_non_exhaustive()
    }
}
