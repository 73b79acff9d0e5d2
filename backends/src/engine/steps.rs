//! One request inside the engine: which tokens it gets, and, in exact timing,
//! when.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::batch::{self, Joining};
use super::{Codec, Engine, EngineConfig, Failure, Job, Refusal, Script, Ticket, Timing};
use crate::spend::until;
use crate::{Clock, Ending};

/// Tokens that the engine hands out together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The new ids; never empty.
    pub tokens: Vec<u32>,
    /// Tokens of the answer up to and with these.
    pub total: u32,
    /// Set on the last step: why the answer ends here.
    pub ending: Option<Ending>,
}

/// What a request will get, settled when it comes in.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    total_tokens: u32,
    ending: Ending,
    failure: Option<(Failure, u32)>,
    first_token: Duration,
    per_token: Duration,
    tokens_per_message: u32,
    split_characters: bool,
}

impl Plan {
    pub(super) fn new(
        config: &EngineConfig,
        script: &Script,
        job: &Job,
        room: u32,
        failure: Option<(Failure, u32)>,
    ) -> Self {
        let natural = match (job.ignore_eos, script.natural_tokens) {
            (true, _) => u32::MAX,
            (false, Some(tokens)) => tokens.max(1),
            (false, None) => config.natural_tokens.max(1),
        };
        let limit = job.max_tokens.min(room);
        let (first, per) = match config.timing {
            Timing::Exact {
                first_token,
                per_token,
            } => (first_token, per_token),
            Timing::Batching { .. } => (Duration::ZERO, Duration::ZERO),
        };
        Self {
            total_tokens: limit.min(natural),
            ending: if natural < limit {
                Ending::Stop
            } else {
                Ending::Length
            },
            failure,
            first_token: script.first_token.unwrap_or(first),
            per_token: script.per_token.unwrap_or(per),
            tokens_per_message: config.tokens_per_message.max(1),
            split_characters: script.split_characters,
        }
    }

    /// Tokens that the next message brings, after `done` of them: up to the
    /// end, and not across the place where a failure is due.
    fn next_message(&self, done: u32) -> u32 {
        let upto = match self.failure {
            Some((_, after)) if after > done => after.min(self.total_tokens),
            _ => self.total_tokens,
        };
        self.tokens_per_message.min(upto - done)
    }

    fn token(&self, codec: &dyn Codec, prompt: &[u32], at: u32) -> u32 {
        match (self.split_characters, codec.split_character()) {
            (true, Some(bytes)) if at % 6 >= 3 => {
                bytes[usize::try_from(at % 6 - 3).unwrap_or_default()]
            }
            _ => codec.answer(prompt, at),
        }
    }
}

/// A running request. Dropping it cancels it.
pub struct Steps {
    codec: Arc<dyn Codec>,
    prompt: Vec<u32>,
    plan: Plan,
    pace: Pace,
    done: u32,
    _ticket: Ticket,
}

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steps")
            .field("plan", &self.plan)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

enum Pace {
    Exact {
        clock: Clock,
        places: Arc<Semaphore>,
        place: Option<(OwnedSemaphorePermit, u64)>,
    },
    Batch(mpsc::UnboundedReceiver<()>),
}

impl Pace {
    /// Waits until `tokens` more are there, `done` having come before.
    async fn wait(&mut self, plan: &Plan, done: u32, tokens: u32) -> Result<(), Refusal> {
        match self {
            Self::Exact {
                clock,
                places,
                place,
            } => {
                if place.is_none() {
                    let permit = Arc::clone(places).acquire_owned().await;
                    let permit = permit.map_err(|_| Refusal::Failed)?;
                    *place = Some((permit, clock.now_ns()));
                }
                let since_ns = place.as_ref().map_or(0, |(_, since_ns)| *since_ns);
                let due = plan.first_token + plan.per_token * (done + tokens - 1);
                let due_ns = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
                until(*clock, since_ns.saturating_add(due_ns)).await;
                Ok(())
            }
            Self::Batch(ticks) => {
                for _ in 0..tokens {
                    ticks.recv().await.ok_or(Refusal::Failed)?;
                }
                Ok(())
            }
        }
    }
}

pub(super) fn start(engine: &Engine, job: Job, plan: Plan, ticket: Ticket) -> Steps {
    let shared = &engine.shared;
    let pace = match shared.config.timing {
        Timing::Exact { .. } => Pace::Exact {
            clock: shared.clock,
            places: Arc::clone(&shared.places),
            place: None,
        },
        Timing::Batching { .. } => {
            let (ticks, receiver) = mpsc::unbounded_channel();
            let joining = Joining {
                prompt_tokens: u32::try_from(job.prompt.len()).unwrap_or(u32::MAX),
                remaining: plan.total_tokens,
                ticks,
            };
            batch::join(engine, joining);
            Pace::Batch(receiver)
        }
    };
    Steps {
        codec: Arc::clone(&shared.codec),
        prompt: job.prompt,
        plan,
        pace,
        done: 0,
        _ticket: ticket,
    }
}

impl Steps {
    /// The next tokens, when they are there; `None` after the last.
    ///
    /// # Errors
    /// A scripted failure, once; nothing comes after it.
    pub async fn next(&mut self) -> Option<Result<Step, Refusal>> {
        if self.done == self.plan.total_tokens {
            return None;
        }
        match self.plan.failure {
            Some((failure, after)) if after == self.done => {
                self.done = self.plan.total_tokens;
                match failure {
                    Failure::Refuse | Failure::Error => return Some(Err(Refusal::Failed)),
                    Failure::Cut => return Some(Err(Refusal::Cut)),
                    Failure::Stall => std::future::pending::<()>().await,
                }
            }
            _ => {}
        }
        let tokens = self.plan.next_message(self.done);
        if let Err(refusal) = self.pace.wait(&self.plan, self.done, tokens).await {
            self.done = self.plan.total_tokens;
            return Some(Err(refusal));
        }
        let from = self.done;
        self.done += tokens;
        let ids = (from..self.done)
            .map(|at| self.plan.token(self.codec.as_ref(), &self.prompt, at))
            .collect();
        let last = self.done == self.plan.total_tokens;
        Some(Ok(Step {
            tokens: ids,
            total: self.done,
            ending: last.then_some(self.plan.ending),
        }))
    }

    /// The prompt's ids.
    #[must_use]
    pub fn prompt(&self) -> &[u32] {
        &self.prompt
    }
}
