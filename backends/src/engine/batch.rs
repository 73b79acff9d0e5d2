//! Continuous batching: all running requests get a token per step, and a step
//! takes the longer the more of them there are. Waiting requests join between
//! steps, first come, first served.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Engine, Timing, lock};
use crate::Clock;
use crate::spend::until;

/// A request on its way into the batch.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) prompt_tokens: u32,
    pub(super) remaining: u32,
    pub(super) ticks: mpsc::UnboundedSender<()>,
}

/// Hands a request to the scheduler, which starts with the first one.
pub(super) fn join(engine: &Engine, joining: Joining) {
    let mut sender = lock(&engine.shared.joining);
    let sender = sender.get_or_insert_with(|| {
        let (sender, receiver) = mpsc::unbounded_channel();
        let config = &engine.shared.config;
        let scheduler = Scheduler {
            timing: config.timing,
            max_running: config.max_running.max(1),
            clock: engine.shared.clock,
            arriving: receiver,
            waiting: VecDeque::new(),
            running: Vec::new(),
        };
        tokio::spawn(scheduler.run());
        sender
    });
    // If the scheduler is gone the runtime is shutting down, and the request
    // learns it from its own channel.
    let _ = sender.send(joining);
}

struct Scheduler {
    timing: Timing,
    max_running: usize,
    clock: Clock,
    arriving: mpsc::UnboundedReceiver<Joining>,
    waiting: VecDeque<Joining>,
    running: Vec<Joining>,
}

impl Scheduler {
    async fn run(mut self) {
        let mut step_end_ns = 0;
        loop {
            if self.running.is_empty() && self.waiting.is_empty() {
                let Some(first) = self.arriving.recv().await else {
                    return;
                };
                self.waiting.push_back(first);
                step_end_ns = self.clock.now_ns();
            }
            let prefill_tokens = self.admit();
            let step = step_time(self.timing, self.running.len(), prefill_tokens);
            step_end_ns += u64::try_from(step.as_nanos()).unwrap_or(u64::MAX);
            until(self.clock, step_end_ns).await;
            self.running.retain_mut(|request| {
                request.remaining -= 1;
                request.ticks.send(()).is_ok() && request.remaining > 0
            });
        }
    }

    /// Takes in who waits, as far as there is room; their prompt tokens.
    fn admit(&mut self) -> u64 {
        while let Ok(joining) = self.arriving.try_recv() {
            self.waiting.push_back(joining);
        }
        self.waiting.retain(|request| !request.ticks.is_closed());
        let room = self.max_running.saturating_sub(self.running.len());
        let mut prefill_tokens = 0;
        for request in self.waiting.drain(..room.min(self.waiting.len())) {
            prefill_tokens += u64::from(request.prompt_tokens);
            self.running.push(request);
        }
        prefill_tokens
    }
}

/// How long one step takes with `running` requests, of which some joined with
/// `prefill_tokens` prompt tokens.
fn step_time(timing: Timing, running: usize, prefill_tokens: u64) -> Duration {
    match timing {
        Timing::Exact { .. } => Duration::ZERO,
        Timing::Batching {
            step_base,
            step_per_request,
            prefill_per_token,
        } => {
            let running = u32::try_from(running).unwrap_or(u32::MAX);
            let prefill = u32::try_from(prefill_tokens).unwrap_or(u32::MAX);
            step_base + step_per_request * running + prefill_per_token * prefill
        }
    }
}
