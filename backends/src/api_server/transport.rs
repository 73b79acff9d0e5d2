//! HTTP/1.1 to one server: the connections, the key, the limits on what is
//! read, and what a failure to talk is called. Knows no endpoint.
//!
//! The same conditions for every run: TCP_NODELAY, no compression, no
//! redirects, no retries, and no proxy, whatever the environment says, as a
//! proxy would be measured along. Idle connections are dropped after 4 s
//! because the server closes its side after 5.0 s (uvicorn's default), and a
//! request that is sent into that moment fails.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};

use super::errors;
use super::events::cut;
use crate::{Error, ErrorKind, Target, excerpt};

/// How long a connection may be idle and still be used. The server's limit is
/// 5.0 s (measured, LMDeploy 0.1.0 and 0.18.0).
pub(super) const POOL_IDLE: Duration = Duration::from_secs(4);

/// The most that is read of an answer that is not a stream.
pub(super) const ANSWER_BYTES_MAX: usize = 8 << 20;

/// The most that is read of an error.
pub(super) const ERROR_BYTES_MAX: usize = 64 << 10;

/// A client for one server.
pub(super) struct Transport {
    client: reqwest::Client,
    base: Url,
    has_key: bool,
    wait: Duration,
}

impl Transport {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// When the address or the key cannot be one, or the platform's roots
    /// cannot be read (https only).
    pub(super) fn new(target: &Target, pool_idle: Duration) -> Result<Self, Error> {
        let base = base_url(&target.address)?;
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
        let client = reqwest::Client::builder()
            .http1_only()
            .tcp_nodelay(true)
            .pool_idle_timeout(pool_idle)
            .connect_timeout(target.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .user_agent(concat!("pairbench/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .tls_backend_preconfigured(tls(base.scheme() == "https")?)
            .build()
            .map_err(|error| connect(&format!("cannot set up HTTP: {}", causes(&error))))?;
        Ok(Self {
            client,
            base,
            has_key: target.api_key.is_some(),
            wait: target.probe_timeout,
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

    /// A POST of JSON.
    pub(super) fn post(&self, url: Url, body: Vec<u8>) -> RequestBuilder {
        self.client
            .request(Method::POST, url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body)
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
        if status.is_redirection() {
            let place = response.headers().get(reqwest::header::LOCATION);
            let place = place
                .and_then(|place| place.to_str().ok())
                .unwrap_or("nowhere");
            return Err(Error::new(
                ErrorKind::Protocol,
                format!(
                    "the server answered HTTP {} and points to {}; redirects are not followed, \
                     as they would be measured along: give the final address",
                    status.as_u16(),
                    excerpt(place)
                ),
            ));
        }
        let body = body_start(response, ERROR_BYTES_MAX).await;
        Err(errors::of_status(status.as_u16(), &body, self.has_key))
    }

    /// `GET path` in the time that a probe has: the answer, whatever its
    /// status.
    ///
    /// # Errors
    /// When nobody answers in time, or not in HTTP.
    pub(super) async fn get(&self, path: &str) -> Result<Response, Error> {
        let request = self.client.request(Method::GET, self.url(path)?);
        self.in_time(path, self.send(request)).await
    }

    /// Reads a whole answer in the time that a probe has.
    ///
    /// # Errors
    /// As [`whole`], or when it takes too long.
    pub(super) async fn read(&self, path: &str, response: Response) -> Result<Vec<u8>, Error> {
        self.in_time(path, whole(response, ANSWER_BYTES_MAX)).await
    }

    /// Gives an answer that is not timed the time that it may take.
    pub(super) async fn in_time<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::time::timeout(self.wait, work)
            .await
            .unwrap_or_else(|_| {
                Err(connect(&format!(
                    "{}: no answer to {what} within {} s",
                    self.place(),
                    self.wait.as_secs_f64()
                )))
            })
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

/// Reads the start of a body whose rest does not matter.
pub(super) async fn body_start(mut response: Response, bytes_max: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = bytes_max.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..room.min(chunk.len())]);
        if chunk.len() >= room {
            break;
        }
    }
    body
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

fn connect(words: &str) -> Error {
    Error::new(ErrorKind::Connect, words)
}

/// `HOST:PORT` is http; a path behind it stays in front of every endpoint.
fn base_url(address: &str) -> Result<Url, Error> {
    let text = address.trim();
    let text = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let bad = |why: &str| {
        connect(&format!(
            "`{}` is no address of an api_server ({why}); give HOST:PORT, with http:// or \
             https:// in front if wanted",
            excerpt(address)
        ))
    };
    let url = Url::parse(&text).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it speaks http or https only"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad("it names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(connect(
            "the address holds a user name or a password, which would show in records; give the \
             key by --api-key or OPENAI_API_KEY",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it holds a query"));
    }
    Ok(url)
}

/// TLS with the ring provider. The platform's roots take time to read, so only
/// an https address has them read.
fn tls(wanted: bool) -> Result<rustls::ClientConfig, Error> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let failed = |error: rustls::Error| connect(&format!("cannot set up TLS: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let mut config = if wanted {
        builder
            .with_platform_verifier()
            .map_err(failed)?
            .with_no_client_auth()
    } else {
        builder
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::base_url;

    #[test]
    fn addresses_are_read() {
        for (address, url) in [
            ("127.0.0.1:23333", "http://127.0.0.1:23333/"),
            (" localhost:1 ", "http://localhost:1/"),
            ("[::1]:23333", "http://[::1]:23333/"),
            ("https://host/prefix/", "https://host/prefix/"),
        ] {
            assert_eq!(base_url(address).expect(address).as_str(), url);
        }
        for address in ["", "http://", "ftp://h:1", "h:port", "http://h:1/?q=1"] {
            let error = base_url(address).expect_err(address);
            assert!(error.message.contains("HOST:PORT"), "{}", error.message);
        }
        let secret = base_url("http://me:sekret@h:1").expect_err("a password");
        assert!(!secret.message.contains("sekret"), "{}", secret.message);
    }
}
