//! A server's refusals: which kind each is, and in whose words. Knows the
//! shapes in which LMDeploy 0.1 to 0.18, vLLM and llama-cpp-python say no,
//! before a stream (by status) and inside one (with status 200).

use std::error::Error as _;

use serde_json::Value;

use super::transport::Broken;
use crate::{Error, ErrorKind, excerpt};

/// The server's own words in an error body. The order is the one that finds
/// the most telling text in every known shape: `error.message`, `message`,
/// `detail.error.message`, `detail[0].msg`, `detail`, else the body itself.
pub(super) fn words(body: &[u8]) -> String {
    let raw = || excerpt(&String::from_utf8_lossy(body));
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => words_of(&value).unwrap_or_else(raw),
        Err(_) => raw(),
    }
}

fn words_of(value: &Value) -> Option<String> {
    let first = value.pointer("/detail/0");
    let field = first
        .and_then(|first| first.pointer("/loc"))
        .and_then(Value::as_array);
    let found = [
        value.pointer("/error/message"),
        value.pointer("/message"),
        value.pointer("/detail/error/message"),
        first.and_then(|first| first.pointer("/msg")),
        value.pointer("/detail"),
        value.pointer("/error"),
    ]
    .into_iter()
    .flatten()
    .find_map(Value::as_str)?;
    // pydantic names the field apart from the message
    let place = field.filter(|_| value.pointer("/message").is_none());
    let place: Vec<&str> = place
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    Some(match place.as_slice() {
        ["body", rest @ ..] if !rest.is_empty() => excerpt(&format!("{}: {found}", rest.join("."))),
        _ => excerpt(found),
    })
}

/// The error that an HTTP status other than 200 is, with its body's words.
pub(super) fn of_status(status: u16, body: &[u8], has_key: bool) -> Error {
    let words = words(body);
    let said = if words.is_empty() {
        format!("the server answered HTTP {status} without a word")
    } else {
        // The mark of a cut stays: what stands before it may be the begin of a key.
        let whole = !words.ends_with("...");
        let said = words.trim_end_matches(|letter: char| whole && letter == '.');
        format!("the server answered HTTP {status}: {said}")
    };
    let kind = kind_of(u64::from(status));
    match (kind, status) {
        (ErrorKind::Auth, _) if has_key => Error::new(
            kind,
            format!("{said}; it refuses the key of --api-key, --api-key-file or OPENAI_API_KEY"),
        ),
        (ErrorKind::Auth, _) => Error::new(
            kind,
            format!("{said}; give --api-key or set OPENAI_API_KEY"),
        ),
        // FastAPI's own words for a path that it does not serve
        (_, 404 | 405) if matches!(words.as_str(), "Not Found" | "Method Not Allowed" | "") => {
            Error::new(
                ErrorKind::Protocol,
                format!("{said}; it has no such endpoint, so it is no api_server"),
            )
        }
        _ => Error::new(kind, said),
    }
}

/// The kind that a status, or a `code` inside an error object, stands for.
fn kind_of(code: u64) -> ErrorKind {
    match code {
        401 | 403 => ErrorKind::Auth,
        404 => ErrorKind::Model,
        429 | 503 => ErrorKind::Overloaded,
        400..=499 => ErrorKind::Rejected,
        300..=399 => ErrorKind::Protocol,
        _ => ErrorKind::Server,
    }
}

/// The error that a JSON body with status 200 is, if it is one: LMDeploy 0.1.0
/// to 0.5.3 answer so.
pub(super) fn in_body(body: &[u8]) -> Option<Error> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let flat = value.pointer("/object").and_then(Value::as_str) == Some("error");
    let nested = value
        .pointer("/error")
        .is_some_and(|error| !error.is_null());
    (flat || nested).then(|| in_object(&value))
}

/// The error that an object inside an answer with status 200 is. The `code` in
/// it tells the kind, be it a number or digits in a string; without one the
/// server failed.
pub(super) fn in_object(value: &Value) -> Error {
    let code = [value.pointer("/error/code"), value.pointer("/code")]
        .into_iter()
        .flatten()
        .find_map(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
    let words = words_of(value).unwrap_or_else(|| excerpt(&value.to_string()));
    let kind = match code {
        // 0.4.2 and 0.5.3 give an unknown model the code of a bad request
        Some(400) if words.contains("does not exist") => ErrorKind::Model,
        Some(code) => kind_of(code),
        None => ErrorKind::Server,
    };
    Error::new(
        kind,
        format!("the server answered HTTP 200 with an error: {words}"),
    )
}

/// The error of a body that did not come to its end. `any_event`: some of it was
/// read.
#[cold]
pub(super) fn broken(broken: &Broken, any_event: bool) -> Error {
    match broken {
        Broken::Garbled(why) => Error::new(
            ErrorKind::Malformed,
            format!(
                "the server's answer goes on in bytes that are no HTTP/1.1 ({why}); a proxy in \
                 between may have damaged it"
            ),
        ),
        broken => cut(broken.why(), any_event),
    }
}

/// The error of a body that is encoded although nobody asked for that.
#[cold]
pub(super) fn encoded(encoding: &str) -> Error {
    Error::new(
        ErrorKind::Malformed,
        format!(
            "the server's answer is compressed or encoded (content-encoding: {}), which nobody \
             asked for; if a proxy in between does that, switch it off there",
            excerpt(encoding)
        ),
    )
}

/// The error of a body that ended before its last chunk.
pub(super) fn cut(why: &str, any_event: bool) -> Error {
    let when = if any_event {
        "in the middle of the answer"
    } else {
        "before the answer's first event"
    };
    Error::new(
        ErrorKind::Cut,
        format!(
            "the server closed the connection {when} ({}); its log should say why",
            excerpt(why)
        ),
    )
}

/// Why an HTTP error happened: the innermost cause, which is the telling one,
/// without the address that the outer ones repeat.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let innermost = std::iter::successors(error.source(), |error| (*error).source()).last();
    innermost.map_or_else(
        || excerpt(&error.to_string()),
        |error| excerpt(&error.to_string()),
    )
}

#[cfg(test)]
mod tests {
    use super::{in_body, of_status, words};
    use crate::ErrorKind;

    #[test]
    fn every_shape_gives_its_words() {
        for (body, expected) in [
            (r#"{"error":{"message":"nested","code":400}}"#, "nested"),
            (r#"{"message":"flat","object":"error","code":400}"#, "flat"),
            (
                r#"{"detail":{"error":{"message":"key!","code":"invalid_api_key"}}}"#,
                "key!",
            ),
            (
                r#"{"detail":[{"type":"int","loc":["body","max_tokens"],"msg":"no integer","input":"x"}],"body":{"prompt":"p"}}"#,
                "max_tokens: no integer",
            ),
            (
                r#"{"detail":[{"loc":["body",18],"msg":"JSON decode error"}]}"#,
                "JSON decode error",
            ),
            (r#"{"detail":"Not Found"}"#, "Not Found"),
            (r#"{"error":"just text"}"#, "just text"),
            ("Internal Server Error\n", "Internal Server Error"),
            ("<html>\u{1b}[31m", "<html> [31m"),
            ("", ""),
        ] {
            assert_eq!(words(body.as_bytes()), expected, "{body}");
        }
        assert!(words("é".repeat(9000).as_bytes()).len() < 310);
    }

    #[test]
    fn a_status_is_a_kind() {
        let flat = br#"{"message":"The model 'x' does not exist."}"#;
        for (status, body, kind) in [
            (400, &flat[..], ErrorKind::Rejected),
            (401, b"", ErrorKind::Auth),
            (403, b"", ErrorKind::Auth),
            (404, flat, ErrorKind::Model),
            (404, br#"{"detail":"Not Found"}"#, ErrorKind::Protocol),
            (
                405,
                br#"{"detail":"Method Not Allowed"}"#,
                ErrorKind::Protocol,
            ),
            (413, b"", ErrorKind::Rejected),
            (422, b"", ErrorKind::Rejected),
            (429, b"", ErrorKind::Overloaded),
            (500, b"", ErrorKind::Server),
            (502, b"", ErrorKind::Server),
            (503, b"", ErrorKind::Overloaded),
        ] {
            assert_eq!(of_status(status, body, false).kind, kind, "{status}");
        }
        let cut = of_status(500, "x".repeat(400).as_bytes(), false).message;
        assert!(cut.ends_with("x ..."), "{cut}");
        let text = of_status(401, b"", false).message;
        assert!(
            text.contains("--api-key") && text.contains("OPENAI_API_KEY"),
            "{text}"
        );
    }

    #[test]
    fn a_good_status_can_be_an_error() {
        for (body, kind) in [
            (
                r#"{"object":"error","message":"The model `x` does not exist.","code":404}"#,
                Some(ErrorKind::Model),
            ),
            (
                r#"{"object":"error","message":"The model `x` does not exist.","code":400}"#,
                Some(ErrorKind::Model),
            ),
            (
                r#"{"object":"error","message":"The top_p `1.5` must be in (0, 1].","code":400}"#,
                Some(ErrorKind::Rejected),
            ),
            (
                r#"{"error":{"message":"m","code":"500"}}"#,
                Some(ErrorKind::Server),
            ),
            (
                r#"{"error":{"message":"m","code":null}}"#,
                Some(ErrorKind::Server),
            ),
            (r#"{"object":"list","error":null}"#, None),
            ("no JSON", None),
        ] {
            assert_eq!(
                in_body(body.as_bytes()).map(|error| error.kind),
                kind,
                "{body}"
            );
        }
    }
}
