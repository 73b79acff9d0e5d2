//! Runs a plan against one backend: asks the server what has to be known
//! before, warms up, starts all slots at one moment, waits for the last.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::time::Duration;

use anyhow::{Result, bail};
use backends::{Backend, Clock, Error, ErrorKind, ServerCounters, Timers};
use futures_util::{StreamExt, stream};

use super::cpu::{Shares, ThreadTimes};
use super::silence::{Limits, Patrol, Post};
use super::slot::Shared;
use super::steady::Steady;
use super::stretch::Lined;
use super::team::{StartLine, slots_of};
use super::watch::Watch;
use super::{Ids, Progress, Seat, Show, Stop};
use crate::plan::{Placed, Plan};
use crate::record::{Door, Record, Recorder, RunEnd, RunHeader};

/// Requests at once when the server is asked to count prompts: quick on a
/// server with a few preprocessing instances, no storm.
const COUNTING_AT_ONCE: usize = 16;

/// Longest wait for a server's own counters.
const COUNTERS_WITHIN: Duration = Duration::from_secs(5);

/// One backend about to be measured.
pub struct Runner {
    /// Who is asked what is not timed.
    pub aside: Arc<dyn Backend>,
    /// The client's threads, each with a client of its own; at least one.
    pub seats: Vec<Seat>,
    /// The one clock.
    pub clock: Clock,
    /// How long a request may be silent.
    pub limits: Limits,
    /// The wish to stop.
    pub stop: Stop,
    /// Where ids of requests come from.
    pub ids: Ids,
    /// Over which a run's slots start, evenly; zero: all at once.
    pub ramp: Duration,
    /// The servers run in this process: its threads then wait for each other.
    pub embedded: bool,
    /// Hears, at most once, that the client falls behind while a run goes.
    pub warn: fn(&str),
}

impl Runner {
    /// Asks the server for its own count of each prompt's tokens, where its
    /// answers will not carry it. Before the run, never timed.
    ///
    /// # Errors
    /// The server's refusal, with the prompt's place in the plan: a prompt that
    /// the server does not count it will not answer either.
    pub async fn ask_prompt_tokens(&self, plan: &mut Plan) -> Result<(), Error> {
        let backend = self.aside.as_ref();
        let mut counts = stream::iter(plan.jobs.iter().enumerate())
            .map(|(at, job)| async move { (at, backend.prompt_tokens(&job.request).await) })
            .buffer_unordered(COUNTING_AT_ONCE);
        let mut found = Vec::with_capacity(plan.jobs.len());
        while let Some((at, count)) = counts.next().await {
            let count = count.map_err(|error| Error {
                message: format!("while counting the tokens of prompt {at}: {error}"),
                ..error
            })?;
            match count {
                Some(tokens) => found.push((at, tokens)),
                // A backend that does not know one does not know any.
                None => break,
            }
        }
        drop(counts);
        for (at, tokens) in found {
            plan.set_server_prompt_tokens(at, tokens);
        }
        Ok(())
    }

    /// Opens the connections, sends the plan's warm-up requests and forgets
    /// what came.
    ///
    /// # Errors
    /// When a connection cannot be opened, or every warm-up request failed:
    /// then the run would fail, too.
    pub async fn warm_up(&self, plan: &Plan) -> Result<()> {
        self.warm(plan.concurrency).await?;
        if plan.warmup.is_empty() {
            return Ok(());
        }
        let (door, records) = Door::to_memory(u64::MAX);
        let shared = self.shared(Placed::all(&plan.warmup), plan.concurrency);
        let patrol = self.patrol(&shared);
        StartLine::of(&self.seats, &Arc::new(shared), &door)
            .await
            .run(self.clock)
            .await;
        drop((door, patrol));
        let mut failures = records.records();
        failures.retain(|record: &Record| !record.is_ok());
        match failures.first() {
            Some(first) if failures.len() == plan.warmup.len() && !self.stop.is_wished() => bail!(
                "all {} warm-up requests failed, the first with: {}",
                failures.len(),
                first.error.as_deref().unwrap_or("no words")
            ),
            _ => Ok(()),
        }
    }

    /// Opens what `slots` requests at once will use, on every thread its share,
    /// all threads at once.
    pub(super) async fn warm(&self, slots: u32) -> Result<(), Error> {
        let warmings = self.seats.iter().enumerate().map(|(place, seat)| {
            let backend = Arc::clone(&seat.backend);
            let share = slots_of(place, self.seats.len(), slots).count();
            seat.thread.spawn(async move {
                // Each client has to know its server before the clock.
                backend.probe().await?;
                backend.warm(u32::try_from(share).unwrap_or(u32::MAX)).await
            })
        });
        for warming in warmings.collect::<Vec<_>>() {
            warming.await.map_err(|_| {
                Error::new(
                    ErrorKind::Connect,
                    "a client thread failed while it opened connections; please report it as a bug",
                )
            })??;
        }
        Ok(())
    }

    /// Runs the plan and leaves its records in `folder`.
    ///
    /// # Errors
    /// When the records cannot be written. A server that fails is no error
    /// here: it is what the records say.
    pub async fn run(&self, plan: &Plan, header: &RunHeader, folder: &Path) -> Result<RunEnd> {
        let recorder = Recorder::create(folder, header)?;
        let shared = self.shared(Placed::all(&plan.jobs), plan.concurrency);
        let shared = Shared {
            ramp: self.ramp,
            ..shared
        };
        let total = u64::try_from(plan.jobs.len()).unwrap_or_default();
        let progress = shared.progress.clone();
        let show = Show::start(&header.backend, total, &progress);
        let lined = Lined::up(self, shared, recorder.door()).await;
        let before = ThreadTimes::now();
        let watch = Watch::start(self.clock, &progress, self.embedded, self.warn);
        let mut gone = lined.go(self).await;
        let threads = ThreadTimes::now().since(&before);
        drop((watch, show));
        let end = RunEnd {
            interrupted: self.stop.is_wished(),
            span_ns: gone.end_ns.saturating_sub(gone.start_ns),
            server_counters: gone.server_counters(self).await,
            waited_for_disk: gone.shared.waited_for_disk(),
            lost_slots: gone.shared.lost_slots(),
            ..Shares::end(threads.shares())
        };
        recorder.finish(&end).await?;
        Ok(end)
    }

    /// The server's counters, if it hands them out soon. Nobody who wants to
    /// stop waits for them.
    pub(super) async fn counters(&self) -> Option<ServerCounters> {
        if self.stop.is_wished() {
            return None;
        }
        let counters = self.aside.server_counters();
        tokio::time::timeout(COUNTERS_WITHIN, counters)
            .await
            .ok()?
            .ok()?
    }

    pub(super) fn patrol(&self, shared: &Shared) -> Patrol {
        Patrol::start(
            self.clock,
            self.limits,
            Arc::clone(&shared.posts),
            self.stop.clone(),
        )
    }

    /// What the slots of a run, or of a block, share: one slot per request in
    /// flight, no more than there are requests.
    pub(super) fn shared(&self, jobs: Vec<Placed>, concurrency: u32) -> Shared {
        let slots = u32::try_from(jobs.len())
            .unwrap_or(u32::MAX)
            .min(concurrency);
        Shared {
            first_id: self.ids.take(jobs.len()),
            jobs,
            block: 0,
            slots,
            next: AtomicUsize::new(usize::try_from(slots).unwrap_or(usize::MAX)),
            waited_for_disk: AtomicU32::new(0),
            lost_slots: AtomicU32::new(0),
            ramp: Duration::ZERO,
            clock: self.clock,
            timers: Timers::here(),
            posts: (0..slots).map(|_| Post::default()).collect(),
            stop: self.stop.clone(),
            progress: Progress::default(),
            steady: Steady::default(),
        }
    }
}
