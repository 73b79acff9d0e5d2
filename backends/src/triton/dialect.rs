//! Models that take text and give text: which of their tensors is what. A
//! model's names and types are a value made from its ModelConfig, not a client
//! of its own.

use bytes::Bytes;

use super::ask::{Call, Inputs};
use super::client::Client;
use super::ear::Taker;
use super::layout::Often;
use super::proto::{DataType, ModelConfig, ModelInput};
use super::reply::Reply;
use super::status::of_nothing;
use super::texts::{append, as_text};
use super::turbomind::Progress;
use super::wire::{self, datatype_word, strings_to_bytes};
use crate::{Ending, Error, ErrorKind, Finish, Hop, Request, Sink, TokenSource, excerpt};

/// What an input is for, and the names that it goes by: TensorRT-LLM's and
/// LMDeploy's `lmdeploy_model` (v0.4.0), LMDeploy's draft ensemble (commit
/// 0f3e3a8f, `INPUT_0`, `INPUT_1`), turbomind's own.
const PROMPT: &[&str] = &["text_input", "prompt", "INPUT_0", "QUERY"];
const MAX_TOKENS: &[&str] = &["max_tokens", "INPUT_1", "request_output_len"];
const MIN_TOKENS: &[&str] = &["min_tokens", "min_length"];
const TEMPERATURE: &[&str] = &["temperature"];
const TOP_P: &[&str] = &["top_p", "runtime_top_p"];
const TOP_K: &[&str] = &["top_k", "runtime_top_k"];
const REPETITION_PENALTY: &[&str] = &["repetition_penalty"];
const IGNORE_EOS: &[&str] = &["ignore_eos"];
const STREAM: &[&str] = &["stream"];
const SKIP_SPECIAL_TOKENS: &[&str] = &["skip_special_tokens"];
const BAD_WORDS_LIST: &[&str] = &["bad_words_list"];
const START_END: &[&str] = &["START", "END"];
const CORRID: &[&str] = &["CORRID"];
/// Names of the text that comes out.
const TEXT: &[&str] = &["text_output", "response", "OUTPUT_0", "OUTPUT"];

/// One text-to-text model's tensors.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    model: String,
    batched: bool,
    inputs: Vec<ModelInput>,
    text: String,
    has_length: bool,
    eos: Option<u32>,
}

/// A value to be put into an input of whatever type the model declares.
#[derive(Clone, Copy, Debug)]
enum Number {
    Whole(u64),
    Real(f32),
}

impl Wire {
    /// Reads a configuration. `eos` is the id to forbid where the model takes
    /// a list of bad words and the request is to ignore the end of sequence.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when it lacks an input or output that is needed, or
    /// needs one that is not known here.
    pub(super) fn of(config: &ModelConfig, eos: Option<u32>) -> Result<Self, Error> {
        let refuse = |what: String| {
            let words = format!("model `{}` {what}", excerpt(&config.name));
            Error::new(ErrorKind::Model, words)
        };
        let has = |names: &[&str]| {
            config
                .input
                .iter()
                .any(|input| names.contains(&&*input.name))
        };
        for (what, names) in [("prompt", PROMPT), ("answer's length", MAX_TOKENS)] {
            if !has(names) {
                let names = names.join(", ");
                return Err(refuse(format!(
                    "has no input for the {what} (one of {names})"
                )));
            }
        }
        let outputs = || config.output.iter().map(|output| output.name.as_str());
        let Some(text) = TEXT
            .iter()
            .find(|&&name| outputs().any(|output| output == name))
        else {
            let names = TEXT.join(", ");
            return Err(refuse(format!(
                "has no output for the text (one of {names})"
            )));
        };
        let wire = Self {
            model: config.name.clone(),
            batched: config.max_batch_size > 0,
            inputs: config.input.clone(),
            text: (*text).to_owned(),
            has_length: outputs().any(|output| output == Often::Length.name()),
            eos,
        };
        for input in &config.input {
            if !input.optional && wire.value(input, &Example::request()).is_none() {
                let kind = input.data_type().as_str_name();
                let name = excerpt(&input.name);
                return Err(refuse(format!(
                    "needs an input `{name}` ({kind}) that this backend cannot fill"
                )));
            }
        }
        Ok(wire)
    }

    /// Name of the output that has the text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The request's tensors: of the optional ones those that the model has
    /// and we have a value for.
    fn inputs(&self, request: &Request) -> Inputs {
        let mut inputs = Inputs::default();
        for input in &self.inputs {
            if let Some((shape, raw)) = self.value(input, request) {
                inputs.push(&input.name, datatype_word(input.data_type()), &shape, &raw);
            }
        }
        inputs
    }

    /// The shape and bytes of one input; `None` where we have nothing to say.
    fn value(&self, input: &ModelInput, request: &Request) -> Option<(Vec<i64>, Bytes)> {
        let name = input.name.as_str();
        let sampling = &request.sampling;
        let is = |names: &[&str]| names.contains(&name);
        if is(PROMPT) {
            let text = strings_to_bytes(&[request.prompt.as_bytes()]);
            return (input.data_type() == DataType::TypeString)
                .then(|| (self.shape(input, 1), text));
        }
        if is(BAD_WORDS_LIST) {
            let eos = self.eos.filter(|_| sampling.ignore_eos)?;
            let raw = [eos, 1].iter().flat_map(|id| id.to_le_bytes()).collect();
            let shape = self.shape(input, 1);
            return (input.data_type() == DataType::TypeInt32 && input.dims == [2, -1])
                .then_some((shape, raw));
        }
        let number = if is(MAX_TOKENS) {
            Number::Whole(request.output_tokens.into())
        } else if is(MIN_TOKENS) {
            Number::Whole(sampling.ignore_eos.then_some(request.output_tokens)?.into())
        } else if is(TEMPERATURE) {
            Number::Real(sampling.temperature)
        } else if is(TOP_P) {
            Number::Real(sampling.top_p)
        } else if is(TOP_K) {
            Number::Whole(sampling.top_k.into())
        } else if is(REPETITION_PENALTY) {
            Number::Real(1.0)
        } else if is(IGNORE_EOS) {
            Number::Whole(sampling.ignore_eos.into())
        } else if is(STREAM) {
            Number::Whole(request.stream.into())
        } else if is(SKIP_SPECIAL_TOKENS) {
            // LMDeploy's default, and what postprocessing is asked for.
            Number::Whole(1)
        } else if is(START_END) {
            Number::Whole(1)
        } else if is(CORRID) {
            Number::Whole(request.id)
        } else {
            return None;
        };
        Some((self.shape(input, 1), number.bytes(input.data_type())?))
    }

    /// The input's dims with `free` for those left open, behind the batch.
    fn shape(&self, input: &ModelInput, free: i64) -> Vec<i64> {
        let batch = self.batched.then_some(1);
        let dims = input
            .dims
            .iter()
            .map(|&dim| if dim < 0 { free } else { dim });
        batch.into_iter().chain(dims).collect()
    }

    /// The request as it goes out.
    ///
    /// # Errors
    /// When it is too long for a message.
    pub(super) fn framed(&self, request: &Request) -> Result<Bytes, Error> {
        let call = Call {
            model: &self.model,
            id: request.id,
            inputs: self.inputs(request),
            sequence: false,
        };
        call.framed(true)
    }

    /// Sends one request and follows its answer.
    ///
    /// # Errors
    /// Any end of the answer that is not a success.
    pub(super) async fn generate(
        &self,
        client: &Client,
        request: &Request,
        sink: &mut Sink,
    ) -> Result<Finish, Error> {
        let call = match &request.wire {
            Some(call) => call.clone(),
            None => self.framed(request)?,
        };
        let line = client.shared().await?;
        sink.enter(Hop::Engine);
        let mut answer = client.stream(line, &self.model, request.id, call).await?;
        // The length counts the prompt, too: without the server's own count of
        // that the answer's is not known. Ours may be another tokenizer's.
        let progress = match request.server_prompt_tokens {
            Some(prompt) if self.has_length => Some(Progress::after(prompt)),
            _ => None,
        };
        let spoken = Spoken {
            progress,
            counted: None,
            output: self.text.clone(),
            stream: request.stream,
            whole: String::new(),
            sink: sink.stand_in(),
        };
        let (spoken, end) = answer.listen(sink, spoken).await;
        end?;
        answer.close();
        let counted = spoken.and_then(|spoken| spoken.counted);
        if counted.unwrap_or(0) == 0 && !sink.has_tokens() {
            return Err(of_nothing(&self.model));
        }
        Ok(Finish {
            ending: Ending::Unstated,
            prompt_tokens: None,
            completion: counted.map(|total| (total, TokenSource::Ids)),
        })
    }
}

/// What becomes of an answer's frames: text, at once or as a whole.
struct Spoken {
    /// Tokens, where they can be counted.
    progress: Option<Progress>,
    counted: Option<u32>,
    /// The text's output.
    output: String,
    stream: bool,
    /// The text of an answer that is not streamed.
    whole: String,
    sink: Sink,
}

impl Taker for Spoken {
    fn sink(&mut self) -> &mut Sink {
        &mut self.sink
    }

    fn lent(&self) -> &Sink {
        &self.sink
    }

    fn take(&mut self, reply: &Reply) -> Result<(), Error> {
        if let Some(progress) = &mut self.progress
            && let Some(length) = wire::often(reply, Often::Length)?
        {
            self.counted = Some(progress.advance(reply, length.count()?)?);
        }
        let piece = wire::output(reply, &self.output)?.map(|text| text.string());
        let piece = piece.transpose()?.unwrap_or_default();
        let piece = as_text(&piece);
        if self.stream {
            deliver(&mut self.sink, self.counted, &piece);
            return Ok(());
        }
        self.sink.event();
        append(&mut self.whole, &piece)
    }

    fn end(&mut self) {
        if !self.stream {
            deliver(&mut self.sink, self.counted, &self.whole);
        }
        self.sink.leave(Hop::Engine);
        self.sink.end();
    }
}

/// A piece of text is in hand, and `total` tokens by now where that is known.
/// Tokens without text are no mark: the next text brings them.
fn deliver(sink: &mut Sink, total: Option<u32>, piece: &str) {
    match total {
        _ if piece.is_empty() => return sink.event(),
        Some(total) => drop(sink.tokens_so_far(total)),
        None => sink.tokens(0),
    }
    sink.text(piece);
}

/// A request to try a configuration with.
struct Example;

impl Example {
    fn request() -> Request {
        Request {
            id: 1,
            slot: 0,
            prompt: "a".into(),
            turn: None,
            token_ids: [1].into(),
            server_prompt_tokens: None,
            output_tokens: 1,
            sampling: crate::Sampling::default(),
            stream: true,
            prompt_mode: crate::PromptMode::Raw,
            wire: None,
        }
    }
}

impl Number {
    /// The value in the model's own type; `None` where it does not fit.
    fn bytes(self, kind: DataType) -> Option<Bytes> {
        let whole = match self {
            Self::Real(value) => return real_bytes(kind, value.into()),
            Self::Whole(value) => value,
        };
        let small = || u32::try_from(whole).ok();
        match kind {
            DataType::TypeBool => Some(Bytes::copy_from_slice(&[u8::from(whole != 0)])),
            DataType::TypeUint32 => Some(Bytes::copy_from_slice(&small()?.to_le_bytes())),
            DataType::TypeInt32 => {
                let value = i32::try_from(whole).ok()?;
                Some(Bytes::copy_from_slice(&value.to_le_bytes()))
            }
            DataType::TypeUint64 => Some(Bytes::copy_from_slice(&whole.to_le_bytes())),
            DataType::TypeInt64 => {
                let value = i64::try_from(whole).ok()?;
                Some(Bytes::copy_from_slice(&value.to_le_bytes()))
            }
            other => real_bytes(other, small()?.into()),
        }
    }
}

fn real_bytes(kind: DataType, value: f64) -> Option<Bytes> {
    match kind {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the value came from an f32 or a small whole number"
        )]
        DataType::TypeFp32 => Some(Bytes::copy_from_slice(&(value as f32).to_le_bytes())),
        DataType::TypeFp64 => Some(Bytes::copy_from_slice(&value.to_le_bytes())),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
