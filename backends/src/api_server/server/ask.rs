//! What a request asks for, read and checked as the version does it. Knows
//! field names, defaults and ranges; answers nothing.

use serde_json::Value;

use super::shape::{Dialect, Endpoint};
use crate::engine::Codec;

/// A request that makes sense.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) endpoint: Endpoint,
    pub(super) prompt: Prompt,
    pub(super) max_tokens: u32,
    pub(super) ignore_eos: bool,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) session_id: Option<u64>,
}

/// The prompt as the engine is to get it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    Text(String),
    /// One turn of a user, for the chat template.
    Turn(String),
    Ids(Vec<u32>),
}

/// Why a request makes none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No JSON; where.
    Json { column: usize },
    /// A field of another type, or missing.
    Field {
        name: &'static str,
        kind: &'static str,
        words: &'static str,
        input: Value,
    },
    /// A value out of its range.
    Range(String),
    /// A model that is not there.
    Model(String),
}

/// The text of a `/v1/encode` request: with `do_preprocess` a user's turn.
pub(super) fn input(body: &[u8]) -> Result<Prompt, Fault> {
    let value = parse(body)?;
    let text = text(&value, "input")?;
    Ok(match value["do_preprocess"].as_bool() {
        Some(true) => Prompt::Turn(text),
        _ => Prompt::Text(text),
    })
}

/// Reads a request for tokens.
pub(super) fn read(
    dialect: Dialect,
    endpoint: Endpoint,
    model: &str,
    body: &[u8],
) -> Result<Ask, Fault> {
    let value = parse(body)?;
    if endpoint != Endpoint::Generate {
        let wanted = text(&value, "model")?;
        if wanted != model {
            return Err(Fault::Model(wanted));
        }
    }
    let max_tokens = max_tokens(dialect, endpoint, &value)?;
    if dialect == Dialect::New {
        check_ranges(&value, max_tokens)?;
    }
    let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(false);
    Ok(Ask {
        endpoint,
        prompt: prompt(dialect, endpoint, &value)?,
        max_tokens,
        ignore_eos: flag("ignore_eos"),
        stream: flag("stream"),
        include_usage: value
            .pointer("/stream_options/include_usage")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        session_id: value.get("session_id").and_then(Value::as_u64),
    })
}

fn parse(body: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(body).map_err(|error| Fault::Json {
        column: error.column(),
    })
}

fn text(value: &Value, name: &'static str) -> Result<String, Fault> {
    match value.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(Fault::Field {
            name,
            kind: "string_type",
            words: "Input should be a valid string",
            input: other.clone(),
        }),
        None => Err(missing(name, value)),
    }
}

fn missing(name: &'static str, value: &Value) -> Fault {
    Fault::Field {
        name,
        kind: "missing",
        words: "Field required",
        input: value.clone(),
    }
}

fn integer(value: &Value, name: &'static str) -> Result<Option<u32>, Fault> {
    let Some(field) = value.get(name).filter(|field| !field.is_null()) else {
        return Ok(None);
    };
    let number = match field {
        Value::String(digits) => digits.parse().ok(),
        _ => field.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    let (kind, words) = if field.is_string() {
        (
            "int_parsing",
            "Input should be a valid integer, unable to parse string as an integer",
        )
    } else {
        ("int_type", "Input should be a valid integer")
    };
    number.map(Some).ok_or_else(|| Fault::Field {
        name,
        kind,
        words,
        input: field.clone(),
    })
}

/// The limit that holds, or the version's default: the rest of the session
/// where there is none.
fn max_tokens(dialect: Dialect, endpoint: Endpoint, value: &Value) -> Result<u32, Fault> {
    let (winner, loser, default) = match (dialect, endpoint) {
        (Dialect::New, Endpoint::Generate) => ("max_tokens", "max_tokens", 128),
        (Dialect::New, _) => ("max_completion_tokens", "max_tokens", u32::MAX),
        (Dialect::Old, Endpoint::Chat) => ("max_tokens", "max_tokens", 512),
        (Dialect::Old, Endpoint::Completions) => ("max_tokens", "max_tokens", 16),
        (Dialect::Old, Endpoint::Generate) => ("request_output_len", "request_output_len", 512),
    };
    let given = integer(value, winner)?;
    Ok(given.or(integer(value, loser)?).unwrap_or(default))
}

fn check_ranges(value: &Value, max_tokens: u32) -> Result<(), Fault> {
    let number = |name: &str| value.get(name).and_then(Value::as_f64);
    if max_tokens == 0 {
        return Err(Fault::Range(
            "The max_tokens 0 must be a positive integer.".to_owned(),
        ));
    }
    if let Some(top_p) = number("top_p").filter(|top_p| !(*top_p > 0.0 && *top_p <= 1.0)) {
        return Err(Fault::Range(format!(
            "The top_p {top_p:?} must be in (0, 1]."
        )));
    }
    if let Some(heat) = number("temperature").filter(|heat| !(0.0..=2.0).contains(heat)) {
        return Err(Fault::Range(format!(
            "The temperature {heat:?} must be in [0, 2]"
        )));
    }
    Ok(())
}

fn prompt(dialect: Dialect, endpoint: Endpoint, value: &Value) -> Result<Prompt, Fault> {
    if endpoint != Endpoint::Chat {
        let ids = value.get("input_ids").and_then(Value::as_array);
        if let Some(ids) = ids.filter(|_| dialect == Dialect::New && endpoint == Endpoint::Generate)
        {
            let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
            let ids: Option<Vec<u32>> = ids.iter().map(id).collect();
            return ids.map(Prompt::Ids).ok_or_else(|| Fault::Field {
                name: "input_ids",
                kind: "int_type",
                words: "Input should be a valid integer",
                input: value["input_ids"].clone(),
            });
        }
        return text(value, "prompt").map(Prompt::Text);
    }
    match value.get("messages") {
        Some(Value::Array(turns)) => turns_of(dialect, turns),
        // raw text: the benchmark scripts of 2023 sent it
        Some(Value::String(text)) if dialect == Dialect::Old => Ok(Prompt::Text(text.clone())),
        Some(other) => Err(Fault::Field {
            name: "messages",
            kind: "list_type",
            words: "Input should be a valid list",
            input: other.clone(),
        }),
        None => Err(missing("messages", value)),
    }
}

/// The turns in a small chat template. Every turn ends with a new line of its
/// own, so that orders in a prompt stay words.
fn turns_of(dialect: Dialect, turns: &[Value]) -> Result<Prompt, Fault> {
    if turns.is_empty() && dialect == Dialect::New {
        let words = "messages must not be empty unless input_ids is set.";
        return Err(Fault::Range(words.to_owned()));
    }
    if let [turn] = turns
        && turn["role"] == "user"
        && let Some(content) = turn["content"].as_str()
    {
        return Ok(Prompt::Turn(content.to_owned()));
    }
    let mut text = String::new();
    for turn in turns {
        let field = |name: &str| turn.get(name).and_then(Value::as_str).unwrap_or_default();
        let (role, content) = (field("role"), field("content"));
        push_turn(&mut text, role, content);
    }
    text.push_str(ASSISTANT);
    Ok(Prompt::Text(text))
}

/// What opens the model's own turn.
const ASSISTANT: &str = "<|im_start|>assistant\n";

fn push_turn(text: &mut String, role: &str, content: &str) {
    text.push_str(&format!("<|im_start|>{role}\n{content}\n<|im_end|>\n"));
}

/// A user's turn in the model's own template, or in the small one.
pub(super) fn in_template(codec: &dyn Codec, user_text: &str) -> String {
    codec.in_template(user_text).unwrap_or_else(|| {
        let mut text = String::new();
        push_turn(&mut text, "user", user_text);
        text.push_str(ASSISTANT);
        text
    })
}

impl Ask {
    /// Makes a user's turn of a raw text. A chat is one already, and ids are
    /// nobody's to change.
    pub(super) fn wrap(&mut self) {
        if let (Endpoint::Completions | Endpoint::Generate, Prompt::Text(raw)) =
            (self.endpoint, &self.prompt)
        {
            self.prompt = Prompt::Turn(raw.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Prompt, read};
    use crate::api_server::server::shape::{Dialect, Endpoint};
    use crate::engine::ByteCodec;

    #[test]
    fn limits_have_the_versions_names_and_defaults() {
        for (dialect, endpoint, fields, tokens) in [
            (Dialect::New, Endpoint::Completions, "", u32::MAX),
            (
                Dialect::New,
                Endpoint::Completions,
                r#","max_tokens":9,"max_completion_tokens":2"#,
                2,
            ),
            (
                Dialect::New,
                Endpoint::Generate,
                r#","request_output_len":3"#,
                128,
            ),
            (Dialect::Old, Endpoint::Completions, "", 16),
            (
                Dialect::Old,
                Endpoint::Completions,
                r#","max_tokens":9,"max_completion_tokens":2"#,
                9,
            ),
            (
                Dialect::Old,
                Endpoint::Generate,
                r#","request_output_len":3,"max_tokens":7"#,
                3,
            ),
        ] {
            let body = format!(r#"{{"model":"m","prompt":"p"{fields}}}"#);
            let ask = read(dialect, endpoint, "m", body.as_bytes()).expect(&body);
            assert_eq!(ask.max_tokens, tokens, "{dialect:?} {body}");
        }
    }

    #[test]
    fn prompts_are_taken_as_the_version_takes_them() {
        let chat = |dialect, messages: &str| {
            let body = format!(r#"{{"model":"m","messages":{messages}}}"#);
            read(dialect, Endpoint::Chat, "m", body.as_bytes()).map(|ask| ask.prompt)
        };
        let turn = r#"[{"role":"user","content":"hi @@after=3"}]"#;
        assert_eq!(
            chat(Dialect::New, turn),
            Ok(Prompt::Turn("hi @@after=3".to_owned()))
        );
        let wrapped = "<|im_start|>user\nhi @@after=3\n<|im_end|>\n<|im_start|>assistant\n";
        assert_eq!(super::in_template(&ByteCodec, "hi @@after=3"), wrapped);
        assert_eq!(
            chat(Dialect::Old, r#""raw""#),
            Ok(Prompt::Text("raw".to_owned()))
        );
        assert!(matches!(
            chat(Dialect::New, r#""raw""#),
            Err(Fault::Field {
                name: "messages",
                ..
            })
        ));
        let ids = read(
            Dialect::New,
            Endpoint::Generate,
            "m",
            br#"{"input_ids":[6,7]}"#,
        );
        assert_eq!(ids.expect("ids").prompt, Prompt::Ids(vec![6, 7]));
    }
}
