//! The simulated models at work: what each does with a request that passed the
//! check. Chains them within the process where an ensemble would.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tonic::Status;

use super::super::TURBOMIND;
use super::super::proto::{ModelConfig, ModelInferRequest, ModelInferResponse};
use super::super::repository::LMDEPLOY_MODEL;
use super::super::texts::{POSTPROCESSING, PREPROCESSING, as_text, is_unfinished};
use super::catalog::{self, ENSEMBLE};
use super::check::{Given, check};
use super::reply::{Outbox, Reply, Tensors};
use super::statistics::Statistics;
use crate::engine::{Engine, Job, Refusal, Step};
use crate::spend::spend;
use crate::{Clock, ServeOptions};

/// Everything behind the port.
#[derive(Debug)]
pub(super) struct Simulation {
    pub(super) engine: Engine,
    pub(super) configs: Vec<ModelConfig>,
    pub(super) statistics: Statistics,
    pub(super) options: ServeOptions,
    clock: Clock,
    preprocess_places: Semaphore,
    postprocess_places: Semaphore,
}

/// What Triton puts before the words of a step of the ensemble.
const IN_ENSEMBLE: &str = "in ensemble 'ensemble', ";
/// What `lmdeploy_model` puts before the words of whatever it catches.
const IN_PYTHON: &str = "Error when processing request: ";

impl Simulation {
    pub(super) fn new(engine: Engine, options: ServeOptions) -> Self {
        let places = |count: usize| Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS));
        Self {
            configs: catalog::configs(&engine, &options),
            statistics: Statistics::default(),
            clock: Clock::start(),
            preprocess_places: places(options.preprocess_instances),
            postprocess_places: places(options.postprocess_instances),
            engine,
            options,
        }
    }

    /// A model's configuration.
    ///
    /// # Errors
    /// Triton's words for a model that is not there.
    pub(super) fn config(&self, model: &str, version: &str) -> Result<&ModelConfig, Status> {
        let found = self.configs.iter().find(|config| config.name == model);
        let config = found.ok_or_else(|| {
            Status::not_found(format!("Request for unknown model: '{model}' is not found"))
        })?;
        match version {
            "" | "-1" | "1" => Ok(config),
            other => Err(Status::not_found(format!(
                "Request for unknown model: '{model}' version {other} is not found"
            ))),
        }
    }

    /// Answers a unary request.
    ///
    /// # Errors
    /// Triton's status.
    pub(super) async fn infer(
        &self,
        request: &ModelInferRequest,
    ) -> Result<ModelInferResponse, Status> {
        let config = self.config(&request.model_name, &request.model_version)?;
        if is_decoupled(config) {
            return Err(Status::unimplemented(
                "ModelInfer RPC doesn't support models with decoupled transaction policy",
            ));
        }
        let given = check(config, request)?;
        let tensors = self.once(&config.name, &given).await?;
        Ok(tensors.response(&config.name, &request.id))
    }

    /// Answers a streamed request. Ends early when nobody listens any more.
    pub(super) async fn stream(self: Arc<Self>, request: ModelInferRequest, out: Outbox) {
        let reply = Reply::new(&request, &out);
        tokio::select! {
            () = out.closed() => {}
            () = self.answer(&request, &reply) => {}
        }
    }

    async fn answer(self: &Arc<Self>, request: &ModelInferRequest, reply: &Reply<'_>) {
        let config = match self.config(&request.model_name, &request.model_version) {
            Ok(config) => config,
            Err(status) => return reply.refuse(status.message()),
        };
        let given = match check(config, request) {
            Ok(given) => given,
            Err(status) => return reply.refuse(status.message()),
        };
        let (place, outcome) = match config.name.as_str() {
            TURBOMIND => ("", self.turbomind(&given, reply).await),
            ENSEMBLE => (IN_ENSEMBLE, self.ensemble(&given, reply).await),
            LMDEPLOY_MODEL => (IN_PYTHON, self.lmdeploy_model(&given, reply).await),
            // A model with one response works on a stream, too.
            other => {
                match self.once(other, &given).await {
                    Ok(tensors) => reply.send(tensors, true, 0),
                    Err(status) => reply.fail(status.message()),
                }
                return;
            }
        };
        match outcome {
            Ok(()) => {}
            Err(Refusal::Cut) => reply.cut(),
            Err(refusal) => reply.engine_failed(place, refusal.code()),
        }
    }

    /// Books a request of a decoupled model, once its stream of responses is
    /// begun. Triton knows no more of it (seen on 2.51): one request, the time
    /// until `execute` returned, and success, even if an error follows.
    fn begun(&self, model: &'static str, start_ns: u64) {
        let spent_ns = self.clock.now_ns().saturating_sub(start_ns);
        self.statistics.book(model, true, 0, spent_ns);
    }

    /// The models with one response.
    async fn once(&self, model: &str, given: &Given) -> Result<Tensors, Status> {
        let mut tensors = Tensors::default();
        if model == PREPROCESSING {
            let ids = self.preprocess(&given.string("QUERY")).await?;
            let length = u32::try_from(ids.len()).unwrap_or(u32::MAX);
            tensors.u32s("INPUT_ID", vec![1, length.into()], &ids);
            tensors.u32s("REQUEST_INPUT_LEN", vec![1, 1], &[length]);
        } else {
            let ids = given.ids("TOKENS_BATCH");
            let offset = given.number("sequence_length").unwrap_or(0);
            let text = self.postprocess(&ids, offset).await;
            // One dimension, whatever the configuration says, as LMDeploy's.
            tensors.text("OUTPUT", vec![1], &text);
        }
        Ok(tensors)
    }

    /// One preprocessing call: waits for an instance, costs its time. Knows
    /// the words `<BOS>` and `<EOS>`, as LMDeploy's does.
    async fn preprocess(&self, text: &Bytes) -> Result<Vec<u32>, Status> {
        let asked_ns = self.clock.now_ns();
        let place = self.preprocess_places.acquire().await;
        let begun_ns = self.clock.now_ns();
        spend(self.options.preprocess).await;
        let text = as_text(text);
        let fails = self.engine.config().prompt_orders && text.starts_with("!fail-pre");
        let codec = self.engine.codec();
        let ids = match &*text {
            "<EOS>" => vec![codec.eos()],
            "<BOS>" => codec.encode(""),
            text => codec.encode(text),
        };
        drop(place);
        let (queue_ns, infer_ns) = (begun_ns - asked_ns, self.clock.now_ns() - begun_ns);
        self.statistics
            .book(PREPROCESSING, !fails, queue_ns, infer_ns);
        if fails {
            return Err(Status::internal("simulated tokenizer failure"));
        }
        Ok(ids)
    }

    /// One postprocessing call: the text of the ids from `offset` on. Bytes
    /// that make no character become U+FFFD, as a tokenizer's do.
    async fn postprocess(&self, ids: &[u32], offset: u32) -> String {
        let asked_ns = self.clock.now_ns();
        let place = self.postprocess_places.acquire().await;
        let begun_ns = self.clock.now_ns();
        spend(self.options.postprocess).await;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self
            .engine
            .codec()
            .decode(ids.get(from..).unwrap_or_default());
        let text = as_text(&bytes).into_owned();
        drop(place);
        let (queue_ns, infer_ns) = (begun_ns - asked_ns, self.clock.now_ns() - begun_ns);
        self.statistics
            .book(POSTPROCESSING, true, queue_ns, infer_ns);
        text
    }

    /// The engine model: the whole sequence with every message, the last of
    /// which is final.
    async fn turbomind(&self, given: &Given, reply: &Reply<'_>) -> Result<(), Refusal> {
        let start_ns = self.clock.now_ns();
        let length = given.number("input_lengths").unwrap_or(0);
        let mut sequence = given.ids("input_ids");
        sequence.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        let job = Job {
            id: given.long("CORRID").unwrap_or(0),
            prompt: sequence.clone(),
            max_tokens: given.number("request_output_len").unwrap_or(0),
            ignore_eos: self.forbids_eos(given),
        };
        if given.number("STOP").is_some_and(|stop| stop != 0) {
            // Nothing that runs can be stopped that way here.
            self.begun(TURBOMIND, start_ns);
            reply.engine_failed("", 4);
            return Ok(());
        }
        if job.max_tokens == 0 {
            self.begun(TURBOMIND, start_ns);
            reply.finish();
            return Ok(());
        }
        let session = usize::try_from(self.engine.config().session_tokens).unwrap_or(0);
        let steps = self.engine.submit(job);
        self.begun(TURBOMIND, start_ns);
        let mut steps = steps?;
        while let Some(step) = steps.next().await {
            let step = step?;
            sequence.extend(&step.tokens);
            let length = u32::try_from(sequence.len()).unwrap_or(u32::MAX);
            let mut tensors = Tensors::default();
            if self.options.full_output_ids {
                let mut buffer = sequence.clone();
                buffer.resize(session.max(sequence.len()), 0);
                let width = i64::try_from(buffer.len()).unwrap_or(i64::MAX);
                tensors.u32s("output_ids", vec![1, 1, width], &buffer);
            } else {
                tensors.u32s("output_ids", vec![1, 1, length.into()], &sequence);
            }
            tensors.u32s("sequence_length", vec![1, 1], &[length]);
            reply.send(tensors, step.ending.is_some(), step.total);
        }
        Ok(())
    }

    fn forbids_eos(&self, given: &Given) -> bool {
        // One word of one id: the ids, then where each word ends.
        given.ids("bad_words_list").first() == Some(&self.engine.codec().eos())
    }

    /// The three models in a chain. Text is made of one message after the
    /// other, so its order holds whatever the instance count; a real ensemble
    /// loses it with more than one postprocessing instance, and this one where
    /// the options say so.
    ///
    /// Who cancels the request ends the text and not the engine's step: Triton
    /// hands a cancellation to no step of an ensemble (seen on 2.51).
    async fn ensemble(self: &Arc<Self>, given: &Given, reply: &Reply<'_>) -> Result<(), Refusal> {
        let start_ns = self.clock.now_ns();
        let prompt = match self.preprocess(&given.string("text_input")).await {
            Ok(prompt) => prompt,
            Err(status) => {
                let spent_ns = self.clock.now_ns().saturating_sub(start_ns);
                self.statistics.book(ENSEMBLE, false, 0, spent_ns);
                reply.fail(&format!("{IN_ENSEMBLE}{}", status.message()));
                return Ok(());
            }
        };
        let length = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
        let job = Job {
            id: 0,
            prompt,
            max_tokens: given.number("max_tokens").unwrap_or(0),
            ignore_eos: self.forbids_eos(given),
        };
        let (steps, mut arriving) = mpsc::unbounded_channel();
        // A task of its own: it has to outlive the reply.
        tokio::spawn(Arc::clone(self).engine_step(job, steps));
        self.begun(ENSEMBLE, start_ns);
        let mut early: Option<(u32, String)> = None;
        while let Some(step) = arriving.recv().await {
            let step: Step = step?;
            let text = self.postprocess(&step.tokens, 0).await;
            // One piece is overtaken by the next, but for the last one.
            let send = |total: u32, text: &str, last: bool| {
                let mut tensors = Tensors::default();
                // The scheduler sends outputs as they come to be.
                tensors.u32s(
                    "sequence_length",
                    vec![1, 1],
                    &[length.saturating_add(total)],
                );
                tensors.text("text_output", vec![1], text);
                reply.send(tensors, last, total);
            };
            let last = step.ending.is_some();
            match early.take() {
                Some((total, overtaken)) => {
                    send(total, &text, false);
                    send(step.total, &overtaken, last);
                }
                None if self.options.unordered_text && !last => early = Some((step.total, text)),
                None => send(step.total, &text, last),
            }
        }
        Ok(())
    }

    /// The engine within an ensemble: keeps its place as long as it runs,
    /// however long the text takes and whoever still listens.
    async fn engine_step(
        self: Arc<Self>,
        job: Job,
        out: mpsc::UnboundedSender<Result<Step, Refusal>>,
    ) {
        let start_ns = self.clock.now_ns();
        let steps = self.engine.submit(job);
        self.begun(TURBOMIND, start_ns);
        // Nobody listens only when the request was cancelled.
        match steps {
            Err(refusal) => drop(out.send(Err(refusal))),
            Ok(mut steps) => {
                while let Some(step) = steps.next().await {
                    drop(out.send(step));
                }
            }
        }
    }

    /// The later python model: a piece of text per message, and an empty one
    /// behind the last; or all of it at once.
    async fn lmdeploy_model(&self, given: &Given, reply: &Reply<'_>) -> Result<(), Refusal> {
        let start_ns = self.clock.now_ns();
        let codec = self.engine.codec();
        let job = Job {
            id: 0,
            prompt: codec.encode(&as_text(&given.string("prompt"))),
            max_tokens: given.number("max_tokens").unwrap_or(0),
            ignore_eos: given.flag("ignore_eos"),
        };
        let streams = given.flag("stream");
        let steps = self.engine.submit(job);
        self.begun(LMDEPLOY_MODEL, start_ns);
        let mut steps = steps?;
        let (mut held, mut whole, mut total) = (Vec::new(), String::new(), 0);
        while let Some(step) = steps.next().await {
            let step = step?;
            total = step.total;
            held.extend(&step.tokens);
            let bytes = codec.decode(&held);
            let piece = if is_unfinished(&bytes) && step.ending.is_none() {
                String::new()
            } else {
                held.clear();
                as_text(&bytes).into_owned()
            };
            if streams {
                reply.send(response(&piece), false, total);
            } else {
                whole.push_str(&piece);
            }
        }
        reply.send(response(&whole), true, total);
        Ok(())
    }
}

/// Whether a model may give any number of responses.
fn is_decoupled(config: &ModelConfig) -> bool {
    config
        .model_transaction_policy
        .is_some_and(|policy| policy.decoupled)
}

/// `lmdeploy_model`'s output: rank 0, against its own configuration.
fn response(piece: &str) -> Tensors {
    let mut tensors = Tensors::default();
    tensors.text("response", Vec::new(), piece);
    tensors
}
