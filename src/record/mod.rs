//! The narrow waist of the house: what a run leaves behind. One folder per
//! run, written as the run goes, from which every figure and report can be
//! made again without a server. Knows files and integers; no backend, no
//! flag, no metric, no clock.
//!
//! A folder holds `run.json` ([`RunHeader`]), `requests.jsonl` (one
//! [`Record`] a line, in order of completion), `recount.json` ([`Recount`])
//! and, when the run came to its end, `end.json` ([`RunEnd`]). An arm of a
//! comparison has `blocks.jsonl`, too, a [`Block`] a line. Beside the folders
//! of the runs lies `calibration.json` ([`Calibration`]), if there is one.

mod block;
mod calibration;
mod encryption;
mod files;
mod recorder;
mod recount;
mod time_limits;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use block::{Block, Experiment};
pub use calibration::{
    BackendFloor, CALIBRATION_FORMAT, Calibration, ClientFloor, Delay, Host, Load, Round, Rung,
};
pub use encryption::Encryption;
pub use files::{check_parent, create_folder, load, save_recount, write_whole};
pub use recorder::{Closed, Door, InMemory, Recorder, WAITING_BYTES_MAX};
pub use recount::{Recount, RequestKey};
pub use time_limits::TimeLimits;

/// Version of the files' layout. A folder with another number is refused.
pub const FORMAT: u32 = 1;

/// What was run: everything needed to repeat it and to judge whether it may
/// be compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of pairbench.
    pub tool_version: String,
    /// When the run began, UTC, RFC 3339.
    pub started_utc: String,
    /// Backend, by its name in the table of backends.
    pub backend: String,
    /// `tis` or `api_server`.
    pub family: String,
    /// The arm delivers `text` or `token_ids`.
    pub answer: String,
    /// Address as given; [`RunHeader::EMBEDDED`] for a server in this process.
    pub address: String,
    /// How the connections were encrypted; absent where they were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Product and version as the server says.
    pub server: String,
    /// The model that was asked.
    pub model: String,
    /// The server is pairbench's own simulation.
    pub simulated: bool,
    /// The model of the server whose pieces of text may overtake each other, as
    /// its configuration says; absent where none may.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unordered_model: Option<String>,
    /// `raw` or `chat`.
    pub prompt_mode: String,
    /// Where the chat template was found that made the prompts; absent where
    /// they were sent as they are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chat_template: Option<String>,
    /// The first place where the server's own tokens of a prompt leave the
    /// plan's, in words; absent where there is none or it was not asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prompt_parting: Option<String>,
    /// Whether answers came in pieces.
    pub stream: bool,
    /// Seed of the sampling.
    pub seed: u64,
    /// Requests in flight (closed loop).
    pub concurrency: u32,
    /// Requests planned.
    pub num_prompts: u32,
    /// Warm-up requests per slot, not recorded.
    pub warmup: u32,
    /// Threads that the client shared its slots out to; 0 in older records.
    #[serde(default)]
    pub client_threads: u32,
    /// Milliseconds over which the slots started; 0: all at once.
    #[serde(default)]
    pub ramp_ms: u64,
    /// Digest of the workload; equal digests are equal work.
    pub workload: String,
    /// Softmax temperature.
    pub temperature: f32,
    /// Nucleus mass.
    pub top_p: f32,
    /// Candidates kept.
    pub top_k: u32,
    /// Whether the end of sequence was to be ignored.
    pub ignore_eos: bool,
    /// The dataset, as given.
    pub dataset: String,
    /// The tokenizer, as it describes itself.
    pub tokenizer: String,
    /// Rule by which the prompts were chosen.
    pub sampling_style: String,
    /// The tokenizer adds a begin-of-sequence token: servers may count one
    /// token per prompt more than the plan.
    pub adds_bos: bool,
    /// Ids of a served prompt that its `prompt_tokens` do not count, most often
    /// one begin of sequence. Absent in older records: as `adds_bos` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inserted_tokens: Option<u32>,
    /// Failed requests up to which the run stays valid.
    pub max_failed: u32,
    /// The command line, keys left out.
    pub command: Vec<String>,
    /// Processor cores of the client's machine.
    pub cores: u32,
    /// The client's machine; absent in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// How long the client waited before it gave up; absent in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limits: Option<TimeLimits>,
    /// What a calibration at this load says of the client's own delay; absent
    /// where there was none that may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_floor: Option<ClientFloor>,
    /// Why a calibration that was there was not used, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_floor_unused: Option<String>,
    /// The comparison that this is an arm of; absent for a run by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<Experiment>,
}

impl RunHeader {
    /// The address that stands for an embedded server, as users give it.
    pub const EMBEDDED: &'static str = "sim";

    /// Tokens that a server may count in every prompt beyond the plan's.
    #[must_use]
    pub fn inserted_tokens(&self) -> u64 {
        let inserted = self.inserted_tokens.map(u64::from);
        inserted.unwrap_or(u64::from(self.adds_bos))
    }
}

/// The moment at which the client held a piece of the answer, and the new
/// tokens in it (0: text whose token number the wire does not tell). Written
/// as a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u32)", into = "(u64, u32)")]
pub struct Mark {
    /// Nanoseconds on the run's clock.
    pub at_ns: u64,
    /// New tokens.
    pub tokens: u32,
}

impl From<(u64, u32)> for Mark {
    fn from((at_ns, tokens): (u64, u32)) -> Self {
        Self { at_ns, tokens }
    }
}

impl From<Mark> for (u64, u32) {
    fn from(mark: Mark) -> Self {
        (mark.at_ns, mark.tokens)
    }
}

/// A named, timed part of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopRecord {
    /// Times it was entered.
    pub calls: u32,
    /// Time inside it over the whole request.
    pub total_ns: u64,
    /// Its part of the first-token latency; over all hops, with
    /// [`Record::other_until_first_ns`], the parts add up to it.
    pub until_first_ns: u64,
}

/// One request: what was asked, what came, when. All times in nanoseconds on
/// the run's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Place in the plan, from 0.
    pub index: u32,
    /// The slot that sent it.
    pub slot: u32,
    /// The block that it belongs to, by [`Block::number`]; 0 in a run without
    /// blocks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub block: u32,
    /// It led its block in: no figure of the block but the tokens that arrived
    /// while all slots were busy.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lead_in: bool,
    /// Prompt tokens as the sampling counts them (no begin-of-sequence).
    pub prompt_tokens: u32,
    /// Tokens asked for.
    pub requested_tokens: u32,
    /// When the schedule meant it to start (closed loop: its slot was free, the
    /// answer before it read and closed).
    pub scheduled_ns: u64,
    /// When the backend was called.
    pub issued_ns: u64,
    /// First message of any kind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_event_ns: Option<u64>,
    /// When the answer ended or the failure was seen.
    pub end_ns: u64,
    /// `ok`, or the kind of failure.
    pub outcome: String,
    /// The failure in words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// Why the server ended the answer: `length`, `stop`, `unstated`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ending: Option<String>,
    /// The server's own count of the prompt's tokens.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server_prompt_tokens: Option<u32>,
    /// Generated tokens as the wire tells them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub completion_tokens: Option<u32>,
    /// Where `completion_tokens` comes from: `ids` or `usage`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token_source: Option<String>,
    /// The pieces in order of arrival.
    pub marks: Vec<Mark>,
    /// When the engine's tokens arrived, where the client chains the models.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub engine_marks: Vec<Mark>,
    /// Hops that were entered, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub hops: BTreeMap<String, HopRecord>,
    /// The way to the first token that lay in no hop: the client itself.
    #[serde(default)]
    pub other_until_first_ns: u64,
    /// The answer's text.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub text: String,
    /// Bytes of `text` that the first mark brought.
    #[serde(default)]
    pub first_text_bytes: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Record {
    /// Whether the request came to a good end.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome == "ok"
    }

    /// What tells it from every other request of its run.
    #[must_use]
    pub fn key(&self) -> RequestKey {
        RequestKey {
            block: self.block,
            lead_in: self.lead_in,
            index: self.index,
        }
    }
}

/// What is only known at the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    /// The user stopped the run before its plan was done.
    pub interrupted: bool,
    /// The run's span on its own clock, start of the first request to the end
    /// of the last, failures included.
    pub span_ns: u64,
    /// Processor time of the client's threads over the run; absent where the
    /// system does not tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_cpu_ns: Option<u64>,
    /// Processor time of the busiest of these threads.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub busiest_thread_cpu_ns: Option<u64>,
    /// Time in which the client's threads were ready to run and waited for a
    /// core, all of them together.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_wait_ns: Option<u64>,
    /// The same of the busiest thread.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub busiest_thread_wait_ns: Option<u64>,
    /// Times that the client's threads got a core, all of them together.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_turns: Option<u64>,
    /// Time that all cores of the machine were at work over the run, in the system's
    /// ticks of 1/100 s; absent where the system does not tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cores_busy_ticks: Option<u64>,
    /// Time that they had work while the host of this virtual machine had them for
    /// others.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cores_stolen_ticks: Option<u64>,
    /// Requests that waited as the disk did not follow with the records.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub waited_for_disk: u32,
    /// Slots that a bug of the client ended, and with each the request that it
    /// had in flight.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub lost_slots: u32,
    /// The server's own counters over the run: value after minus value before.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub server_counters: BTreeMap<String, f64>,
}

/// A run as read back from its folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// What was run.
    pub header: RunHeader,
    /// The requests that came to an end, in the order of the blocks and, within
    /// each, of the plan.
    pub records: Vec<Record>,
    /// Those that led blocks in.
    pub lead_in: Vec<Record>,
    /// The blocks, in the order in which they ended; none in a run by itself.
    pub blocks: Vec<Block>,
    /// Counts of the answers' texts; empty if the run died before them.
    pub recount: Recount,
    /// `None`: the run died before its end.
    pub end: Option<RunEnd>,
    /// Lines of `requests.jsonl` and `blocks.jsonl` that could not be read (a run
    /// that was killed may leave half a line at its end).
    pub broken_lines: u32,
    /// Other files of the folder that could not be read, by name.
    pub damaged: Vec<String>,
}

impl Run {
    /// One block as if it were a run by itself: its requests, its lead-in and its
    /// span. `None`: the run has no such block.
    #[must_use]
    pub fn of_block(&self, number: u32) -> Option<Self> {
        let block = self.blocks.iter().find(|block| block.number == number)?;
        let of = |records: &[Record]| -> Vec<Record> {
            let ours = records.iter().filter(|record| record.block == number);
            ours.cloned().collect()
        };
        let records = of(&self.records);
        let planned = self.header.experiment.as_ref();
        let planned = planned.map_or(self.header.num_prompts, |of| of.block_requests);
        Some(Self {
            header: RunHeader {
                num_prompts: planned,
                ..self.header.clone()
            },
            lead_in: of(&self.lead_in),
            blocks: vec![block.clone()],
            recount: Recount {
                answers: Vec::new(),
                in_blocks: self
                    .recount
                    .counts()
                    .filter(|(key, ..)| key.block == number)
                    .collect(),
            },
            end: Some(RunEnd {
                interrupted: block.cut,
                span_ns: block.end_ns.saturating_sub(block.start_ns),
                client_cpu_ns: block.client_cpu_ns,
                server_counters: block.server_counters.clone(),
                ..RunEnd::default()
            }),
            broken_lines: 0,
            damaged: Vec::new(),
            records,
        })
    }
}
