//! The engine model of LMDeploy's Triton repository (v0.1 to v0.4): its
//! tensors, and how many tokens have come. Knows no text.

use std::collections::HashSet;

use tokio::sync::OnceCell;

use super::TURBOMIND;
use super::ask::{Call, Inputs};
use super::client::Client;
use super::layout::Often;
use super::reply::Reply;
use super::repository::{config_of, integer_parameter, running_limit};
use super::texts;
use super::wire;
use crate::{Error, ErrorKind, Request, ServerInfo};

/// The engine model, asked once about itself.
#[derive(Debug)]
pub(super) struct Turbomind {
    /// Its name.
    pub(super) model: String,
    facts: OnceCell<Facts>,
}

/// What has to be known of a server before it is asked the first time.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Id that ends a sequence; unknown on a server without preprocessing.
    eos: Option<u32>,
    /// Inputs that the model takes.
    inputs: HashSet<String>,
    /// Longest prompt plus answer, if the configuration says.
    pub(super) session_tokens: Option<u32>,
    /// Requests that run at once, if known.
    pub(super) max_running: Option<u32>,
    /// Whether postprocessing takes `skip_special_tokens` (LMDeploy from
    /// v0.0.14 on).
    pub(super) skips_special: bool,
}

impl Turbomind {
    pub(super) fn new(model: Option<&str>) -> Self {
        Self {
            model: model.unwrap_or(TURBOMIND).to_owned(),
            facts: OnceCell::new(),
        }
    }

    /// The facts, asked for by the first who needs them; probing and warming
    /// do, so that no measured request has to.
    ///
    /// # Errors
    /// When the server does not answer for the engine model.
    pub(super) async fn facts(&self, client: &Client) -> Result<&Facts, Error> {
        let load = || client.untimed("about its models", self.load(client));
        self.facts.get_or_try_init(load).await
    }

    async fn load(&self, client: &Client) -> Result<Facts, Error> {
        let config = config_of(client, &self.model).await?;
        let post = match config_of(client, texts::POSTPROCESSING).await {
            Ok(config) => Some(config),
            Err(error) if error.kind == ErrorKind::Model => None,
            Err(error) => return Err(error),
        };
        Ok(Facts {
            eos: texts::eos_id(client).await?,
            inputs: config
                .input
                .iter()
                .map(|input| input.name.clone())
                .collect(),
            session_tokens: integer_parameter(&config, "session_len"),
            max_running: running_limit(&config),
            skips_special: post.is_some_and(|config| {
                config
                    .input
                    .iter()
                    .any(|input| input.name == "skip_special_tokens")
            }),
        })
    }

    /// Adds to a probe's finding what the engine model says of itself.
    ///
    /// # Errors
    /// When the server does not answer for it.
    pub(super) async fn describe(
        &self,
        client: &Client,
        info: ServerInfo,
    ) -> Result<ServerInfo, Error> {
        let facts = self.facts(client).await?;
        Ok(ServerInfo {
            model: self.model.clone(),
            session_tokens: facts.session_tokens,
            max_running: facts.max_running,
            ..info
        })
    }

    /// The engine's call for a prompt's ids: names, types and shapes as
    /// LMDeploy's chatbot sends them (v0.2.5, `lmdeploy/serve/turbomind/chatbot.py`).
    /// Optional inputs that the model does not declare are left out.
    pub(super) fn call<'a>(
        &'a self,
        facts: &Facts,
        request: &Request,
        prompt: &[u32],
        sequence: bool,
    ) -> Call<'a> {
        let length = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
        let width = i64::from(length);
        let one: &[i64] = &[1, 1];
        let mut inputs = Inputs::default();
        inputs.u32s("input_ids", &[1, width], prompt);
        inputs.u32s("input_lengths", one, &[length]);
        inputs.u32s("request_output_len", one, &[request.output_tokens]);
        let takes = |name: &str| facts.inputs.contains(name);
        if takes("runtime_top_p") {
            inputs.f32("runtime_top_p", one, request.sampling.top_p);
        }
        if takes("temperature") {
            inputs.f32("temperature", one, request.sampling.temperature);
        }
        if takes("repetition_penalty") {
            inputs.f32("repetition_penalty", one, 1.0);
        }
        if takes("step") {
            inputs.i32s("step", one, &[0]);
        }
        if takes("runtime_top_k") {
            inputs.u32s("runtime_top_k", one, &[request.sampling.top_k]);
        }
        let eos = facts.eos.and_then(|eos| i32::try_from(eos).ok());
        if let (true, Some(eos)) = (request.sampling.ignore_eos && takes("bad_words_list"), eos) {
            // One forbidden word: its ids, then the place where it ends.
            inputs.i32s("bad_words_list", &[1, 2, 1], &[eos, 1]);
        }
        if let (true, Some(tokens)) = (takes("session_len"), facts.session_tokens) {
            inputs.u32s("session_len", one, &[tokens]);
        }
        for (name, value) in [("START", 1), ("END", 1), ("STOP", 0)] {
            if takes(name) {
                inputs.i32s(name, one, &[value]);
            }
        }
        if takes("CORRID") {
            inputs.u64("CORRID", one, request.id);
        }
        if takes("random_seed") {
            inputs.u64("random_seed", one, request.id);
        }
        Call {
            model: &self.model,
            id: request.id,
            inputs,
            sequence,
        }
    }
}

/// How far an answer has come. The engine repeats the whole sequence in every
/// frame; frames are no measure, as one may be ahead and the next repeat it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    prompt: u32,
    total: u32,
}

impl Progress {
    /// Before the first frame, behind a prompt of that many tokens.
    pub(super) fn after(prompt: u32) -> Self {
        Self { prompt, total: 0 }
    }

    /// Tokens of the answer by now.
    pub(super) fn total(&self) -> u32 {
        self.total
    }

    /// Takes in a length of prompt and answer together; the answer's tokens.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when it is shorter than the prompt or than
    /// before.
    pub(super) fn advance(&mut self, response: &Reply, length: u32) -> Result<u32, Error> {
        match length.checked_sub(self.prompt) {
            Some(total) if total >= self.total => {
                self.total = total;
                Ok(total)
            }
            _ => {
                let what = format!(
                    "shrinks to {length} behind a prompt of {} and {} tokens of answer",
                    self.prompt, self.total
                );
                Err(wire::malformed(response, Often::Length.name(), &what))
            }
        }
    }

    /// The answer's ids `from..total` out of a frame, little endian and where
    /// they lie.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when they are not there.
    pub(super) fn ids<'a>(&self, response: &'a Reply, from: u32) -> Result<&'a [[u8; 4]], Error> {
        let place = |tokens: u32| self.prompt.saturating_add(tokens);
        wire::required_often(response, Often::Ids)?.ids(place(from), place(self.total))
    }
}

/// The length that an engine's frame states; `None` for a frame without
/// outputs, which ends an answer and says nothing.
///
/// # Errors
/// [`ErrorKind::Malformed`] when there are outputs and no length.
pub(super) fn length_of(response: &Reply) -> Result<Option<u32>, Error> {
    if response.is_empty() {
        return Ok(None);
    }
    wire::required_often(response, Often::Length)?
        .count()
        .map(Some)
}
