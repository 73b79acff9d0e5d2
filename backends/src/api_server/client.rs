//! The client that is measured. One request is one POST; a stream is read
//! event by event, and the sink hears of a piece of text before anything else
//! is done with it. Tokenizes nothing, retries nothing.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{HeaderValue, SERVER};
use reqwest::{StatusCode, Url};
use tokio::sync::OnceCell;

use super::answer::{Answer, Flow};
use super::events::{Events, Next};
use super::family::{self, Family};
use super::sessions::{Session, Sessions};
use super::transport::{self, Connection, Transport};
use super::{SIMULATED, errors, metrics, wire};
use crate::{
    Backend, Error, ErrorKind, Finish, Hop, PromptMode, Request, ServerCounters, ServerInfo, Sink,
    Target, excerpt,
};

/// How long the end of an answer may take after its last event. It mostly came
/// with it; a server that is slow here loses the connection, not the answer.
const DRAIN_WAIT: Duration = Duration::from_millis(250);

/// A client for one api_server.
pub(super) struct ApiServer {
    transport: Transport,
    completions: Url,
    chat: Url,
    wanted_model: Option<String>,
    known: OnceCell<Known>,
    sessions: Sessions,
}

/// What was learned about the server.
#[derive(Clone, Debug)]
struct Known {
    model: String,
    family: Family,
    session_tokens: Option<u32>,
    simulated: bool,
}

impl ApiServer {
    pub(super) fn new(target: Target, pool_idle: Duration) -> Result<Self, Error> {
        let transport = Transport::new(&target, pool_idle)?;
        Self::over(transport, target.model)
    }

    fn over(transport: Transport, wanted_model: Option<String>) -> Result<Self, Error> {
        Ok(Self {
            completions: transport.url("/v1/completions")?,
            chat: transport.url("/v1/chat/completions")?,
            transport,
            wanted_model,
            known: OnceCell::new(),
            sessions: Sessions::default(),
        })
    }

    /// What the probe learned; a request that comes before it asks now.
    async fn known(&self) -> Result<&Known, Error> {
        self.known.get_or_try_init(|| self.ask()).await
    }

    async fn ask(&self) -> Result<Known, Error> {
        let path = "/v1/models";
        let answer = self.transport.get(path).await.map_err(no_http)?;
        self.transport.accepted_aside(&answer)?;
        let simulated = answer.headers.get(SERVER) == Some(&HeaderValue::from_static(SIMULATED));
        let body = &answer.body;
        let list: wire::Models = serde_json::from_slice(body)
            .map_err(|error| errors::in_body(body).unwrap_or_else(|| no_models(&error, body)))?;
        let model = choose(&list.data, self.wanted_model.as_deref())?;
        let owned_by = model.owned_by.as_deref().unwrap_or_default();
        let mut family = family::learn(&self.transport, owned_by).await?;
        if simulated {
            family.name = format!("pairbench simulation of {}", family.name);
        }
        Ok(Known {
            model: model.id.clone(),
            family,
            session_tokens: model.max_model_len,
            simulated,
        })
    }

    /// The request as it goes out in this session: as it was prepared, unless
    /// the slot has lost a request since, and its session with it.
    fn ready(
        &self,
        request: &Request,
        known: &Known,
        session: Option<&Session<'_>>,
    ) -> Result<Bytes, Error> {
        let id = session.map(Session::id);
        if let Some(message) = &request.wire
            && wire::is_for(message, id)
        {
            return Ok(message.clone());
        }
        let body = wire::body(request, &known.model, id).map_err(|error| {
            let words = format!("the request cannot be written as JSON: {error}");
            Error::new(ErrorKind::Rejected, words)
        })?;
        let url = match request.prompt_mode {
            PromptMode::Raw => &self.completions,
            PromptMode::Chat => &self.chat,
        };
        Ok(self.transport.post(url, request.id, &body))
    }

    /// The session for the slot's next request, where the server must be told
    /// one.
    fn session(&self, known: &Known, slot: u32) -> Option<Session<'_>> {
        known.family.session_id.then(|| self.sessions.begin(slot))
    }

    /// What `/v1/encode` makes of the prompt, in chat of the user's turn.
    async fn encoded(&self, request: &Request) -> Result<wire::Encoded, Error> {
        let path = "/v1/encode";
        let chat = request.prompt_mode == PromptMode::Chat;
        let input = request.turn.as_ref().unwrap_or(&request.prompt);
        let body = serde_json::json!({ "input": input.as_ref(), "do_preprocess": chat });
        let body = body.to_string().into_bytes();
        let answer = self.transport.post_aside(path, body).await?;
        self.transport.accepted_aside(&answer)?;
        let body = &answer.body;
        serde_json::from_slice(body).map_err(|error| {
            errors::in_body(body).unwrap_or_else(|| {
                let why = excerpt(&error.to_string());
                let text = excerpt(&String::from_utf8_lossy(body));
                let words = format!("{path} did not answer with a length ({why}): {text}");
                Error::new(ErrorKind::Malformed, words)
            })
        })
    }

    /// One answer, from the moment at which the request goes out.
    async fn answered(
        &self,
        connection: Connection,
        message: &[u8],
        stream: bool,
        sink: &mut Sink,
    ) -> Result<Finish, Error> {
        // Every arm enters it with the message ready, right before it sends.
        sink.enter(Hop::Engine);
        let (head, mut connection) = self.transport.ask(connection, message).await?;
        if stream {
            if !head.content_type.starts_with("text/event-stream") {
                return Err(no_stream(&mut connection, &head.content_type).await);
            }
            return self.streamed(connection, sink).await;
        }
        let body = transport::whole(&mut connection, transport::ANSWER_BYTES_MAX).await?;
        let outcome = Answer::whole(&body, sink);
        sink.leave(Hop::Engine);
        sink.end();
        self.transport.put_back(connection);
        outcome
    }

    async fn streamed(&self, connection: Connection, sink: &mut Sink) -> Result<Finish, Error> {
        let needs_reason = self.known().await?.family.finish_reason_in_streams;
        let mut answer = Answer::new(needs_reason);
        let mut events = Events::new(connection);
        // One closure to the end, and no await for each event: a token finds its
        // way back to here by one state.
        let ended = poll_fn(|cx| {
            loop {
                match ready!(events.poll_next(cx, answer.usual()))? {
                    Next::Text(text) => answer.text(text, sink),
                    Next::Data(data) => match answer.event(data, sink) {
                        Ok(Flow::More) => {}
                        Ok(Flow::Done) => return Poll::Ready(Ok(Ok(()))),
                        Err(error) => return Poll::Ready(Ok(Err(error))),
                    },
                }
            }
        });
        let outcome = ended.await?.and_then(|()| answer.finish());
        sink.leave(Hop::Engine);
        sink.end();
        // A connection can be used again only when its answer was read to the end.
        let drained = self
            .transport
            .timers()
            .timeout(DRAIN_WAIT, events.drain())
            .await;
        if let Ok(Some(connection)) = drained {
            self.transport.put_back(connection);
        }
        outcome
    }
}

#[async_trait]
impl Backend for ApiServer {
    async fn probe(&self) -> Result<ServerInfo, Error> {
        let known = self.known().await?;
        Ok(ServerInfo {
            server: known.family.name.clone(),
            model: known.model.clone(),
            session_tokens: known.session_tokens,
            max_running: None,
            simulated: known.simulated,
            unordered_model: None,
        })
    }

    async fn warm(&self, streams: u32) -> Result<(), Error> {
        self.transport.warm(streams, "/v1/models").await
    }

    /// Asks `/v1/encode` where streams carry no usage (LMDeploy 0.1.0 to
    /// 0.5.3) and the prompt is raw: in these versions the engine tokenizes a
    /// raw prompt with `add_bos=True`, which is `/v1/encode`'s default too, so
    /// its length is the engine's. A chat template is applied after encode, so
    /// a chat prompt has no count here, and 0.1.0a1 has no encode at all.
    async fn prompt_tokens(&self, request: &Request) -> Result<Option<u32>, Error> {
        let family = &self.known().await?.family;
        let told = !request.stream || family.usage_in_streams;
        if told || !family.encode || request.prompt_mode == PromptMode::Chat {
            return Ok(None);
        }
        let encoded = self.encoded(request).await?;
        Ok(Some(encoded.length))
    }

    /// Asks LMDeploy's `/v1/encode`, in chat with `do_preprocess`: from 0.18.0
    /// (where chat goes through the same `messages2prompt` and `encode`) those
    /// are the ids that the engine gets.
    async fn prompt_ids(&self, request: &Request) -> Result<Option<Vec<u32>>, Error> {
        if !self.known().await?.family.encode {
            return Ok(None);
        }
        Ok(Some(self.encoded(request).await?.input_ids))
    }

    /// The whole of the HTTP request, and a connection that is open for it. A
    /// request that is prepared again, after a pause, keeps its message.
    async fn prepare(&self, request: &mut Request) -> Result<(), Error> {
        let known = self.known().await?;
        let session = self.session(known, request.slot);
        let message = self.ready(request, known, session.as_ref());
        // not sent, so not lost
        session.into_iter().for_each(Session::end);
        request.wire = Some(message?);
        // What keeps it from opening is for the request itself to find and tell.
        let _ = self.transport.ready(request.slot).await;
        Ok(())
    }

    async fn generate(&self, request: &Request, sink: &mut Sink) -> Result<Finish, Error> {
        let known = self.known().await?;
        let session = self.session(known, request.slot);
        let message = self.ready(request, known, session.as_ref())?;
        let connection = self.transport.connection(request.slot, sink).await?;
        let stream = request.stream;
        let finish = self.answered(connection, &message, stream, sink).await?;
        session.into_iter().for_each(Session::end);
        Ok(finish)
    }

    async fn server_counters(&self) -> Result<Option<ServerCounters>, Error> {
        let path = "/metrics";
        let answer = self.transport.get(path).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.transport.accepted_aside(&answer)?;
        let page = String::from_utf8_lossy(&answer.body);
        Ok(Some(metrics::parse(&page)))
    }
}

/// The model to ask among those that the server has.
fn choose<'a>(models: &'a [wire::Model], wanted: Option<&str>) -> Result<&'a wire::Model, Error> {
    let chosen = match wanted {
        Some(wanted) => models.iter().find(|model| model.id == wanted),
        None => models.first(),
    };
    chosen.ok_or_else(|| {
        let there: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
        let there = if there.is_empty() {
            "it serves no model".to_owned()
        } else {
            format!("it serves {}", excerpt(&there.join(", ")))
        };
        let words = match wanted {
            Some(wanted) => format!("the server has no model `{}`; {there}", excerpt(wanted)),
            None => format!("the server names no model: {there}"),
        };
        Error::new(ErrorKind::Model, words)
    })
}

/// A connection that is closed at the very first request was no HTTP server's.
fn no_http(error: Error) -> Error {
    if error.kind != ErrorKind::Cut {
        return error;
    }
    Error::new(
        ErrorKind::Protocol,
        format!(
            "{}; this may be a gRPC server: use --backend tis for it, or give the api_server's \
             HTTP port (23333 by default)",
            error.message
        ),
    )
}

fn no_models(error: &serde_json::Error, body: &[u8]) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!(
            "/v1/models did not answer with a list of models, so this is no api_server ({}): {}",
            excerpt(&error.to_string()),
            excerpt(&String::from_utf8_lossy(body))
        ),
    )
}

/// The error that an answer with status 200 is when it is no stream.
async fn no_stream(connection: &mut Connection, content_type: &str) -> Error {
    let mut body = Vec::new();
    transport::start_of(connection, transport::ERROR_BYTES_MAX, &mut body).await;
    errors::in_body(&body).unwrap_or_else(|| {
        Error::new(
            ErrorKind::Malformed,
            format!(
                "a stream was asked for and the server answered with `{}`: {}",
                excerpt(content_type),
                excerpt(&String::from_utf8_lossy(&body))
            ),
        )
    })
}

/// Makes a client of it. See [`super::connect`].
pub(crate) fn connect(target: Target) -> Result<Arc<dyn Backend>, Error> {
    Ok(Arc::new(ApiServer::new(target, transport::POOL_IDLE)?))
}

#[cfg(any(test, feature = "fuzzing"))]
#[path = "client_fuzzing.rs"]
pub(super) mod fuzzing;

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "reuse_tests.rs"]
mod reuse_tests;
