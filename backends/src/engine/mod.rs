//! The simulated model behind both simulated servers: when tokens appear, how
//! many requests run at once, what fails. Knows no protocol; the servers put
//! its steps on their wires and tell the [`Ledger`] when they did.
//!
//! Two timings: exact (every request alone, fixed times: for known answers)
//! and continuous batching (all running requests advance together, a step is
//! the longer the more of them there are: for realistic load).

mod batch;
mod codec;
mod ledger;
mod script;
mod steps;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use crate::Clock;

pub use codec::{BOS_ID, ByteCodec, Codec, EOS_ID};
pub use ledger::{Handover, Ledger};
pub use script::{Failure, Script};
pub use steps::{Step, Steps};

/// When tokens appear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Timing {
    /// Fixed times, counted from the moment the request got its place.
    Exact {
        /// To the first token.
        first_token: Duration,
        /// From each token to the next.
        per_token: Duration,
    },
    /// Continuous batching: one step gives every running request one token.
    Batching {
        /// Time of a step with nothing to do.
        step_base: Duration,
        /// Added for each running request.
        step_per_request: Duration,
        /// Added for each prompt token of a request that joins.
        prefill_per_token: Duration,
    },
}

/// The simulated engine's measurements and habits.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineConfig {
    /// When tokens appear.
    pub timing: Timing,
    /// Requests that run at once; the rest wait in line. At least 1.
    pub max_running: usize,
    /// Longest prompt and answer together, in tokens.
    pub session_tokens: u32,
    /// Tokens that are handed over together; at least 1.
    pub tokens_per_message: u32,
    /// Where an answer ends by itself when the request does not ask to ignore
    /// the end of sequence.
    pub natural_tokens: u32,
    /// What goes wrong on purpose.
    pub script: Script,
    /// Obeys orders written into prompts, such as `@@fail=cut @@after=3`
    /// (see [`Script`]). For tests; off by default.
    pub prompt_orders: bool,
}

impl Default for EngineConfig {
    /// LMDeploy's turbomind defaults for its Triton repository (48 instances,
    /// sessions of 2,056 tokens) on a model of 20 ms to the first token and
    /// 5 ms per token.
    fn default() -> Self {
        Self {
            timing: Timing::Exact {
                first_token: Duration::from_millis(20),
                per_token: Duration::from_millis(5),
            },
            max_running: 48,
            session_tokens: 2056,
            tokens_per_message: 1,
            natural_tokens: 40,
            script: Script::default(),
            prompt_orders: false,
        }
    }
}

/// What a server asks of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Distinct among running requests (Triton's CORRID); 0 never clashes.
    pub id: u64,
    /// The prompt's token ids.
    pub prompt: Vec<u32>,
    /// Tokens to generate at most.
    pub max_tokens: u32,
    /// Goes on past the end of sequence.
    pub ignore_eos: bool,
}

/// Why the engine does not go on. The numbers are turbomind's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 1: the request makes no sense (no prompt, no tokens asked for).
    Invalid,
    /// 3: a request with this id is running.
    Busy,
    /// 5: the engine failed (by script).
    Failed,
    /// 6: the prompt does not fit into a session.
    TooLong,
    /// By script: the server is to close the connection without a word.
    Cut,
}

impl Refusal {
    /// turbomind's number; a cut has none of its own and counts as a failure.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Invalid => 1,
            Self::Busy => 3,
            Self::Failed | Self::Cut => 5,
            Self::TooLong => 6,
        }
    }
}

/// The simulated model. Clones share it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    config: EngineConfig,
    codec: Arc<dyn Codec>,
    clock: Clock,
    ledger: Ledger,
    places: Arc<Semaphore>,
    running: Arc<Mutex<Running>>,
    joining: Mutex<Option<mpsc::UnboundedSender<batch::Joining>>>,
}

/// Book-keeping of what runs, for clashes of ids and for scripts that count
/// requests.
#[derive(Debug, Default)]
struct Running {
    ids: std::collections::HashSet<u64>,
    submitted: u64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that nobody has asked anything yet.
    #[must_use]
    pub fn new(config: EngineConfig, codec: Arc<dyn Codec>, clock: Clock) -> Self {
        let places = Arc::new(Semaphore::new(config.max_running.max(1)));
        Self {
            shared: Arc::new(Shared {
                config,
                codec,
                clock,
                ledger: Ledger::new(clock),
                places,
                running: Arc::default(),
                joining: Mutex::new(None),
            }),
        }
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.shared.config
    }

    /// Its tokenizer.
    #[must_use]
    pub fn codec(&self) -> &dyn Codec {
        self.shared.codec.as_ref()
    }

    /// What was handed over and when.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// Takes a request in. Must be called within a tokio runtime. Dropping the
    /// steps cancels the request and frees its place.
    ///
    /// # Errors
    /// What the engine can tell at once: [`Refusal::Invalid`],
    /// [`Refusal::Busy`], [`Refusal::TooLong`], or a scripted refusal.
    pub fn submit(&self, job: Job) -> Result<Steps, Refusal> {
        let shared = &self.shared;
        let prompt_tokens = u32::try_from(job.prompt.len()).map_err(|_| Refusal::TooLong)?;
        if prompt_tokens == 0 || job.max_tokens == 0 {
            return Err(Refusal::Invalid);
        }
        let room = shared.config.session_tokens.saturating_sub(prompt_tokens);
        if room == 0 {
            return Err(Refusal::TooLong);
        }
        let (ticket, number) = self.admit(job.id)?;
        let script = if shared.config.prompt_orders {
            let prompt = shared.codec.decode(&job.prompt);
            shared
                .config
                .script
                .with_orders(&String::from_utf8_lossy(&prompt))
        } else {
            shared.config.script.clone()
        };
        let failure = script.failure_of(number);
        if failure == Some((Failure::Refuse, 0)) {
            return Err(Refusal::Failed);
        }
        let plan = steps::Plan::new(&shared.config, &script, &job, room, failure);
        Ok(steps::start(self, job, plan, ticket))
    }

    fn admit(&self, id: u64) -> Result<(Ticket, u64), Refusal> {
        let mut running = lock(&self.shared.running);
        running.submitted += 1;
        if id != 0 && !running.ids.insert(id) {
            return Err(Refusal::Busy);
        }
        let ticket = Ticket {
            id,
            running: Arc::clone(&self.shared.running),
        };
        Ok((ticket, running.submitted))
    }
}

/// A running request's entry in the books; leaves them when dropped.
#[derive(Debug)]
struct Ticket {
    id: u64,
    running: Arc<Mutex<Running>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.running).ids.remove(&self.id);
    }
}

/// A lock that outlives a panic of another holder: the books stay usable, as
/// every change to them is a single step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
