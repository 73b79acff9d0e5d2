//! The JSON of the OpenAI-compatible endpoints, as LMDeploy 0.1 to 0.18 and
//! its relatives write it: request bodies out, events, answers and model lists
//! in. Knows field names and shapes; judges nothing and reads no clock.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{PromptMode, Request};

/// A request body. It carries every spelling that all versions take or ignore
/// (unknown fields are ignored everywhere), so that one body serves them all.
/// `stop` is never sent: it is a boolean up to LMDeploy 0.5 and a text later.
#[derive(Debug, Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<[Turn<'a>; 1]>,
    /// Wins up to LMDeploy 0.9.
    max_tokens: u32,
    /// Wins in chat from LMDeploy 0.10 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    ignore_eos: bool,
    temperature: f32,
    top_p: f32,
    top_k: u32,
    stream: bool,
    /// vLLM refuses it without `stream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    /// vLLM refuses a number, and from LMDeploy 0.5 on a number may clash with
    /// the server's own; see [`super::family::Family::session_id`]. The last
    /// field: [`is_for`] looks there.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// The body for `request` to `model`, ready to be sent. `session_id`: for the
/// versions that need one to tell requests apart.
pub(super) fn body(
    request: &Request,
    model: &str,
    session_id: Option<u32>,
) -> serde_json::Result<Vec<u8>> {
    let prompt = request.prompt.as_ref();
    let chat = request.prompt_mode == PromptMode::Chat;
    let turn = Turn {
        role: "user",
        content: request.turn.as_deref().unwrap_or(prompt),
    };
    serde_json::to_vec(&Body {
        model,
        prompt: (!chat).then_some(prompt),
        messages: chat.then_some([turn]),
        max_tokens: request.output_tokens,
        max_completion_tokens: chat.then_some(request.output_tokens),
        ignore_eos: request.sampling.ignore_eos,
        temperature: request.sampling.temperature,
        top_p: request.sampling.top_p,
        top_k: request.sampling.top_k,
        stream: request.stream,
        stream_options: request.stream.then_some(StreamOptions {
            include_usage: true,
        }),
        session_id,
    })
}

/// Whether a message that ends with a body of [`body`] is for this session; one
/// without a session always is.
pub(super) fn is_for(message: &[u8], session_id: Option<u32>) -> bool {
    session_id.is_none_or(|id| message.ends_with(format!("\"session_id\":{id}}}").as_bytes()))
}

/// Text of a server, borrowed from the message where it has no escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// One event of a stream, or the whole of an answer that is not streamed: the
/// two differ in `delta` against `message`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
    /// A failure in mid-stream (LMDeploy 0.16 on, vLLM).
    #[serde(default)]
    pub(super) error: Option<serde_json::Value>,
    /// `error` marks a flat error body.
    #[serde(borrow, default)]
    pub(super) object: Option<Text<'a>>,
}

/// One of the answers to one prompt; we only ask for one.
#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: u32,
    /// Chat, streamed.
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
    /// Chat, whole.
    #[serde(borrow, default)]
    pub(super) message: Option<Delta<'a>>,
    /// `/v1/completions`.
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<Text<'a>>,
}

/// A piece of a chat answer.
#[derive(Debug, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(super) content: Option<Text<'a>>,
    /// LMDeploy 0.7.2 on.
    #[serde(borrow, default)]
    pub(super) reasoning_content: Option<Text<'a>>,
    /// vLLM's name for it.
    #[serde(borrow, default)]
    pub(super) reasoning: Option<Text<'a>>,
    #[serde(default)]
    pub(super) tool_calls: Option<Vec<serde::de::IgnoredAny>>,
}

/// Counts of a server, as far as it gives them.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Usage {
    #[serde(default)]
    pub(super) prompt_tokens: Option<u32>,
    #[serde(default)]
    pub(super) completion_tokens: Option<u32>,
}

impl Choice<'_> {
    /// The pieces of text in it, thoughts first; none of them empty.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &str> {
        let delta = self.delta.as_ref().or(self.message.as_ref());
        [
            delta.and_then(|delta| delta.reasoning_content.as_ref()),
            delta.and_then(|delta| delta.reasoning.as_ref()),
            delta.and_then(|delta| delta.content.as_ref()),
            self.text.as_ref(),
        ]
        .into_iter()
        .flatten()
        .map(|text| text.0.as_ref())
        .filter(|text| !text.is_empty())
    }

    /// Whether it calls a tool: an answer without text.
    pub(super) fn calls_tool(&self) -> bool {
        [&self.delta, &self.message]
            .into_iter()
            .flatten()
            .filter_map(|delta| delta.tool_calls.as_ref())
            .any(|calls| !calls.is_empty())
    }
}

/// The answer of `GET /v1/models`.
#[derive(Debug, Deserialize)]
pub(super) struct Models {
    pub(super) data: Vec<Model>,
}

/// One model of it.
#[derive(Debug, Deserialize)]
pub(super) struct Model {
    pub(super) id: String,
    /// `lmdeploy`, `vllm`, ...
    #[serde(default)]
    pub(super) owned_by: Option<String>,
    /// vLLM's longest prompt plus answer.
    #[serde(default)]
    pub(super) max_model_len: Option<u32>,
}

/// The answer of `POST /v1/encode` to one text.
#[derive(Debug, Deserialize)]
pub(super) struct Encoded {
    pub(super) length: u32,
    #[serde(default)]
    pub(super) input_ids: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use super::{Chunk, body};
    use crate::{PromptMode, Request, Sampling};

    fn request(stream: bool, prompt_mode: PromptMode) -> Request {
        Request {
            id: 7,
            slot: 3,
            prompt: "say \"hé\"".into(),
            turn: None,
            token_ids: [1, 2].into(),
            server_prompt_tokens: None,
            output_tokens: 5,
            sampling: Sampling {
                temperature: 0.7,
                top_p: 1.0,
                top_k: 1,
                ignore_eos: true,
            },
            stream,
            prompt_mode,
            wire: None,
        }
    }

    fn text(stream: bool, mode: PromptMode, session: Option<u32>) -> String {
        let body = body(&request(stream, mode), "m", session).expect("plain data");
        String::from_utf8(body).expect("JSON")
    }

    #[test]
    fn bodies_are_what_the_servers_take() {
        assert_eq!(
            text(true, PromptMode::Raw, None),
            r#"{"model":"m","prompt":"say \"hé\"","max_tokens":5,"ignore_eos":true,"temperature":0.7,"top_p":1.0,"top_k":1,"stream":true,"stream_options":{"include_usage":true}}"#
        );
        assert_eq!(
            text(false, PromptMode::Chat, Some(3)),
            r#"{"model":"m","messages":[{"role":"user","content":"say \"hé\""}],"max_tokens":5,"max_completion_tokens":5,"ignore_eos":true,"temperature":0.7,"top_p":1.0,"top_k":1,"stream":false,"session_id":3}"#
        );
    }

    #[test]
    fn text_is_borrowed_and_thoughts_come_first() {
        let chunk: Chunk<'_> = serde_json::from_str(
            r#"{"choices":[{"delta":{"content":"b","reasoning_content":"a","tool_calls":[]}}]}"#,
        )
        .expect("an event");
        let choice = &chunk.choices.as_ref().expect("some")[0];
        assert_eq!(choice.pieces().collect::<Vec<_>>(), ["a", "b"]);
        let content = choice
            .delta
            .as_ref()
            .and_then(|delta| delta.content.as_ref());
        assert!(matches!(
            content.expect("some").0,
            std::borrow::Cow::Borrowed("b")
        ));
        assert!(!choice.calls_tool());
    }
}
