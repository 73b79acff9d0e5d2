//! The JSON of LMDeploy 0.18.0 and 0.1.0: which fields, in which order, in
//! which events, as captured from the real servers. Ids are counted, not
//! drawn, and `created` is fixed, so that a run can be repeated byte by byte.

use serde_json::Value;

use crate::Ending;

/// `created` of everything: the servers' is in whole seconds and no use.
pub(super) const CREATED: u64 = 1_700_000_000;

/// Whose shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// LMDeploy 0.18.0.
    New,
    /// LMDeploy 0.1.0.
    Old,
}

/// Which endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Chat,
    Completions,
    /// New: `/generate`, server-sent events with token ids. Old: `/generate`
    /// and `/v1/chat/interactive`, bare JSON lines.
    Generate,
}

/// How one answer is written.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) dialect: Dialect,
    endpoint: Endpoint,
    include_usage: bool,
    pub(super) prompt_tokens: usize,
    /// `"id"` to `"model"`, with `:` and `,` as the version writes them.
    head: String,
    /// The same without `object` and `created`: old first events.
    short_head: String,
    /// The same without spaces: the new usage event.
    dense_head: String,
}

impl Shape {
    pub(super) fn new(
        dialect: Dialect,
        endpoint: Endpoint,
        model: &str,
        number: u64,
        include_usage: bool,
        prompt_tokens: usize,
    ) -> Self {
        let id = match (dialect, endpoint) {
            (Dialect::Old, _) => number.to_string(),
            (Dialect::New, Endpoint::Chat) => format!("chatcmpl-{number:022}"),
            (Dialect::New, _) => "-1".to_owned(),
        };
        let object = match endpoint {
            Endpoint::Chat => "chat.completion.chunk",
            _ => "text_completion",
        };
        let (model, plain) = (ascii(model), quoted(model));
        let dense_head =
            format!(r#""id":"{id}","object":"{object}","created":{CREATED},"model":{plain}"#);
        let spaced = format!(
            r#""id": "{id}", "object": "{object}", "created": {CREATED}, "model": {model}"#
        );
        Self {
            dialect,
            endpoint,
            include_usage,
            prompt_tokens,
            head: match dialect {
                Dialect::New => spaced,
                Dialect::Old => dense_head.clone(),
            },
            short_head: format!(r#""id":"{id}","model":{plain}"#),
            dense_head,
        }
    }

    /// What is sent before the engine has done anything.
    pub(super) fn opening(&self) -> Option<String> {
        let choice = match (self.dialect, self.endpoint) {
            (Dialect::New, _) | (_, Endpoint::Generate) => return None,
            (_, Endpoint::Chat) => r#""delta":{"role":"assistant"}"#,
            (_, Endpoint::Completions) => r#""text":"""#,
        };
        let head = &self.short_head;
        Some(format!(
            "data: {{{head},\"choices\":[{{\"index\":0,{choice},\"finish_reason\":null}}]}}\n\n"
        ))
    }

    /// The message of a step, if the version sends one: bytes that are held
    /// back make none, but for `/generate` with its ids.
    pub(super) fn piece(&self, text: &str, ids: &[u32], total: u32) -> Option<String> {
        match (self.dialect, self.endpoint) {
            (Dialect::New, Endpoint::Generate) => Some(self.generated(text, ids, total, None)),
            _ if text.is_empty() => None,
            _ => Some(self.event(text, None, total)),
        }
    }

    /// The messages that end a good answer. `rest`: what a cut-off character
    /// leaves, which 0.18.0 loses and 0.1.0 sends with the end.
    pub(super) fn end(&self, rest: &str, ending: Ending, total: u32) -> Vec<String> {
        let mut messages = Vec::new();
        if self.endpoint == Endpoint::Generate {
            return match self.dialect {
                Dialect::New => vec![self.generated("", &[], total, Some(ending)), done()],
                Dialect::Old => vec![self.event(rest, Some(ending), total)],
            };
        }
        if ending == Ending::Stop {
            // the end-of-sequence token: an event without text
            messages.push(self.event("", None, total));
        }
        messages.push(self.event(self.kept(rest), Some(ending), total));
        if self.dialect == Dialect::New && self.include_usage {
            messages.push(self.usage_event(total));
        }
        messages.push(done());
        messages
    }

    /// What the version makes of a cut-off character at the end.
    pub(super) fn kept<'a>(&self, rest: &'a str) -> &'a str {
        match self.dialect {
            Dialect::New => "",
            Dialect::Old => rest,
        }
    }

    /// What is said when the engine fails in mid-stream; `None`: nothing, the
    /// connection is closed.
    pub(super) fn failure_messages(&self) -> Option<Vec<String>> {
        const WORDS: &str = r#"data: {"error": {"message": "An internal server error occurred.", "type": "server_error", "code": 500, "param": null, "object": "error"}}"#;
        (self.dialect == Dialect::New).then(|| vec![format!("{WORDS}\n\n"), done()])
    }

    fn event(&self, text: &str, ending: Option<Ending>, total: u32) -> String {
        let head = &self.head;
        let reason = ending.map(reason);
        match (self.dialect, self.endpoint) {
            (Dialect::New, endpoint) => {
                let text = ascii(text);
                let choice = match endpoint {
                    Endpoint::Chat => {
                        format!(r#""delta": {{"role": "assistant", "content": {text}}}"#)
                    }
                    _ => format!(r#""text": {text}"#),
                };
                let reason = reason
                    .map(|reason| format!(r#", "finish_reason": "{reason}""#))
                    .unwrap_or_default();
                let usage = if self.include_usage {
                    r#", "usage": null"#
                } else {
                    ""
                };
                format!(
                    "data: {{{head}, \"choices\": [{{\"index\": 0, {choice}{reason}}}]{usage}}}\n\n"
                )
            }
            (Dialect::Old, Endpoint::Generate) => {
                let reason = old_reason(reason);
                let text = quoted(text);
                format!("{{\"text\":{text},\"tokens\":{total},\"finish_reason\":{reason}}}\n")
            }
            (Dialect::Old, endpoint) => {
                let text = quoted(text);
                let choice = match endpoint {
                    Endpoint::Chat => format!(r#""delta":{{"role":"assistant","content":{text}}}"#),
                    _ => format!(r#""text":{text},"logprobs":null"#),
                };
                let reason = old_reason(reason);
                format!(
                    "data: {{{head},\"choices\":[{{\"index\":0,{choice},\"finish_reason\":{reason}}}]}}\n\n"
                )
            }
        }
    }

    fn usage_event(&self, total: u32) -> String {
        let prompt = self.prompt_tokens;
        let sum = u64::try_from(prompt)
            .unwrap_or(u64::MAX)
            .saturating_add(u64::from(total));
        match self.endpoint {
            // compact among spaced ones: another serializer writes it
            Endpoint::Chat => {
                let head = &self.dense_head;
                format!(
                    "data: {{{head},\"choices\":[],\"usage\":{{\"prompt_tokens\":{prompt},\"total_tokens\":{sum},\"completion_tokens\":{total},\"prompt_tokens_details\":{{\"cached_tokens\":0}}}}}}\n\n"
                )
            }
            _ => {
                let head = &self.head;
                format!(
                    "data: {{{head}, \"choices\": [], \"usage\": {{\"prompt_tokens\": {prompt}, \"total_tokens\": {sum}, \"completion_tokens\": {total}}}}}\n\n"
                )
            }
        }
    }

    /// An event of the new `/generate`.
    fn generated(&self, text: &str, ids: &[u32], total: u32, ending: Option<Ending>) -> String {
        format!(
            "data: {}\n\n",
            self.generated_body(text, ids, total, ending)
        )
    }

    fn generated_body(
        &self,
        text: &str,
        ids: &[u32],
        total: u32,
        ending: Option<Ending>,
    ) -> String {
        let prompt = self.prompt_tokens;
        let text = quoted(text);
        let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
        let ids = ids.join(",");
        let reason = ending.map_or_else(
            || "null".to_owned(),
            |ending| format!(r#"{{"type":"{}"}}"#, reason(ending)),
        );
        format!(
            r#"{{"text":{text},"output_ids":[{ids}],"meta_info":{{"prompt_tokens":{prompt},"completion_tokens":{total},"finish_reason":{reason},"output_token_logprobs":null,"input_token_logprobs":null,"output_top_logprobs":null,"input_top_logprobs":null,"routed_experts":null}}}}"#
        )
    }

    /// The body of an answer that is not streamed.
    pub(super) fn whole(&self, text: &str, ids: &[u32], ending: Ending, total: u32) -> String {
        let prompt = self.prompt_tokens;
        let sum = u64::try_from(prompt)
            .unwrap_or(u64::MAX)
            .saturating_add(u64::from(total));
        let counts =
            format!(r#""prompt_tokens":{prompt},"total_tokens":{sum},"completion_tokens":{total}"#);
        let head = self
            .dense_head
            .replace("chat.completion.chunk", "chat.completion");
        let reason = reason(ending);
        let quoted = quoted(text);
        match (self.dialect, self.endpoint) {
            (Dialect::New, Endpoint::Generate) => {
                self.generated_body(text, ids, total, Some(ending))
            }
            (Dialect::Old, Endpoint::Generate) => {
                format!(r#"{{"text":{quoted},"tokens":{total},"finish_reason":"{reason}"}}"#)
            }
            (Dialect::New, Endpoint::Chat) => format!(
                r#"{{{head},"choices":[{{"index":0,"message":{{"role":"assistant","content":{quoted},"reasoning_content":null,"tool_calls":null}},"logprobs":null,"output_token_logprobs":null,"finish_reason":"{reason}","output_ids":null,"routed_experts":null}}],"usage":{{{counts},"prompt_tokens_details":{{"cached_tokens":0}},"completion_tokens_details":null}},"service_tier":null}}"#
            ),
            (Dialect::Old, Endpoint::Chat) => format!(
                r#"{{{head},"choices":[{{"index":0,"message":{{"role":"assistant","content":{quoted}}},"finish_reason":"{reason}"}}],"usage":{{{counts}}}}}"#
            ),
            (dialect, Endpoint::Completions) => {
                let more = match dialect {
                    Dialect::New => {
                        r#","prompt_tokens_details":null,"completion_tokens_details":null"#
                    }
                    Dialect::Old => "",
                };
                format!(
                    r#"{{{head},"choices":[{{"index":0,"text":{quoted},"logprobs":null,"finish_reason":"{reason}"}}],"usage":{{{counts}{more}}}}}"#
                )
            }
        }
    }
}

fn done() -> String {
    "data: [DONE]\n\n".to_owned()
}

fn reason(ending: Ending) -> &'static str {
    match ending {
        Ending::Length | Ending::Unstated => "length",
        Ending::Stop => "stop",
    }
}

fn old_reason(reason: Option<&str>) -> String {
    reason.map_or_else(|| "null".to_owned(), |reason| format!("\"{reason}\""))
}

/// A JSON string as pydantic writes it: UTF-8 as it is.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A JSON string as Python's `json.dumps` writes it: ASCII, characters above
/// as `\uXXXX`, in surrogate pairs where needed.
fn ascii(text: &str) -> String {
    let mut out = String::new();
    for c in quoted(text).chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
