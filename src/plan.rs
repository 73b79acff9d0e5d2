//! Who is asked what, in which order. Pure: the same workload and settings
//! give the same plan, whatever the backend, and its digest says so.

mod parting;
mod schedule;

use std::sync::Arc;

use backends::{PromptMode, Request, Sampling};
use sha2::{Digest, Sha256};

use crate::workload::Prompt;

pub use parting::parting;
pub use schedule::{REQUESTS_PER_SLOT, Schedule, balanced, usual_blocks};

/// Tokens that a warm-up request asks for at most: enough to pass every hop,
/// not enough to keep anybody waiting.
const WARMUP_TOKENS: u32 = 16;

/// One request of the plan.
#[derive(Clone, Debug)]
pub struct Job {
    /// What goes to the backend, apart from id and slot, which are given when
    /// it is sent.
    pub request: Request,
    /// Prompt tokens as the sampling counts them.
    pub prompt_tokens: u32,
}

/// A job in the order in which it is sent.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its place in the plan, from 0.
    pub index: u32,
    /// It only leads a block in.
    pub lead_in: bool,
    /// What is asked.
    pub job: Job,
}

impl Placed {
    /// Jobs in their own order, none of them leading in.
    #[must_use]
    pub fn all(jobs: &[Job]) -> Vec<Self> {
        let placed = (0..).zip(jobs).map(|(index, job)| Self {
            index,
            lead_in: false,
            job: job.clone(),
        });
        placed.collect()
    }
}

/// The requests of a run and the order of their start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The measured requests, in order.
    pub jobs: Vec<Job>,
    /// Requests that come before, are measured by nobody and run at the same
    /// concurrency.
    pub warmup: Vec<Job>,
    /// Requests in flight.
    pub concurrency: u32,
    /// Digest of the work: two runs did the same work if their digests agree.
    pub digest: String,
}

impl Plan {
    /// Ids that a prompt has beyond its `prompt_tokens`, which depend on the
    /// rule of the choice: most often none or a begin of sequence.
    #[must_use]
    pub fn inserted_tokens(&self) -> u32 {
        let inserted = self.jobs.iter().map(|job| {
            let ids = u32::try_from(job.request.token_ids.len()).unwrap_or(u32::MAX);
            ids.saturating_sub(job.prompt_tokens)
        });
        inserted.max().unwrap_or(0)
    }

    /// Keeps the server's own count of the prompt of job `at`, for the warm-up
    /// that sends the same prompt, too.
    pub fn set_server_prompt_tokens(&mut self, at: usize, tokens: u32) {
        let Some(job) = self.jobs.get_mut(at) else {
            return;
        };
        job.request.server_prompt_tokens = Some(tokens);
        let prompt = Arc::clone(&job.request.prompt);
        for job in &mut self.warmup {
            if Arc::ptr_eq(&job.request.prompt, &prompt) {
                job.request.server_prompt_tokens = Some(tokens);
            }
        }
    }
}

/// What a plan needs to know beside the prompts.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How the server is asked to choose tokens.
    pub sampling: Sampling,
    /// Raw text or chat turns.
    pub prompt_mode: PromptMode,
    /// Answers in pieces.
    pub stream: bool,
    /// Requests in flight.
    pub concurrency: u32,
    /// Warm-up requests per slot.
    pub warmup: u32,
}

/// A closed loop over the prompts in the order of the sample.
#[must_use]
pub fn plan(prompts: &[Prompt], settings: Settings) -> Plan {
    let jobs: Vec<Job> = prompts.iter().map(|prompt| job(prompt, settings)).collect();
    Plan {
        warmup: warmup(&jobs, settings),
        concurrency: settings.concurrency,
        digest: digest(prompts, settings.sampling),
        jobs,
    }
}

fn job(prompt: &Prompt, settings: Settings) -> Job {
    Job {
        request: Request {
            id: 0,
            slot: 0,
            prompt: Arc::clone(&prompt.text),
            turn: prompt.turn.clone(),
            token_ids: Arc::clone(&prompt.token_ids),
            server_prompt_tokens: None,
            output_tokens: prompt.output_tokens,
            sampling: settings.sampling,
            stream: settings.stream,
            prompt_mode: settings.prompt_mode,
            wire: None,
        },
        prompt_tokens: prompt.prompt_tokens,
    }
}

/// Warm-up takes the prompts from the end of the plan: by the time that they
/// are measured a server's prefix cache has seen the most other prompts.
fn warmup(jobs: &[Job], settings: Settings) -> Vec<Job> {
    let count = u64::from(settings.warmup) * u64::from(settings.concurrency);
    let mut warmup: Vec<Job> = jobs
        .iter()
        .rev()
        .cycle()
        .take(usize::try_from(count).unwrap_or(usize::MAX))
        .cloned()
        .collect();
    for job in &mut warmup {
        job.request.output_tokens = job.request.output_tokens.min(WARMUP_TOKENS);
    }
    warmup
}

/// First 12 hex digits of SHA-256 over the prompts' ids, the requested
/// lengths, the order and the sampling parameters. Neither backend nor
/// protocol enters, and every number has a fixed width, so that no two
/// workloads spell the same bytes.
#[must_use]
pub fn digest(prompts: &[Prompt], sampling: Sampling) -> String {
    let mut hash = Sha256::new();
    hash.update(b"pairbench workload 1\n");
    for prompt in prompts {
        let length = u64::try_from(prompt.token_ids.len()).unwrap_or(u64::MAX);
        hash.update(length.to_le_bytes());
        for id in prompt.token_ids.iter() {
            hash.update(id.to_le_bytes());
        }
        hash.update(prompt.output_tokens.to_le_bytes());
    }
    hash.update(sampling.temperature.to_le_bytes());
    hash.update(sampling.top_p.to_le_bytes());
    hash.update(sampling.top_k.to_le_bytes());
    hash.update([u8::from(sampling.ignore_eos)]);
    let bytes = hash.finalize();
    bytes[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backends::{PromptMode, Sampling};

    use super::{Settings, plan};
    use crate::workload::Prompt;

    fn prompts() -> Vec<Prompt> {
        (0..5_u32)
            .map(|index| Prompt {
                index,
                text: Arc::from(format!("prompt {index}")),
                turn: None,
                token_ids: Arc::from([1, index + 10]),
                prompt_tokens: 1,
                output_tokens: 100 + index,
            })
            .collect()
    }

    fn settings() -> Settings {
        Settings {
            sampling: Sampling::default(),
            prompt_mode: PromptMode::Raw,
            stream: true,
            concurrency: 3,
            warmup: 2,
        }
    }

    #[test]
    fn the_order_is_the_samples() {
        let plan = plan(&prompts(), settings());
        let lengths: Vec<u32> = plan
            .jobs
            .iter()
            .map(|job| job.request.output_tokens)
            .collect();
        assert_eq!(lengths, [100, 101, 102, 103, 104]);
    }

    #[test]
    fn every_slot_is_warmed_up_from_the_plans_end() {
        let plan = plan(&prompts(), settings());
        let warmup: Vec<&str> = plan.warmup.iter().map(|job| &*job.request.prompt).collect();
        let expected = [
            "prompt 4", "prompt 3", "prompt 2", "prompt 1", "prompt 0", "prompt 4",
        ];
        assert_eq!(warmup, expected);
        assert!(
            plan.warmup
                .iter()
                .all(|job| job.request.output_tokens == 16)
        );
    }

    #[test]
    fn the_digest_is_the_works_and_nothing_elses() {
        let same = plan(&prompts(), settings()).digest;
        assert_eq!(same.len(), 12);
        let other_way = Settings {
            stream: false,
            concurrency: 1,
            warmup: 0,
            prompt_mode: PromptMode::Chat,
            ..settings()
        };
        assert_eq!(plan(&prompts(), other_way).digest, same);

        let mut longer = prompts();
        longer[2].output_tokens += 1;
        let mut swapped = prompts();
        swapped.swap(0, 1);
        let mut other_ids = prompts();
        other_ids[4].token_ids = Arc::from([1, 99]);
        let warmer = Settings {
            sampling: Sampling {
                temperature: 0.9,
                ..Sampling::default()
            },
            ..settings()
        };
        for other in [
            plan(&longer, settings()),
            plan(&swapped, settings()),
            plan(&other_ids, settings()),
            plan(&prompts(), warmer),
        ] {
            assert_ne!(other.digest, same);
        }
    }

    #[test]
    fn a_servers_count_reaches_the_warm_up() {
        let mut plan = plan(&prompts(), settings());
        plan.set_server_prompt_tokens(4, 77);
        let counts: Vec<_> = plan
            .warmup
            .iter()
            .map(|job| job.request.server_prompt_tokens)
            .collect();
        assert_eq!(counts, [Some(77), None, None, None, None, Some(77)]);
        assert_eq!(plan.jobs[4].request.server_prompt_tokens, Some(77));
    }

    #[test]
    fn what_prompt_tokens_leave_out_is_known() {
        assert_eq!(plan(&prompts(), settings()).inserted_tokens(), 1);
        let mut counted = prompts();
        for prompt in &mut counted {
            prompt.prompt_tokens = 2;
        }
        assert_eq!(plan(&counted, settings()).inserted_tokens(), 0);
    }

    #[test]
    fn nothing_to_ask_is_no_endless_loop() {
        let plan = plan(&[], settings());
        assert_eq!(plan.inserted_tokens(), 0);
        assert!(plan.jobs.is_empty() && plan.warmup.is_empty());
    }
}
