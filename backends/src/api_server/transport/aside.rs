//! What is asked outside the measured time: head and body come within the time
//! that a probe has, or not at all. Knows no endpoint.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};

use super::connection::{Connection, Stranger};
use super::pool::Unopened;
use super::{ANSWER_BYTES_MAX, ERROR_BYTES_MAX, Transport, USER_AGENT, connect, too_long};
use crate::api_server::errors::{self, causes};
use crate::{Error, tls};

/// How many connections are opened at once. A server's queue of those that it
/// has not accepted yet is 128 to 4,096 long, and whoever finds it full waits
/// for a second.
const OPENED_AT_ONCE: usize = 64;

/// The answer to a request that is not timed.
pub(in crate::api_server) struct Aside {
    pub(in crate::api_server) status: StatusCode,
    pub(in crate::api_server) headers: HeaderMap,
    /// All of it with status 200, else its start.
    pub(in crate::api_server) body: Vec<u8>,
}

/// The client for what is not timed, under the same conditions.
///
/// # Errors
/// When HTTP cannot be set up.
pub(super) fn client(
    headers: HeaderMap,
    tls: rustls::ClientConfig,
    connect_timeout: Duration,
    pool_idle: Duration,
) -> Result<Client, Error> {
    Client::builder()
        .http1_only()
        .tcp_nodelay(true)
        .pool_idle_timeout(pool_idle)
        .connect_timeout(connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .user_agent(USER_AGENT)
        .default_headers(headers)
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| connect(&format!("cannot set up HTTP: {}", causes(&error))))
}

impl Transport {
    /// Makes `streams` connections live, by asking for `path` on each. What is
    /// open is used again, so this can be called again after a pause and opens
    /// only what was lost meanwhile.
    ///
    /// # Errors
    /// When one cannot be opened, or answers with any status but 200.
    pub(in crate::api_server) async fn warm(&self, streams: u32, path: &str) -> Result<(), Error> {
        let mut message = self.start_of("GET", &self.url(path)?);
        message.extend_from_slice(b"\r\n");
        // all of them taken out first: each is to be another one
        let old: Vec<Option<Connection>> = (0..streams).map(|_| self.pool.idle()).collect();
        let one = |old| self.warmed(old, &message, path);
        let warmed = stream::iter(old).map(one).buffer_unordered(OPENED_AT_ONCE);
        let warmed: Vec<Connection> = warmed.try_collect().await?;
        for connection in warmed {
            self.put_back(connection);
        }
        Ok(())
    }

    async fn warmed(
        &self,
        old: Option<Connection>,
        message: &[u8],
        path: &str,
    ) -> Result<Connection, Error> {
        let connection = match old {
            Some(connection) => connection,
            None => self.pool.open().await.map_err(|why| self.unopened(&why))?,
        };
        let asked = async {
            let (_, mut connection) = self.ask(connection, message).await?;
            super::whole(&mut connection, ANSWER_BYTES_MAX).await?;
            Ok(connection)
        };
        let answered = self.timers.timeout(self.wait, asked).await;
        answered.unwrap_or_else(|_| Err(self.late("no answer to", path)))
    }

    /// A POST of JSON that is not timed.
    ///
    /// # Errors
    /// When nobody answers to the end in time, or not in HTTP.
    pub(in crate::api_server) async fn post_aside(
        &self,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Aside, Error> {
        let request = self.aside.request(Method::POST, self.url(path)?);
        let kind = HeaderValue::from_static("application/json");
        let request = request.header(CONTENT_TYPE, kind).body(body);
        self.aside(path, request).await
    }

    /// `GET path` in the time that a probe has: the answer, whatever its
    /// status.
    ///
    /// # Errors
    /// When nobody answers to the end in time, or not in HTTP.
    pub(in crate::api_server) async fn get(&self, path: &str) -> Result<Aside, Error> {
        let request = self.aside.request(Method::GET, self.url(path)?);
        self.aside(path, request).await
    }

    /// Sends what is not timed and reads the answer, head and body together in
    /// the time that a probe has. A refusal whose body does not end in time is
    /// passed on with as much of it as came: its status says enough.
    async fn aside(&self, path: &str, request: RequestBuilder) -> Result<Aside, Error> {
        let mut head = None;
        let mut start = Vec::new();
        let work = async {
            let sent = self.timers.there(async { request.send().await }).await;
            let response = sent.map_err(|error| self.unsent(&error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            head = Some((status, headers));
            if status == StatusCode::OK {
                return whole(response, ANSWER_BYTES_MAX).await;
            }
            start_of(response, ERROR_BYTES_MAX, &mut start).await;
            Ok(Vec::new())
        };
        let ended = self.timers.timeout(self.wait, work).await;
        match (ended, head) {
            (Ok(Err(error)), _) => Err(error),
            (Ok(Ok(body)), Some((status @ StatusCode::OK, headers))) => Ok(Aside {
                status,
                headers,
                body,
            }),
            (_, Some((status, headers))) if status != StatusCode::OK => Ok(Aside {
                status,
                headers,
                body: start,
            }),
            (_, Some(_)) => Err(self.late("no end of the answer to", path)),
            (_, None) => Err(self.late("no answer to", path)),
        }
    }

    fn late(&self, what: &str, path: &str) -> Error {
        let (place, seconds) = (self.place(), self.wait.as_secs_f64());
        connect(&format!("{place}: {what} {path} within {seconds} s"))
    }

    fn unsent(&self, error: &reqwest::Error) -> Error {
        let below = std::iter::successors(error.source(), |error| (*error).source())
            .find_map(|error| error.downcast_ref::<hyper::Error>());
        if let Some(why) = tls::refusal(error) {
            return self.unopened(&Unopened { why, by_tls: true });
        }
        let why = causes(error);
        // One that is reset at once may seem to have never been open.
        let opened = was_reset(error);
        if (error.is_connect() && !opened) || error.is_timeout() {
            self.unopened(&why.into())
        } else if below.is_some_and(hyper::Error::is_parse) {
            self.no_http(&why, Stranger::Unknown)
        } else {
            let mut error = self.unanswered(&why);
            if self.base.scheme() == "https" {
                error.message += tls::MAYBE_CERTIFICATE;
            }
            error
        }
    }

    /// The same for an answer that is not timed.
    ///
    /// # Errors
    /// What any status but 200 means, with the server's words.
    pub(in crate::api_server) fn accepted_aside(&self, answer: &Aside) -> Result<(), Error> {
        if answer.status == StatusCode::OK {
            return Ok(());
        }
        let place = answer.headers.get(LOCATION);
        let place = place.and_then(|place| place.to_str().ok());
        Err(self.refusal(answer.status.as_u16(), place, &answer.body))
    }
}

/// Whether somebody was there, who hung up.
fn was_reset(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

/// Reads a whole body.
///
/// # Errors
/// When it is longer than `bytes_max`, or ends too early.
async fn whole(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= bytes_max => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => return Err(too_long(bytes_max)),
            Ok(None) => return Ok(body),
            Err(error) => return Err(errors::cut(&causes(&error), !body.is_empty())),
        }
    }
}

/// Reads the start of a body whose rest does not matter.
async fn start_of(mut response: Response, bytes_max: usize, body: &mut Vec<u8>) {
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = bytes_max.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..room.min(chunk.len())]);
        if chunk.len() >= room {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::{fmt, io};

    use super::was_reset;

    /// What a library makes of a failure.
    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("could not connect")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_reset_is_found_below_what_a_library_says() {
        for (kind, expected) in [
            (io::ErrorKind::ConnectionReset, true),
            (io::ErrorKind::ConnectionRefused, false),
        ] {
            assert_eq!(was_reset(&Outer(kind.into())), expected, "{kind:?}");
        }
    }
}
