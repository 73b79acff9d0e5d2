//! How LMDeploy 0.18.0 and 0.1.0 say no before an answer has begun, in the
//! captured shapes; and what they say of their models.

use axum::body::Body;
use axum::http::StatusCode;

use super::ask::Fault;
use super::shape::{CREATED, Dialect, Shape, quoted};
use super::{Answered, json_answer, plain_answer};

impl Dialect {
    /// The answer of `/v1/models`.
    pub(super) fn models(self, model: &str) -> String {
        let name = quoted(model);
        format!(
            r#"{{"object":"list","data":[{{"id":{name},"object":"model","created":{CREATED},"owned_by":"lmdeploy","root":{name},"parent":null,"permission":[{{"id":"modelperm-simulated","object":"model_permission","created":{CREATED},"allow_create_engine":false,"allow_sampling":true,"allow_logprobs":true,"allow_search_indices":true,"allow_view":true,"allow_fine_tuning":false,"organization":"*","group":null,"is_blocking":false}}]}}]}}"#
        )
    }

    /// The refusal of a missing or wrong key: 0.18.0's, or that of 0.2.2 to
    /// 0.15, as 0.1.0 has no keys.
    pub(super) fn unauthorized(self) -> Answered {
        let status = StatusCode::UNAUTHORIZED;
        match self {
            Self::New => flat(status, "Unauthorized.", "authentication_error"),
            Self::Old => {
                let body = r#"{"detail":{"error":{"message":"Please request with valid api key!","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}}"#;
                json_answer(status, body.to_owned())
            }
        }
    }

    /// The refusal of a request that makes no sense.
    pub(super) fn fault(self, fault: &Fault) -> Answered {
        const BAD: &str = "invalid_request_error";
        let bad = StatusCode::BAD_REQUEST;
        match (self, fault) {
            (Self::New, Fault::Model(name)) => flat(
                StatusCode::NOT_FOUND,
                &format!("The model '{name}' does not exist."),
                "not_found_error",
            ),
            (Self::New, Fault::Json { column }) => {
                flat(bad, &format!("{column}: JSON decode error"), BAD)
            }
            (Self::New, Fault::Field { name, words, .. }) => {
                flat(bad, &format!("{name}: {words}"), BAD)
            }
            (Self::New, Fault::Range(words)) => flat(bad, words, BAD),
            (Self::Old, Fault::Model(name)) => {
                let words = quoted(&format!("The model `{name}` does not exist."));
                let body = format!(r#"{{"object":"error","message":{words},"code":404}}"#);
                json_answer(StatusCode::OK, body)
            }
            (Self::Old, Fault::Json { column }) => unprocessable(&format!(
                r#"{{"type":"json_invalid","loc":["body",{column}],"msg":"JSON decode error","input":{{}},"ctx":{{"error":"Expecting value"}}}}"#
            )),
            (
                Self::Old,
                Fault::Field {
                    name,
                    kind,
                    words,
                    input,
                },
            ) => unprocessable(&format!(
                r#"{{"type":"{kind}","loc":["body","{name}"],"msg":"{words}","input":{input},"url":"https://errors.pydantic.dev/2.5/v/{kind}"}}"#
            )),
            // it checks no range
            (Self::Old, Fault::Range(_)) => server_error(),
        }
    }
}

impl Shape {
    /// 0.18.0's refusal of a prompt that does not fit.
    pub(super) fn too_long(&self, session_tokens: u32) -> Answered {
        let words = format!(
            "Input length ({}) must be smaller than the model context length ({session_tokens}).",
            self.prompt_tokens
        );
        flat(StatusCode::BAD_REQUEST, &words, "invalid_request_error")
    }

    /// 0.18.0's refusal of a session id that is in use.
    pub(super) fn occupied(&self, session_id: Option<u64>) -> Answered {
        let words = format!("The session_id {} is occupied.", session_id.unwrap_or(0));
        flat(StatusCode::BAD_REQUEST, &words, "invalid_request_error")
    }

    /// The engine failed before anything was sent.
    pub(super) fn failed(&self) -> Answered {
        match self.dialect {
            Dialect::New => flat(
                StatusCode::INTERNAL_SERVER_ERROR,
                "An internal server error occurred.",
                "server_error",
            ),
            Dialect::Old => server_error(),
        }
    }
}

fn flat(status: StatusCode, words: &str, kind: &str) -> Answered {
    let (words, code) = (quoted(words), status.as_u16());
    let body = format!(
        r#"{{"message":{words},"type":"{kind}","code":{code},"param":null,"object":"error"}}"#
    );
    json_answer(status, body)
}

fn unprocessable(detail: &str) -> Answered {
    let body = format!(r#"{{"detail":[{detail}]}}"#);
    json_answer(StatusCode::UNPROCESSABLE_ENTITY, body)
}

fn server_error() -> Answered {
    let body = Body::from("Internal Server Error");
    plain_answer(
        StatusCode::INTERNAL_SERVER_ERROR,
        "text/plain; charset=utf-8",
        body,
    )
}
