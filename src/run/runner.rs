//! Runs a plan against one backend: asks the server what has to be known
//! before, warms up, starts all slots at one moment, waits for the last.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Result, bail};
use backends::{Backend, Clock, Error, ServerCounters};
use futures_util::{StreamExt, stream};

use super::cpu::{Shares, ThreadTimes};
use super::slot::{self, Limits, Shared};
use super::{Progress, Show, Stop};
use crate::plan::{Job, Plan};
use crate::record::{Record, Recorder, RunEnd, RunHeader};

/// Requests at once when the server is asked to count prompts: quick on a
/// server with a few preprocessing instances, no storm.
const COUNTING_AT_ONCE: usize = 16;

/// Longest wait for a server's own counters.
const COUNTERS_WITHIN: Duration = Duration::from_secs(5);

/// One backend about to be measured.
pub struct Runner {
    /// Who is asked.
    pub backend: Arc<dyn Backend>,
    /// The one clock.
    pub clock: Clock,
    /// How long a request may be silent.
    pub limits: Limits,
    /// The wish to stop.
    pub stop: Stop,
    /// Ids of requests count up from here; see [`super::Wall::first_id`].
    pub first_id: u64,
}

impl Runner {
    /// Asks the server for its own count of each prompt's tokens, where its
    /// answers will not carry it. Before the run, never timed.
    ///
    /// # Errors
    /// The server's refusal, with the prompt's place in the plan: a prompt that
    /// the server does not count it will not answer either.
    pub async fn ask_prompt_tokens(&self, plan: &mut Plan) -> Result<(), Error> {
        let backend = self.backend.as_ref();
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
        self.backend.warm(plan.concurrency).await?;
        if plan.warmup.is_empty() {
            return Ok(());
        }
        let (sender, records) = mpsc::channel();
        let shared = self.shared(plan.warmup.clone(), self.first_id);
        slots(&shared, plan.concurrency, self.clock.now_ns(), sender).await;
        let failures: Vec<Record> = records.iter().filter(|record| !record.is_ok()).collect();
        match failures.first() {
            Some(first) if failures.len() == plan.warmup.len() && !self.stop.is_wished() => bail!(
                "all {} warm-up requests failed, the first with: {}",
                failures.len(),
                first.error.as_deref().unwrap_or("no words")
            ),
            _ => Ok(()),
        }
    }

    /// Runs the plan and leaves its records in `folder`.
    ///
    /// # Errors
    /// When the records cannot be written. A server that fails is no error
    /// here: it is what the records say.
    pub async fn run(&self, plan: &Plan, header: &RunHeader, folder: &Path) -> Result<RunEnd> {
        let recorder = Recorder::create(folder, header)?;
        let counters_before = self.counters().await;
        let first_id = self.first_id + u64::try_from(plan.warmup.len()).unwrap_or_default();
        let shared = self.shared(plan.jobs.clone(), first_id);
        let total = u64::try_from(plan.jobs.len()).unwrap_or_default();
        let show = Show::start(&header.backend, total, &shared.progress);
        // Again: a slot whose warm-up ended long before the last one's may have
        // lost its connection to the server's idle limit. If it fails, the first
        // requests will say so, and count.
        let _ = self.backend.warm(plan.concurrency).await;
        let cpu_before = ThreadTimes::now();
        let start_ns = self.clock.now_ns();
        slots(&shared, plan.concurrency, start_ns, recorder.door()).await;
        let span_ns = self.clock.now_ns() - start_ns;
        let cpu = ThreadTimes::now().since(&cpu_before);
        drop(show);
        let counters_after = self.counters().await;
        let end = RunEnd {
            interrupted: self.stop.is_wished(),
            span_ns,
            server_counters: difference(counters_before, counters_after),
            ..Shares::end(cpu)
        };
        recorder.finish(&end)?;
        Ok(end)
    }

    /// The server's counters, if it hands them out soon. Nobody who wants to
    /// stop waits for them.
    async fn counters(&self) -> Option<ServerCounters> {
        if self.stop.is_wished() {
            return None;
        }
        let counters = self.backend.server_counters();
        tokio::time::timeout(COUNTERS_WITHIN, counters)
            .await
            .ok()?
            .ok()?
    }

    fn shared(&self, jobs: Vec<Job>, first_id: u64) -> Arc<Shared> {
        Arc::new(Shared {
            backend: Arc::clone(&self.backend),
            jobs,
            next: AtomicUsize::new(0),
            first_id,
            clock: self.clock,
            limits: self.limits,
            stop: self.stop.clone(),
            progress: Progress::default(),
        })
    }
}

/// Starts all slots as free since `start_ns` and waits for the last.
async fn slots(shared: &Arc<Shared>, count: u32, start_ns: u64, records: mpsc::Sender<Record>) {
    let wanted = u32::try_from(shared.jobs.len())
        .unwrap_or(u32::MAX)
        .min(count);
    let tasks: Vec<_> = (0..wanted)
        .map(|slot| {
            let shared = Arc::clone(shared);
            tokio::spawn(slot::work(shared, slot, start_ns, records.clone()))
        })
        .collect();
    drop(records);
    for task in tasks {
        // A slot keeps its panics to one request; nothing is left to fail.
        let _ = task.await;
    }
}

/// What the server counted meanwhile.
fn difference(
    before: Option<ServerCounters>,
    after: Option<ServerCounters>,
) -> BTreeMap<String, f64> {
    let (Some(before), Some(after)) = (before, after) else {
        return BTreeMap::new();
    };
    let before = before.values;
    after
        .values
        .into_iter()
        .map(|(name, value)| {
            let earlier = before.get(&name).copied().unwrap_or_default();
            (name, value - earlier)
        })
        .filter(|(_, value)| *value != 0.0)
        .collect()
}
