//! A simulated api_server around the simulated engine: LMDeploy 0.18.0's
//! endpoints and shapes or, with [`ServeOptions::old_api`], those of 0.1.0.
//! Knows sockets, paths and keys; what the engine says becomes JSON in
//! [`shape`].

mod ask;
mod held;
mod refusal;
mod reply;
mod shape;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use bytes::Bytes;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::task::JoinSet;

use self::shape::{Dialect, Endpoint, Shape};
use super::SIMULATED;
use crate::engine::Engine;
use crate::{Ending, Error, ErrorKind, ServeOptions, Served};

/// How long an idle connection stays open: uvicorn's default, measured on
/// LMDeploy 0.1.0 and 0.18.0.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// The longest request body that is read.
const REQUEST_BYTES_MAX: usize = 64 << 20;

/// What all requests share.
struct Site {
    engine: Engine,
    options: ServeOptions,
    dialect: Dialect,
    requests: AtomicU64,
}

type Answered = Response<Body>;

/// Serves `engine` on a bound listener until the future is dropped; with it
/// end all connections.
pub(crate) fn serve(
    listener: std::net::TcpListener,
    engine: Engine,
    options: ServeOptions,
) -> Served {
    Box::pin(async move {
        let failed = |error: std::io::Error| {
            Error::new(
                ErrorKind::Connect,
                format!("cannot serve on the listener: {error}"),
            )
        };
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        let router = router(engine, options);
        // Owned here, so that dropping the server closes what it opened.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(connection(stream, router.clone()));
                    }
                    // Out of descriptors: those in use have to be given back first.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    })
}

async fn connection(stream: tokio::net::TcpStream, router: Router) {
    // Without it the kernel would hold small messages back for an ACK.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    // A client that goes away ends its connection with an error; that is its right.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(KEEP_ALIVE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Every path of the server, over `engine`.
pub(crate) fn router(engine: Engine, options: ServeOptions) -> Router {
    let dialect = if options.old_api {
        Dialect::Old
    } else {
        Dialect::New
    };
    let site = Arc::new(Site {
        engine,
        options,
        dialect,
        requests: AtomicU64::new(0),
    });
    let router = Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completions))
        .route("/generate", post(generate))
        .route("/v1/encode", post(encode));
    let router = match dialect {
        Dialect::New => router.route("/health", get(health)),
        Dialect::Old => router.route("/v1/chat/interactive", post(generate)),
    };
    router
        .fallback(|| async { detail(StatusCode::NOT_FOUND, "Not Found") })
        .method_not_allowed_fallback(|| async {
            detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        })
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(site)
}

/// The messages of a streamed answer to `/v1/completions`, in LMDeploy 0.18.0's
/// shape: the one that carries `text`, and those that end an answer of `total`
/// tokens.
pub(crate) fn completion_events(
    model: &str,
    include_usage: bool,
    prompt_tokens: usize,
    text: &str,
    total: u32,
) -> (String, Vec<String>) {
    let endpoint = Endpoint::Completions;
    let shape = Shape::new(
        Dialect::New,
        endpoint,
        model,
        1,
        include_usage,
        prompt_tokens,
    );
    let piece = shape.piece(text, &[], total).unwrap_or_default();
    (piece, shape.end("", Ending::Length, total))
}

type Sited = State<Arc<Site>>;

async fn models(State(site): Sited, headers: HeaderMap) -> Result<Answered, Infallible> {
    Ok(match site.refuse_stranger(&headers) {
        Some(refusal) => refusal,
        None => json_answer(StatusCode::OK, site.dialect.models(&site.options.model)),
    })
}

async fn health() -> Result<Answered, Infallible> {
    let body = r#"{"status":"healthy","message":"Engine is healthy."}"#;
    Ok(json_answer(StatusCode::OK, body.to_owned()))
}

async fn chat(State(site): Sited, headers: HeaderMap, body: Bytes) -> Result<Answered, Infallible> {
    Ok(site.answer(Endpoint::Chat, &headers, &body).await)
}

async fn completions(
    State(site): Sited,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answered, Infallible> {
    Ok(site.answer(Endpoint::Completions, &headers, &body).await)
}

async fn generate(
    State(site): Sited,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answered, Infallible> {
    Ok(site.answer(Endpoint::Generate, &headers, &body).await)
}

async fn encode(
    State(site): Sited,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answered, Infallible> {
    if let Some(refusal) = site.refuse_stranger(&headers) {
        return Ok(refusal);
    }
    let input = ask::input(&body);
    Ok(match input {
        Ok(prompt) => {
            let ids = reply::ids(&site, prompt);
            let body = json!({"input_ids": ids, "length": ids.len()});
            json_answer(StatusCode::OK, body.to_string())
        }
        Err(fault) => site.dialect.fault(&fault),
    })
}

impl Site {
    /// 401 for who has no key that is let in. Keys are for `/v1` and
    /// `/generate`, not for `/health`.
    fn refuse_stranger(&self, headers: &HeaderMap) -> Option<Answered> {
        let keys = &self.options.api_keys;
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let known = keys.is_empty()
            || given.is_some_and(|(_, given)| keys.iter().any(|key| key == given.trim()));
        (!known).then(|| self.dialect.unauthorized())
    }

    async fn answer(&self, endpoint: Endpoint, headers: &HeaderMap, body: &[u8]) -> Answered {
        if let Some(refusal) = self.refuse_stranger(headers) {
            return refusal;
        }
        let mut ask = match ask::read(self.dialect, endpoint, &self.options.model, body) {
            Ok(ask) => ask,
            Err(fault) => return self.dialect.fault(&fault),
        };
        if self.options.chat_template {
            ask.wrap();
        }
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let name = headers
            .get("x-request-id")
            .and_then(|name| name.to_str().ok());
        reply::reply(self, ask, name.unwrap_or_default(), number).await
    }
}

/// An answer in JSON.
fn json_answer(status: StatusCode, body: String) -> Answered {
    plain_answer(status, "application/json", Body::from(body))
}

/// FastAPI's own refusals.
fn detail(status: StatusCode, words: &str) -> Answered {
    json_answer(status, json!({ "detail": words }).to_string())
}

fn plain_answer(status: StatusCode, content_type: &'static str, body: Body) -> Answered {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static(SIMULATED));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
