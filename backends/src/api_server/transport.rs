//! HTTP/1.1 to one server: the connections, the key, the limits on what is
//! read, and what a failure to talk is called. Knows no endpoint.
//!
//! The same conditions for every run: TCP_NODELAY, no compression, no
//! redirects, no retries, and no proxy, whatever the environment says, as a
//! proxy would be measured along. Idle connections are dropped after 4 s
//! because the server closes its side after 5.0 s (uvicorn's default), and a
//! request that is sent into that moment fails.
//!
//! One repetition cannot be switched off: reqwest's `retry::never` ends its own
//! retries, and hyper-util's `retry_canceled_requests`, on by default, is out
//! of its reach. A request that finds its idle connection dead before a byte
//! of it went out is sent on a new one without a word, and the time to open
//! that one is inside its latency. No request is ever run twice by it. Asking
//! on every connection right before the run ([`Transport::warm`]) keeps it rare.

mod aside;

use std::error::Error as _;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};

use super::address::{base_url, tls};
use super::errors;
use super::errors::{causes, cut};
use crate::{Error, ErrorKind, Target, excerpt};

/// How long a connection may be idle and still be used. The server's limit is
/// 5.0 s (measured, LMDeploy 0.1.0 and 0.18.0).
pub(super) const POOL_IDLE: Duration = Duration::from_secs(4);

/// How often a request that has ended gives way to its connection.
const TURNS: usize = 4;

/// The most that is read of an answer that is not a stream.
pub(super) const ANSWER_BYTES_MAX: usize = 8 << 20;

/// The most that is read of an error.
pub(super) const ERROR_BYTES_MAX: usize = 64 << 10;

/// The most connections that are told apart; slots beyond share them.
const SLOTS_MAX: u32 = 1 << 14;

/// A client for one server.
///
/// Every slot has a connection pool of its own. One pool for all would let a
/// slot's request open a connection although another's has just become free,
/// in the measured time and by chance; so each slot keeps the connection that
/// [`Transport::warm`] opened for it.
pub(super) struct Transport {
    recipe: Recipe,
    /// For what is not timed.
    aside: Client,
    slots: RwLock<Vec<Client>>,
    base: Url,
    has_key: bool,
    wait: Duration,
}

/// What every client of the server is made of.
struct Recipe {
    headers: HeaderMap,
    tls: rustls::ClientConfig,
    connect_timeout: Duration,
    pool_idle: Duration,
}

impl Recipe {
    fn client(&self) -> Result<Client, Error> {
        Client::builder()
            .http1_only()
            .tcp_nodelay(true)
            .pool_idle_timeout(self.pool_idle)
            .connect_timeout(self.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .user_agent(concat!("pairbench/", env!("CARGO_PKG_VERSION")))
            .default_headers(self.headers.clone())
            .tls_backend_preconfigured(self.tls.clone())
            .build()
            .map_err(|error| connect(&format!("cannot set up HTTP: {}", causes(&error))))
    }
}

impl Transport {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// When the address or the key cannot be one, or the platform's roots
    /// cannot be read (https only).
    pub(super) fn new(target: &Target, pool_idle: Duration) -> Result<Self, Error> {
        let base = base_url(&target.address)?;
        let tls = tls(base.scheme() == "https")?;
        Self::with_tls(target, base, pool_idle, tls)
    }

    /// The same for a server at `base` that is trusted as `tls` says.
    ///
    /// # Errors
    /// When the key cannot be one.
    pub(super) fn with_tls(
        target: &Target,
        base: Url,
        pool_idle: Duration,
        tls: rustls::ClientConfig,
    ) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &target.api_key {
            let value = HeaderValue::from_str(&format!("Bearer {key}"));
            let mut value = value.map_err(|_| {
                let words = "the API key holds characters that an HTTP header cannot carry";
                Error::new(ErrorKind::Auth, words)
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let recipe = Recipe {
            headers,
            tls,
            connect_timeout: target.connect_timeout,
            pool_idle,
        };
        Ok(Self {
            aside: recipe.client()?,
            recipe,
            slots: RwLock::default(),
            base,
            has_key: target.api_key.is_some(),
            wait: target.probe_timeout,
        })
    }

    /// The client of a slot.
    fn slot(&self, slot: u32) -> Result<Client, Error> {
        let at = usize::try_from(slot % SLOTS_MAX).unwrap_or(0);
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = slots.get(at) {
            return Ok(client.clone());
        }
        drop(slots);
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        while slots.len() <= at {
            slots.push(self.recipe.client()?);
        }
        Ok(slots[at].clone())
    }

    /// The address of a path on the server.
    ///
    /// # Errors
    /// When the two make no address.
    pub(super) fn url(&self, path: &str) -> Result<Url, Error> {
        let joined = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        Url::parse(&joined).map_err(|error| connect(&format!("`{joined}` is no address: {error}")))
    }

    /// A POST of JSON on a slot's connection.
    ///
    /// # Errors
    /// When a new slot cannot be set up.
    pub(super) fn post(&self, slot: u32, url: Url, body: Vec<u8>) -> Result<RequestBuilder, Error> {
        Ok(json(&self.slot(slot)?, url, body))
    }

    /// Sends a request and waits for the answer's head, whatever its status.
    ///
    /// # Errors
    /// When nobody answers, or not in HTTP.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        request.send().await.map_err(|error| self.unsent(&error))
    }

    /// Passes an answer with status 200 on.
    ///
    /// # Errors
    /// What any other status means, with the server's words.
    pub(super) async fn accepted(&self, response: Response) -> Result<Response, Error> {
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let headers = response.headers().clone();
        let mut body = Vec::new();
        start_of(response, ERROR_BYTES_MAX, &mut body).await;
        Err(self.refusal(status, &headers, &body))
    }

    /// The error that a status other than 200 is.
    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
        if !status.is_redirection() {
            return errors::of_status(status.as_u16(), body, self.has_key);
        }
        let place = headers
            .get(LOCATION)
            .and_then(|place| place.to_str().ok())
            .unwrap_or("nowhere");
        Error::new(
            ErrorKind::Protocol,
            format!(
                "the server answered HTTP {} and points to {}; redirects are not followed, as \
                 they would be measured along: give the final address",
                status.as_u16(),
                excerpt(place)
            ),
        )
    }

    fn place(&self) -> String {
        let host = self.base.host_str().unwrap_or("?");
        let port = self.base.port_or_known_default().unwrap_or(0);
        format!("{host}:{port}")
    }

    fn unsent(&self, error: &reqwest::Error) -> Error {
        let place = self.place();
        let below = std::iter::successors(error.source(), |error| (*error).source())
            .find_map(|error| error.downcast_ref::<hyper::Error>());
        let why = causes(error);
        if error.is_connect() || error.is_timeout() {
            connect(&format!(
                "cannot connect to {place}: {why}; is the server running there?"
            ))
        } else if below.is_some_and(hyper::Error::is_parse) {
            Error::new(
                ErrorKind::Protocol,
                format!(
                    "{place} does not answer in HTTP/1.1 ({why}); this looks like a gRPC server: \
                     use --backend tis for it, or give the api_server's HTTP port (23333 by \
                     default)"
                ),
            )
        } else {
            Error::new(
                ErrorKind::Cut,
                format!("{place} closed the connection instead of answering: {why}"),
            )
        }
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // not the client: its default headers hold the key
        f.debug_struct("Transport")
            .field("base", &self.base.as_str())
            .field("has_key", &self.has_key)
            .finish_non_exhaustive()
    }
}

/// Lets the pool take back the connection of an answer that has ended. It does
/// so in two tasks of its own, one after the other, mostly within microseconds;
/// they get their turns here, after the answer's end, in no measured time.
///
/// Nothing tells whether they are done. If the next request of the slot comes
/// first, hyper-util begins to open a connection and takes whichever is there
/// sooner: the request waits no longer than for its old one, and the server
/// sees a connection more.
pub(super) async fn give_way() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

/// Reads a whole body.
///
/// # Errors
/// When it is longer than `bytes_max`, or ends too early.
pub(super) async fn whole(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= bytes_max => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                return Err(Error::new(
                    ErrorKind::Malformed,
                    format!("the server's answer is longer than {bytes_max} bytes"),
                ));
            }
            Ok(None) => return Ok(body),
            Err(error) => return Err(cut(&error, !body.is_empty())),
        }
    }
}

/// Reads the start of a body whose rest does not matter into `body`, which
/// holds what came should this be given up.
pub(super) async fn start_of(mut response: Response, bytes_max: usize, body: &mut Vec<u8>) {
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = bytes_max.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..room.min(chunk.len())]);
        if chunk.len() >= room {
            break;
        }
    }
}

fn json(client: &Client, url: Url, body: Vec<u8>) -> RequestBuilder {
    client
        .request(Method::POST, url)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .body(body)
}

fn connect(words: &str) -> Error {
    Error::new(ErrorKind::Connect, words)
}
