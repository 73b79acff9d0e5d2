//! HTTP/1.1 to one server: the connections, the key, the limits on what is
//! read, and what a failure to talk is called. Knows no endpoint.
//!
//! The same conditions for every run: TCP_NODELAY, no compression, no
//! redirects, no retries, and no proxy, whatever the environment says, as a
//! proxy would be measured along. Idle connections are dropped after 4 s
//! because the server closes its side after 5.0 s (uvicorn's default), and a
//! request that is sent into that moment fails.
//!
//! What is measured goes over [`Connection`]s of our own, which the request's
//! task drives itself; reqwest asks what is not timed ([`aside`]). The reason
//! is its cost per token, in `docs/performance.md`.
//!
//! Nothing is sent twice. [`Transport::ready`] looks whether the connection of
//! the coming request lives and opens another if not, before the clock. One
//! that dies after that look fails its request with [`ErrorKind::Cut`], as
//! nobody can tell what the server had made of it. A request for which nothing
//! was made ready, or whose connection was seen to be dead, opens its own, and
//! shows it as [`Hop::Connect`].

mod aside;
mod connection;
mod framing;
mod pool;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use self::connection::Stranger;
use self::pool::{Dial, Pool, Unopened};
use super::address::base_url;
use super::errors;
use crate::{Error, ErrorKind, Hop, Sink, Target, Timers, excerpt, reach, tls};

pub(super) use self::connection::{Broken, Connection};
pub(super) use self::framing::Head;

/// How long a connection may be idle and still be used. The server's limit is
/// 5.0 s (measured, LMDeploy 0.1.0 and 0.18.0).
pub(super) const POOL_IDLE: Duration = Duration::from_secs(4);

/// The most that is read of an answer that is not a stream.
pub(super) const ANSWER_BYTES_MAX: usize = 8 << 20;

/// The most that is read of an error.
pub(super) const ERROR_BYTES_MAX: usize = 64 << 10;

const USER_AGENT: &str = concat!("pairbench/", env!("CARGO_PKG_VERSION"));

/// A client for one server.
pub(super) struct Transport {
    /// For what is not timed.
    aside: reqwest::Client,
    pool: Pool,
    base: Url,
    /// The header fields of every request, `host` first.
    fields: Vec<u8>,
    has_key: bool,
    wait: Duration,
    timers: Timers,
}

impl Transport {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// When the address or the key cannot be one, or the platform's roots
    /// cannot be read (https only).
    pub(super) fn new(target: &Target, pool_idle: Duration) -> Result<Self, Error> {
        let base = base_url(&target.address)?;
        let tls = target.tls.config(base.scheme() == "https", b"http/1.1")?;
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
        let host = base.host_str().unwrap_or_default();
        let mut fields = match base.port() {
            Some(port) => format!("host: {host}:{port}\r\n"),
            None => format!("host: {host}\r\n"),
        };
        fields += &format!("user-agent: {USER_AGENT}\r\naccept: */*\r\n");
        let mut fields = fields.into_bytes();
        if let Some(key) = &target.api_key {
            let value = HeaderValue::from_str(&format!("Bearer {key}"));
            let mut value = value.map_err(|_| {
                let words = "the API key holds characters that an HTTP header cannot carry";
                Error::new(ErrorKind::Auth, words)
            })?;
            fields.extend_from_slice(b"authorization: ");
            fields.extend_from_slice(value.as_bytes());
            fields.extend_from_slice(b"\r\n");
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let timers = Timers::here();
        let dial = Dial {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: base.port_or_known_default().unwrap_or(80),
            tls: (base.scheme() == "https").then(|| Arc::new(tls.clone())),
            within: target.connect_timeout,
            timers: timers.clone(),
        };
        Ok(Self {
            aside: aside::client(headers, tls, target.connect_timeout, pool_idle)?,
            pool: Pool::new(dial, pool_idle),
            base,
            fields,
            has_key: target.api_key.is_some(),
            wait: target.probe_timeout,
            timers,
        })
    }

    /// The address of a path on the server.
    ///
    /// # Errors
    /// When the two make no address.
    pub(super) fn url(&self, path: &str) -> Result<Url, Error> {
        let joined = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        Url::parse(&joined).map_err(|error| connect(&format!("`{joined}` is no address: {error}")))
    }

    /// A POST of JSON as it goes over the wire, head and body in one.
    pub(super) fn post(&self, url: &Url, id: u64, body: &[u8]) -> Bytes {
        let mut message = self.start_of("POST", url);
        let length = body.len();
        message.extend_from_slice(
            format!(
                "content-type: application/json\r\nx-request-id: {id}\r\n\
                 content-length: {length}\r\n\r\n"
            )
            .as_bytes(),
        );
        message.extend_from_slice(body);
        message.into()
    }

    fn start_of(&self, method: &str, url: &Url) -> Vec<u8> {
        let mut message = format!("{method} {} HTTP/1.1\r\n", url.path()).into_bytes();
        message.extend_from_slice(&self.fields);
        message
    }

    /// Sees to it that the coming request of `slot` finds a connection open.
    ///
    /// # Errors
    /// When one has to be opened and cannot be.
    pub(super) async fn ready(&self, slot: u32) -> Result<(), Error> {
        let ready = self.pool.make_ready(slot).await;
        ready.map_err(|why| self.unopened(&why))
    }

    /// The connection for a request of `slot`.
    ///
    /// # Errors
    /// When it has to be opened and cannot be.
    pub(super) async fn connection(&self, slot: u32, sink: &mut Sink) -> Result<Connection, Error> {
        if let Some(connection) = self.pool.ready(slot).or_else(|| self.pool.idle()) {
            return Ok(connection);
        }
        sink.enter(Hop::Connect);
        let opened = self.pool.open().await;
        sink.leave(Hop::Connect);
        opened.map_err(|why| self.unopened(&why))
    }

    /// Takes the connection of an answer that has ended.
    pub(super) fn put_back(&self, connection: Connection) {
        self.pool.put_back(connection);
    }

    /// Sends a message of [`Self::post`] and waits for the answer's head; passes
    /// one with status 200 on.
    ///
    /// # Errors
    /// When nobody answers, or not in HTTP; what any other status means, with
    /// the server's words.
    pub(super) async fn ask(
        &self,
        mut connection: Connection,
        message: &[u8],
    ) -> Result<(Head, Connection), Error> {
        let head = connection.ask(message).await;
        let head = head.map_err(|broken| match broken {
            Broken::NoHttp(why, stranger) => self.no_http(&why, stranger),
            broken => self.unanswered(broken.why()),
        })?;
        if head.status == 200 {
            return match &head.encoding {
                None => Ok((head, connection)),
                Some(encoding) => Err(errors::encoded(encoding)),
            };
        }
        let mut body = Vec::new();
        if start_of(&mut connection, ERROR_BYTES_MAX, &mut body).await {
            self.pool.put_back(connection);
        }
        Err(self.refusal(head.status, head.location.as_deref(), &body))
    }

    /// What time limits are kept by.
    pub(super) fn timers(&self) -> &Timers {
        &self.timers
    }

    /// How many bytes the buffer of each idle connection takes.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn kept_bytes(&self) -> Vec<usize> {
        let idle = std::iter::from_fn(|| self.pool.idle());
        idle.map(|connection| connection.buffer_bytes()).collect()
    }

    /// The error that a status other than 200 is.
    fn refusal(&self, status: u16, location: Option<&str>, body: &[u8]) -> Error {
        if !(300..400).contains(&status) {
            return errors::of_status(status, body, self.has_key);
        }
        Error::new(
            ErrorKind::Protocol,
            format!(
                "the server answered HTTP {status} and points to {}; redirects are not followed, \
                 as they would be measured along: give the final address",
                excerpt(location.unwrap_or("nowhere"))
            ),
        )
    }

    fn place(&self) -> String {
        let host = self.base.host_str().unwrap_or("?");
        let port = self.base.port_or_known_default().unwrap_or(0);
        format!("{host}:{port}")
    }

    fn unopened(&self, unopened: &Unopened) -> Error {
        let (place, why) = (self.place(), excerpt(&unopened.why));
        connect(&match unopened.by_tls {
            true => format!("cannot connect to {place}: {why}"),
            false => format!("cannot connect to {place}: {why}; {}", reach::cure(&why)),
        })
    }

    fn unanswered(&self, why: &str) -> Error {
        let place = self.place();
        if let Some(meaning) = tls::of_words(why) {
            let why = format!("{meaning} ({why})");
            return self.unopened(&Unopened { why, by_tls: true });
        }
        let words = format!(
            "{place} closed the connection instead of answering: {}",
            excerpt(why)
        );
        Error::new(ErrorKind::Cut, words)
    }

    fn no_http(&self, why: &str, stranger: Stranger) -> Error {
        let advice = match stranger {
            Stranger::Tls => "it speaks TLS: give its address with https:// in front",
            Stranger::Http2 => {
                "this looks like a gRPC server: use --backend tis for it, or give the \
                 api_server's HTTP port (23333 by default)"
            }
            Stranger::Unknown => {
                "if it is a gRPC server, use --backend tis for it; if it speaks TLS, give its \
                 address with https:// in front; an api_server's HTTP port is 23333 by default"
            }
        };
        let (place, why) = (self.place(), excerpt(why));
        let words = format!("{place} does not answer in HTTP/1.1 ({why}); {advice}");
        Error::new(ErrorKind::Protocol, words)
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // not the fields, nor the client: they hold the key
        f.debug_struct("Transport")
            .field("base", &self.base.as_str())
            .field("has_key", &self.has_key)
            .finish_non_exhaustive()
    }
}

/// A connection over a socket that is open, for the fuzzer.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn over(socket: tokio::net::TcpStream) -> Connection {
    Connection::over(connection::Socket::Plain(socket.into()), 0)
}

/// Reads a whole body.
///
/// # Errors
/// When it is longer than `bytes_max`, or ends too early.
pub(super) async fn whole(connection: &mut Connection, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    loop {
        match connection.piece().await {
            Ok(Some(piece)) if body.len() + piece.len() <= bytes_max => {
                body.extend_from_slice(connection.bytes(piece));
            }
            Ok(Some(_)) => return Err(too_long(bytes_max)),
            Ok(None) => return Ok(body),
            Err(broken) => return Err(errors::broken(&broken, !body.is_empty())),
        }
    }
}

fn too_long(bytes_max: usize) -> Error {
    Error::new(
        ErrorKind::Malformed,
        format!("the server's answer is longer than {bytes_max} bytes"),
    )
}

/// Reads the start of a body whose rest does not matter into `body`, which
/// holds what came should this be given up. Says whether that was all of it.
pub(super) async fn start_of(
    connection: &mut Connection,
    bytes_max: usize,
    body: &mut Vec<u8>,
) -> bool {
    loop {
        let Ok(Some(piece)) = connection.piece().await else {
            // a connection that is broken shows that by itself
            return true;
        };
        let room = bytes_max.saturating_sub(body.len());
        let bytes = connection.bytes(piece);
        body.extend_from_slice(&bytes[..room.min(bytes.len())]);
        if bytes.len() >= room {
            return false;
        }
    }
}

fn connect(words: &str) -> Error {
    Error::new(ErrorKind::Connect, words)
}
