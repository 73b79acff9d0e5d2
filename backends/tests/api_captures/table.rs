//! What the client must make of each captured answer.

use backends::Ending::{self, Length, Stop, Unstated};
use backends::ErrorKind::{self, Auth, Cut, Malformed, Model, Protocol, Rejected, Server};

/// As what the capture is given to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The answer to a request for a stream.
    Stream,
    /// The answer to a request without one.
    Whole,
    /// The answer to the probe's `GET /v1/models`.
    Probe,
    /// The answer to `POST /v1/encode`.
    Encode,
}

use How::{Encode, Probe, Stream, Whole};

/// What comes of it.
#[derive(Debug)]
pub(crate) enum Said {
    /// Ending, prompt tokens, completion tokens by usage, marks, text.
    Good(Ending, Option<u32>, Option<u32>, usize, &'static str),
    /// Kind, marks, words of the message.
    Bad(ErrorKind, usize, &'static str),
}

use Said::{Bad, Good};

/// One capture.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) file: &'static str,
    pub(crate) how: How,
    pub(crate) said: Said,
}

const fn row(file: &'static str, how: How, said: Said) -> Row {
    Row { file, how, said }
}

/// All captures, one a line.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row("lmdeploy-0.1.0/chat-bad-json", Whole, Bad(Rejected, 0, "HTTP 422: JSON decode error")),
    row("lmdeploy-0.1.0/chat-bad-type", Whole, Bad(Rejected, 0, "HTTP 422: max_tokens: Input should be a valid integer, unable to parse string as an integer")),
    row("lmdeploy-0.1.0/chat-max-completion-tokens", Whole, Good(Stop, Some(33), Some(5), 1, " the stream of tokens is")),
    row("lmdeploy-0.1.0/chat-nonstream-engine-error", Whole, Bad(Server, 0, "HTTP 500: Internal Server Error")),
    row("lmdeploy-0.1.0/chat-nonstream-string", Whole, Good(Length, Some(26), Some(4), 1, " the stream of tokens")),
    row("lmdeploy-0.1.0/chat-nonstream", Whole, Good(Length, Some(301), Some(4), 1, " the stream of tokens")),
    row("lmdeploy-0.1.0/chat-stop-string", Whole, Bad(Rejected, 0, "HTTP 422: stop: Input should be a valid boolean, unable to interpret input")),
    row("lmdeploy-0.1.0/chat-stream-2023-client", Stream, Good(Length, None, None, 6, " the stream of tokens is long")),
    row("lmdeploy-0.1.0/chat-stream-engine-error", Stream, Bad(Cut, 3, "in the middle of the answer")),
    row("lmdeploy-0.1.0/chat-stream-eos", Stream, Good(Stop, None, None, 3, " the stream of")),
    row("lmdeploy-0.1.0/chat-stream-n2", Stream, Good(Length, None, None, 2, " the stream")),
    row("lmdeploy-0.1.0/chat-stream-slow-prefill", Stream, Good(Length, None, None, 3, " the stream of")),
    row("lmdeploy-0.1.0/chat-stream-step3", Stream, Good(Length, None, None, 3, " the stream of tokens is long and the")),
    row("lmdeploy-0.1.0/chat-stream-usage-option", Stream, Good(Length, None, None, 2, " the stream")),
    row("lmdeploy-0.1.0/chat-stream-utf8-cut", Stream, Good(Length, None, None, 4, " caf�")),
    row("lmdeploy-0.1.0/chat-stream-utf8", Stream, Good(Length, None, None, 9, " café 流式 �")),
    row("lmdeploy-0.1.0/chat-stream", Stream, Good(Length, None, None, 4, " the stream of tokens")),
    row("lmdeploy-0.1.0/chat-too-long-stream", Stream, Bad(Rejected, 0, "`length` before its first token")),
    row("lmdeploy-0.1.0/chat-too-long", Whole, Bad(Rejected, 0, "`length` before its first token")),
    row("lmdeploy-0.1.0/chat-unknown-model-stream", Stream, Bad(Model, 0, "HTTP 200 with an error: The model `nope` does not exist.")),
    row("lmdeploy-0.1.0/chat-unknown-model", Whole, Bad(Model, 0, "HTTP 200 with an error: The model `nope` does not exist.")),
    row("lmdeploy-0.1.0/completions-nonstream", Whole, Good(Length, Some(26), Some(4), 1, " the stream of tokens")),
    row("lmdeploy-0.1.0/completions-stream", Stream, Good(Length, None, None, 4, " the stream of tokens")),
    row("lmdeploy-0.1.0/embeddings", Whole, Bad(Rejected, 0, "HTTP 200 with an error: Unsupported by turbomind.")),
    row("lmdeploy-0.1.0/encode", Encode, Good(Unstated, Some(4), None, 0, "")),
    row("lmdeploy-0.1.0/generate-stream", Stream, Bad(Malformed, 0, "bare JSON lines; server-sent events start with")),
    row("lmdeploy-0.1.0/health", Probe, Bad(Protocol, 0, "HTTP 404: Not Found; it has no such endpoint, so it is no api_server")),
    row("lmdeploy-0.1.0/interactive-nonstream", Whole, Bad(Malformed, 0, "an answer without a choice: {\"text\":\" the stream of")),
    row("lmdeploy-0.1.0/interactive-stream-utf8", Stream, Bad(Malformed, 0, "bare JSON lines; server-sent events start with")),
    row("lmdeploy-0.1.0/interactive-stream", Stream, Bad(Malformed, 0, "bare JSON lines; server-sent events start with")),
    row("lmdeploy-0.1.0/interactive-too-long", Stream, Bad(Malformed, 0, "bare JSON lines; server-sent events start with")),
    row("lmdeploy-0.1.0/models", Probe, Good(Unstated, None, None, 0, "internlm-chat-7b")),
    row("lmdeploy-0.10.2/chat-bad-top-p", Whole, Bad(Rejected, 0, "HTTP 400: The top_p 1.5 must be in (0, 1]")),
    row("lmdeploy-0.10.2/chat-bad-type", Whole, Bad(Rejected, 0, "HTTP 422: max_tokens: Input should be a valid integer, unable to parse string as an integer")),
    row("lmdeploy-0.10.2/chat-max-completion-tokens", Whole, Good(Length, Some(36), Some(2), 1, " the stream")),
    row("lmdeploy-0.10.2/chat-nonstream", Whole, Good(Length, Some(29), Some(3), 1, " the stream of")),
    row("lmdeploy-0.10.2/chat-stream-engine-error", Stream, Bad(Server, 2, "the server ended the answer with finish_reason `error`: internal error happened")),
    row("lmdeploy-0.10.2/chat-stream-eos", Stream, Good(Stop, Some(36), Some(2), 2, " the stream")),
    row("lmdeploy-0.10.2/chat-stream-slow-prefill", Stream, Good(Length, None, None, 2, " the stream")),
    row("lmdeploy-0.10.2/chat-stream-string", Stream, Good(Length, None, None, 3, " the stream of")),
    row("lmdeploy-0.10.2/chat-stream-usage", Stream, Good(Length, Some(29), Some(3), 3, " the stream of")),
    row("lmdeploy-0.10.2/chat-stream-utf8", Stream, Good(Length, Some(40), Some(9), 6, " café 流")),
    row("lmdeploy-0.10.2/chat-stream", Stream, Good(Length, None, None, 3, " the stream of")),
    row("lmdeploy-0.10.2/chat-unknown-model", Whole, Bad(Model, 0, "HTTP 404: The model 'nope' does not exist")),
    row("lmdeploy-0.10.2/completions-nonstream", Whole, Good(Length, Some(26), Some(3), 1, " the stream of")),
    row("lmdeploy-0.10.2/completions-stream-usage", Stream, Good(Length, Some(26), Some(3), 3, " the stream of")),
    row("lmdeploy-0.10.2/completions-stream", Stream, Good(Length, None, None, 3, " the stream of")),
    row("lmdeploy-0.10.2/encode", Encode, Good(Unstated, None, None, 0, "")),
    row("lmdeploy-0.10.2/generate-stream", Stream, Bad(Malformed, 0, "an event that is no piece of an answer: {\"text\":\" the\"")),
    row("lmdeploy-0.10.2/health", Probe, Bad(Protocol, 0, "/v1/models did not answer with a list of models")),
    row("lmdeploy-0.10.2/interactive-nonstream", Whole, Bad(Rejected, 0, "HTTP 400: v1/chat/interactive is deprecated, please launch server with --enable-prefix-cache and use /v1/chat/completions instead")),
    row("lmdeploy-0.10.2/interactive-stream", Stream, Bad(Rejected, 0, "HTTP 400: v1/chat/interactive is deprecated, please launch server with --enable-prefix-cache and use /v1/chat/completions instead")),
    row("lmdeploy-0.10.2/models", Probe, Good(Unstated, None, None, 0, "stub")),
    row("lmdeploy-0.18.0/chat-bad-json", Whole, Bad(Rejected, 0, "HTTP 400: 18: JSON decode error")),
    row("lmdeploy-0.18.0/chat-bad-temperature", Whole, Bad(Rejected, 0, "HTTP 400: The temperature 3.0 must be in [0, 2]")),
    row("lmdeploy-0.18.0/chat-bad-top-p", Whole, Bad(Rejected, 0, "HTTP 400: The top_p 1.5 must be in (0, 1]")),
    row("lmdeploy-0.18.0/chat-bad-type", Whole, Bad(Rejected, 0, "HTTP 400: max_tokens: Input should be a valid integer, unable to parse string as an integer")),
    row("lmdeploy-0.18.0/chat-empty-body", Whole, Bad(Rejected, 0, "HTTP 400: Field required")),
    row("lmdeploy-0.18.0/chat-max-tokens-0", Whole, Bad(Rejected, 0, "HTTP 400: The max_tokens 0 must be a positive integer")),
    row("lmdeploy-0.18.0/chat-max-tokens-float", Whole, Good(Length, Some(26), Some(4), 1, " the stream of tokens")),
    row("lmdeploy-0.18.0/chat-max-tokens-over-context", Stream, Good(Stop, Some(33), Some(3), 3, " the stream of")),
    row("lmdeploy-0.18.0/chat-max-tokens-str", Whole, Good(Length, Some(26), Some(4), 1, " the stream of tokens")),
    row("lmdeploy-0.18.0/chat-messages-empty", Whole, Bad(Rejected, 0, "HTTP 400: messages must not be empty unless input_ids is set")),
    row("lmdeploy-0.18.0/chat-messages-string", Whole, Bad(Rejected, 0, "HTTP 400: messages: Input should be a valid list")),
    row("lmdeploy-0.18.0/chat-n0", Whole, Bad(Rejected, 0, "HTTP 400: The n 0 must be a positive int")),
    row("lmdeploy-0.18.0/chat-no-content-type", Whole, Bad(Rejected, 0, "HTTP 400: Unsupported Media Type: Only 'application/json' is allowed")),
    row("lmdeploy-0.18.0/chat-no-max-tokens", Whole, Good(Stop, Some(33), Some(3), 1, " the stream of")),
    row("lmdeploy-0.18.0/chat-no-model", Whole, Bad(Rejected, 0, "HTTP 400: model: Field required")),
    row("lmdeploy-0.18.0/chat-nonstream-engine-error", Whole, Bad(Server, 0, "HTTP 500: An internal server error occurred")),
    row("lmdeploy-0.18.0/chat-nonstream-usage-option", Whole, Good(Length, Some(26), Some(4), 1, " the stream of tokens")),
    row("lmdeploy-0.18.0/chat-nonstream", Whole, Good(Length, Some(26), Some(4), 1, " the stream of tokens")),
    row("lmdeploy-0.18.0/chat-session-0", Stream, Good(Length, None, None, 2, " the stream")),
    row("lmdeploy-0.18.0/chat-stream-cut", Stream, Bad(Cut, 3, "in the middle of the answer")),
    row("lmdeploy-0.18.0/chat-stream-engine-error-first", Stream, Bad(Server, 1, "HTTP 200 with an error: An internal server error occurred.")),
    row("lmdeploy-0.18.0/chat-stream-engine-error", Stream, Bad(Server, 3, "HTTP 200 with an error: An internal server error occurred.")),
    row("lmdeploy-0.18.0/chat-stream-eos-first", Stream, Good(Stop, Some(33), Some(0), 0, "")),
    row("lmdeploy-0.18.0/chat-stream-eos", Stream, Good(Stop, Some(33), Some(3), 3, " the stream of")),
    row("lmdeploy-0.18.0/chat-stream-ignore-eos", Stream, Good(Length, Some(33), Some(6), 6, " the stream of tokens is long")),
    row("lmdeploy-0.18.0/chat-stream-max-completion-tokens", Stream, Good(Length, Some(26), Some(2), 2, " the stream")),
    row("lmdeploy-0.18.0/chat-stream-min-new-tokens", Stream, Good(Stop, Some(33), Some(3), 3, " the stream of")),
    row("lmdeploy-0.18.0/chat-stream-n2", Stream, Good(Length, Some(26), Some(6), 3, " the stream of")),
    row("lmdeploy-0.18.0/chat-stream-step3", Stream, Good(Length, Some(34), Some(8), 3, " the stream of tokens is long and the")),
    row("lmdeploy-0.18.0/chat-stream-token-ids", Stream, Good(Length, Some(37), Some(14), 8, " café 流式 ")),
    row("lmdeploy-0.18.0/chat-stream-unknown-field", Stream, Good(Length, None, None, 2, " the stream")),
    row("lmdeploy-0.18.0/chat-stream-usage", Stream, Good(Length, Some(26), Some(4), 4, " the stream of tokens")),
    row("lmdeploy-0.18.0/chat-stream-utf8-cut", Stream, Good(Length, Some(37), Some(4), 3, " caf")),
    row("lmdeploy-0.18.0/chat-stream-utf8", Stream, Good(Length, Some(37), Some(14), 8, " café 流式 ")),
    row("lmdeploy-0.18.0/chat-stream", Stream, Good(Length, None, None, 4, " the stream of tokens")),
    row("lmdeploy-0.18.0/chat-too-long-stream", Stream, Bad(Rejected, 0, "HTTP 400: Input length (2602) must be smaller than the model context length (2048)")),
    row("lmdeploy-0.18.0/chat-too-long", Whole, Bad(Rejected, 0, "HTTP 400: Input length (2602) must be smaller than the model context length (2048)")),
    row("lmdeploy-0.18.0/chat-unknown-model-stream", Stream, Bad(Model, 0, "HTTP 404: The model 'nope' does not exist")),
    row("lmdeploy-0.18.0/chat-unknown-model", Whole, Bad(Model, 0, "HTTP 404: The model 'nope' does not exist")),
    row("lmdeploy-0.18.0/completions-min-new-tokens", Stream, Good(Stop, None, None, 2, " the stream")),
    row("lmdeploy-0.18.0/completions-no-max-tokens", Whole, Good(Stop, Some(34), Some(20), 1, " the stream of tokens is long and the model will say more about it the stream of tokens is long")),
    row("lmdeploy-0.18.0/completions-nonstream", Whole, Good(Length, Some(26), Some(4), 1, " the stream of tokens")),
    row("lmdeploy-0.18.0/completions-stream-engine-error", Stream, Bad(Server, 3, "HTTP 200 with an error: An internal server error occurred.")),
    row("lmdeploy-0.18.0/completions-stream-two-prompts", Stream, Good(Length, Some(50), Some(4), 4, " the stream the stream")),
    row("lmdeploy-0.18.0/completions-stream-usage", Stream, Good(Length, Some(26), Some(4), 4, " the stream of tokens")),
    row("lmdeploy-0.18.0/completions-stream", Stream, Good(Length, None, None, 4, " the stream of tokens")),
    row("lmdeploy-0.18.0/completions-token-ids-prompt", Whole, Bad(Rejected, 0, "HTTP 400: Request preprocessing failed")),
    row("lmdeploy-0.18.0/encode", Encode, Good(Unstated, None, None, 0, "")),
    row("lmdeploy-0.18.0/generate-input-ids", Whole, Bad(Malformed, 0, "an answer without a choice: {\"text\":\" the stream of")),
    row("lmdeploy-0.18.0/generate-nonstream", Whole, Bad(Malformed, 0, "an answer without a choice: {\"text\":\" the stream of")),
    row("lmdeploy-0.18.0/generate-old-body", Stream, Bad(Malformed, 0, "an event that is no piece of an answer: {\"text\":\" the\"")),
    row("lmdeploy-0.18.0/generate-stream", Stream, Bad(Malformed, 0, "an event that is no piece of an answer: {\"text\":\" the\"")),
    row("lmdeploy-0.18.0/health", Probe, Bad(Protocol, 0, "/v1/models did not answer with a list of models")),
    row("lmdeploy-0.18.0/interactive", Whole, Bad(Protocol, 0, "HTTP 404: Not Found; it has no such endpoint, so it is no api_server")),
    row("lmdeploy-0.18.0/models", Probe, Good(Unstated, None, None, 0, "stub")),
    row("lmdeploy-0.18.0/unknown-path", Whole, Bad(Protocol, 0, "HTTP 404: Not Found; it has no such endpoint, so it is no api_server")),
    row("lmdeploy-0.18.0/wrong-method", Whole, Bad(Protocol, 0, "HTTP 405: Method Not Allowed; it has no such endpoint, so it is no api_server")),
    row("lmdeploy-0.18.0-api-keys/auth-health-none", Probe, Bad(Protocol, 0, "/v1/models did not answer with a list of models")),
    row("lmdeploy-0.18.0-api-keys/auth-lowercase", Whole, Good(Length, Some(26), Some(2), 1, " the stream")),
    row("lmdeploy-0.18.0-api-keys/auth-models-none", Probe, Bad(Auth, 0, "give --api-key or set OPENAI_API_KEY")),
    row("lmdeploy-0.18.0-api-keys/auth-none", Whole, Bad(Auth, 0, "give --api-key or set OPENAI_API_KEY")),
    row("lmdeploy-0.18.0-api-keys/auth-right", Whole, Good(Length, Some(26), Some(2), 1, " the stream")),
    row("lmdeploy-0.18.0-api-keys/auth-wrong-stream", Stream, Bad(Auth, 0, "give --api-key or set OPENAI_API_KEY")),
    row("lmdeploy-0.18.0-api-keys/auth-wrong", Whole, Bad(Auth, 0, "give --api-key or set OPENAI_API_KEY")),
    row("lmdeploy-0.5.3/chat-bad-top-p", Whole, Bad(Rejected, 0, "HTTP 200 with an error: The top_p `1.5` must be in (0, 1].")),
    row("lmdeploy-0.5.3/chat-bad-type", Whole, Bad(Rejected, 0, "HTTP 422: max_tokens: Input should be a valid integer, unable to parse string as an integer")),
    row("lmdeploy-0.5.3/chat-max-completion-tokens", Whole, Good(Stop, Some(36), Some(5), 1, " the stream of tokens is")),
    row("lmdeploy-0.5.3/chat-nonstream", Whole, Good(Length, Some(29), Some(3), 1, " the stream of")),
    row("lmdeploy-0.5.3/chat-stream-engine-error", Stream, Bad(Cut, 2, "in the middle of the answer")),
    row("lmdeploy-0.5.3/chat-stream-eos", Stream, Good(Stop, None, None, 2, " the stream")),
    row("lmdeploy-0.5.3/chat-stream-slow-prefill", Stream, Good(Length, None, None, 2, " the stream")),
    row("lmdeploy-0.5.3/chat-stream-string", Stream, Good(Length, None, None, 3, " the stream of")),
    row("lmdeploy-0.5.3/chat-stream-usage", Stream, Good(Length, None, None, 3, " the stream of")),
    row("lmdeploy-0.5.3/chat-stream-utf8", Stream, Good(Length, None, None, 6, " café 流")),
    row("lmdeploy-0.5.3/chat-stream", Stream, Good(Length, None, None, 3, " the stream of")),
    row("lmdeploy-0.5.3/chat-unknown-model", Whole, Bad(Model, 0, "HTTP 200 with an error: The model `nope` does not exist.")),
    row("lmdeploy-0.5.3/completions-nonstream", Whole, Good(Length, Some(26), Some(3), 1, " the stream of")),
    row("lmdeploy-0.5.3/completions-stream-usage", Stream, Good(Length, None, None, 3, " the stream of")),
    row("lmdeploy-0.5.3/completions-stream", Stream, Good(Length, None, None, 3, " the stream of")),
    row("lmdeploy-0.5.3/encode", Encode, Good(Unstated, Some(4), None, 0, "")),
    row("lmdeploy-0.5.3/generate-stream", Stream, Bad(Protocol, 0, "HTTP 404: Not Found; it has no such endpoint, so it is no api_server")),
    row("lmdeploy-0.5.3/health", Probe, Bad(Protocol, 0, "/v1/models did not answer with a list of models")),
    row("lmdeploy-0.5.3/interactive-nonstream", Whole, Bad(Malformed, 0, "an answer without a choice: {\"text\":\" the stream of")),
    row("lmdeploy-0.5.3/interactive-stream", Stream, Bad(Malformed, 0, "bare JSON lines; server-sent events start with")),
    row("lmdeploy-0.5.3/models", Probe, Good(Unstated, None, None, 0, "stub")),
];
