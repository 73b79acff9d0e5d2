//! What goes into a backend and what comes out beside the marks. Plain data,
//! the same for every protocol; made before the run, so that no backend has
//! to think while the clock runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

/// What the prompt is when the server gets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptMode {
    /// The text as it stands, on every arm.
    #[default]
    Raw,
    /// A user's turn, wrapped in the model's chat template.
    Chat,
}

impl PromptMode {
    /// The name in flags, records and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Chat => "chat",
        }
    }
}

/// How the server is asked to choose tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Softmax temperature; above 0.
    pub temperature: f32,
    /// Nucleus mass, above 0 and up to 1.
    pub top_p: f32,
    /// Candidates kept; 1 is greedy.
    pub top_k: u32,
    /// Asks the server to go on past end-of-sequence up to the asked length.
    pub ignore_eos: bool,
}

impl Default for Sampling {
    /// LMDeploy's benchmark defaults: greedy, to the full length.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 1,
            ignore_eos: true,
        }
    }
}

/// One request, ready to be put on a wire.
#[derive(Clone, Debug)]
pub struct Request {
    /// Unique within the process while it runs, from 1: the Triton request id
    /// and CORRID, the HTTP `x-request-id`.
    pub id: u64,
    /// The slot (closed loop: the worker) that sends it, from 0. Slots run one
    /// request at a time, so it is distinct among requests in flight.
    pub slot: u32,
    /// The prompt as text, as the model is to get it.
    pub prompt: Arc<str>,
    /// The user's own turn, where `prompt` is what the model's chat template
    /// makes of it: for servers that apply the template themselves.
    pub turn: Option<Arc<str>>,
    /// The prompt as the server's preprocessing would tokenize it, with a
    /// begin-of-sequence token where the tokenizer adds one.
    pub token_ids: Arc<[u32]>,
    /// The server's own count of the prompt's tokens, where it was asked
    /// before the run ([`crate::Backend::prompt_tokens`]).
    pub server_prompt_tokens: Option<u32>,
    /// Tokens to generate; at least 1.
    pub output_tokens: u32,
    /// How to choose them.
    pub sampling: Sampling,
    /// Whether the answer comes in pieces.
    pub stream: bool,
    /// Raw text or a chat turn.
    pub prompt_mode: PromptMode,
    /// The message as it goes out, where [`crate::Backend::prepare`] has made
    /// it; without it `generate` makes its own.
    pub wire: Option<Bytes>,
}

/// Why the server ended a good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The asked length was reached.
    Length,
    /// The model ended by itself (end of sequence, stop word).
    Stop,
    /// The wire does not say (Triton; LMDeploy 0.1.0a1).
    Unstated,
}

/// Where a count of generated tokens comes from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenSource {
    /// Token ids or a running length that came from the server.
    Ids,
    /// The server's usage figure.
    Usage,
    /// The answer's text, tokenized after the run.
    Text,
}

impl TokenSource {
    /// The name in records and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ids => "ids",
            Self::Usage => "usage",
            Self::Text => "text",
        }
    }
}

/// The end of a good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// Why it ended.
    pub ending: Ending,
    /// The server's count of prompt tokens, if the answer carried one.
    pub prompt_tokens: Option<u32>,
    /// Generated tokens and where the number comes from ([`TokenSource::Ids`]
    /// or [`TokenSource::Usage`]); `None` where the wire does not say, and the
    /// text has to be counted after the run.
    pub completion: Option<(u32, TokenSource)>,
}

/// What a probe found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// Product and version as far as the server says, such as `triton 2.51.0`.
    pub server: String,
    /// The model that will be asked.
    pub model: String,
    /// Longest prompt plus answer in tokens, if known.
    pub session_tokens: Option<u32>,
    /// Requests that the server runs at once, if known (Triton: instances of
    /// the engine model). More than that wait in its queue.
    pub max_running: Option<u32>,
    /// The server is pairbench's own simulation.
    pub simulated: bool,
    /// The model whose pieces of text may overtake each other, if its
    /// configuration says so (Triton's ensembles: several instances make the text,
    /// and nothing keeps their order).
    pub unordered_model: Option<String>,
}

/// A server's own counters at one moment: name to value. Triton:
/// `MODEL.FIELD` from ModelStatistics, times in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerCounters {
    /// Counter name to value, as the server counts (monotonic since its start).
    pub values: BTreeMap<String, f64>,
}
