//! Which connections are used again, counted by a server of a few lines; where
//! the measured time starts; and a whole answer over TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::ApiServer;
use crate::api_server::transport::{POOL_IDLE, Transport};
use crate::{Backend, Clock, Ending, ErrorKind, Hop, PromptMode, Pulse, Request, Sampling, Sink};
use crate::{Target, TokenSource, tls};

pub(super) const MODELS: &str = r#"{"data":[{"id":"m","owned_by":"somebody"}]}"#;
const WHOLE: &str = r#"{"choices":[{"text":"a","finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
pub(super) const EVENTS: [&str; 3] = [
    "data: {\"choices\":[{\"text\":\"a\"}]}\n\n",
    "data: {\"choices\":[{\"text\":\"b\",\"finish_reason\":\"length\"}],\"usage\":{\"completion_tokens\":2}}\n\n",
    "data: [DONE]\n\n",
];

/// The next request, head and body; `None` at the end.
pub(super) async fn next(
    stream: &mut (impl AsyncRead + Unpin),
    seen: &mut Vec<u8>,
) -> Option<String> {
    loop {
        let text = String::from_utf8_lossy(seen).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let length = line.strip_prefix("content-length: ")?;
                length.parse().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                seen.clear();
                return Some(text);
            }
        }
        if stream.read_buf(seen).await.ok()? == 0 {
            return None;
        }
    }
}

/// Answers requests; one with `slow` in it after `pause`.
async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, pause: Duration) {
    let mut seen = Vec::new();
    while let Some(asked) = next(&mut stream, &mut seen).await {
        if asked.contains("slow") {
            tokio::time::sleep(pause).await;
        }
        let (status, body) = if asked.starts_with("get /v1/models ") {
            ("200 OK", MODELS)
        } else if asked.starts_with("post ") {
            ("200 OK", WHOLE)
        } else {
            ("404 Not Found", "{}")
        };
        let mut answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if asked.contains("\"stream\":true") {
            answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                      transfer-encoding: chunked\r\n\r\n"
                .to_owned();
            for event in EVENTS {
                answer += &format!("{:x}\r\n{event}\r\n", event.len());
            }
            answer += "0\r\n\r\n";
        }
        if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// A server that has no counters and counts its connections.
async fn server(pause: Duration) -> (Target, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let connections = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(talk(stream, pause));
        }
    });
    (target(address), connections)
}

pub(super) fn target(address: String) -> Target {
    Target {
        address,
        model: None,
        api_key: Some("sekret".to_owned()),
        tls: crate::Tls::default(),
        prompt_mode: PromptMode::Raw,
        connect_timeout: Duration::from_secs(5),
        probe_timeout: Duration::from_secs(20),
    }
}

pub(super) fn request(slot: u32, prompt: &str, stream: bool) -> Request {
    Request {
        id: 1,
        slot,
        prompt: prompt.into(),
        turn: None,
        token_ids: [1].into(),
        server_prompt_tokens: None,
        output_tokens: 1,
        sampling: Sampling::default(),
        stream,
        prompt_mode: PromptMode::Raw,
        wire: None,
    }
}

pub(super) fn sink() -> Sink {
    Sink::start(Clock::start(), Pulse::default(), 8)
}

/// Connections for two requests with `pause` between them.
async fn connections_for(pool_idle: Duration, pause: Duration) -> usize {
    let (target, connections) = server(Duration::ZERO).await;
    let client = ApiServer::new(target, pool_idle).expect("a client");
    assert_eq!(client.server_counters().await, Ok(None));
    // The pause is what is tested: it only has to be longer than the limit.
    tokio::time::sleep(pause).await;
    assert_eq!(client.server_counters().await, Ok(None));
    connections.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_connection_that_was_idle_too_long_is_not_used() {
    let (limit, pause) = (Duration::from_millis(50), Duration::from_millis(200));
    assert_eq!(connections_for(limit, pause).await, 2);
    assert_eq!(connections_for(POOL_IDLE, pause).await, 1);
}

/// Warm-up requests that take longer than a connection may be idle cost the
/// others theirs; warming again brings these back, and only these.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_after_warming_again_opens_nothing() {
    const SLOTS: u32 = 16;
    let idle = Duration::from_millis(1500);
    let (target, connections) = server(idle + Duration::from_millis(500)).await;
    let client = ApiServer::new(target, idle).expect("a client");
    let opened = || connections.load(Ordering::Relaxed);
    client.probe().await.expect("a model");
    client.warm(SLOTS).await.expect("connections");
    assert_eq!(opened(), 17, "the probe's and the slots'");
    client.warm(SLOTS).await.expect("connections");
    assert_eq!(opened(), 17, "all of them are alive");
    let slow = request(0, "slow", false);
    client.generate(&slow, &mut sink()).await.expect("good");
    client.warm(SLOTS).await.expect("connections");
    let warmed = opened();
    assert_eq!(warmed, 32, "all but the slow one's were idle too long");
    let requests: Vec<Request> = (0..SLOTS).map(|slot| request(slot, "hi", true)).collect();
    let burst = requests.iter().map(|request| async {
        let outcome = client.generate(request, &mut sink()).await;
        outcome.expect("good");
    });
    join_all(burst).await;
    assert_eq!(opened(), warmed, "the burst opened none");
}

/// Writing a long prompt as JSON is no part of the engine's time: every arm
/// enters that with its message ready.
#[tokio::test]
async fn the_engine_is_entered_with_the_body_ready() {
    let (target, _) = server(Duration::ZERO).await;
    let client = ApiServer::new(target, POOL_IDLE).expect("a client");
    client.probe().await.expect("a model");
    let request = request(0, &"\"".repeat(2 << 20), false);
    let mut sink = sink();
    client.generate(&request, &mut sink).await.expect("good");
    let trace = sink.into_trace();
    let hop = &trace.hops[Hop::Engine as usize];
    let before_ns = trace.marks[0].at_ns - trace.issued_ns - hop.until_first_ns;
    assert!(before_ns > 1_000_000, "4 MB of JSON in {before_ns} ns");
}

#[test]
fn the_limit_is_under_the_servers() {
    let servers = Duration::from_secs(5);
    assert!(POOL_IDLE < servers, "uvicorn closes after 5 s");
}

#[tokio::test]
async fn nothing_shows_the_key() {
    let (target, _) = server(Duration::ZERO).await;
    let client = ApiServer::new(target, POOL_IDLE).expect("a client");
    let shown = format!("{:?}", client.transport);
    assert!(
        shown.contains("127.0.0.1") && !shown.contains("sekret"),
        "{shown}"
    );
}

/// A server with a certificate that only it vouches for.
async fn server_with_tls() -> (Target, CertificateDer<'static>) {
    let (acceptor, certificate) = tls::tests::acceptor(b"http/1.1");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("https://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // a client that does not trust it hangs up
                if let Ok(stream) = acceptor.accept(stream).await {
                    talk(stream, Duration::ZERO).await;
                }
            });
        }
    });
    (target(address), certificate)
}

#[tokio::test]
async fn a_whole_stream_comes_over_tls() {
    let (target, certificate) = server_with_tls().await;
    let tls = tls::tests::trusting(certificate, b"http/1.1");
    let base = Url::parse(&target.address).expect("an address");
    let transport = Transport::with_tls(&target, base, POOL_IDLE, tls).expect("a transport");
    let client = ApiServer::over(transport, None).expect("a client");
    assert_eq!(client.probe().await.expect("a model").model, "m");
    let mut sink = sink();
    let finish = client.generate(&request(0, "hi", true), &mut sink).await;
    let finish = finish.expect("good");
    assert_eq!(finish.ending, Ending::Length);
    assert_eq!(finish.completion, Some((2, TokenSource::Usage)));
    let trace = sink.into_trace();
    assert_eq!((trace.text.as_str(), trace.marks.len()), ("ab", 2));
}

#[tokio::test]
async fn a_certificate_of_nobody_is_refused() {
    let (target, _) = server_with_tls().await;
    let client = ApiServer::new(target, POOL_IDLE).expect("a client");
    let error = client.probe().await.expect_err("not trusted");
    assert_eq!(error.kind, ErrorKind::Connect, "{error}");
    assert!(error.message.contains("certificate"), "{error}");
}

/// Found by the fuzzer: blanks that came by themselves were taken for nothing, and
/// what followed them for the start of a line.
#[test]
fn blanks_in_front_are_part_of_the_first_line() {
    use super::fuzzing::{Server, asked};
    let server = Server {
        streams: true,
        says_why_it_ends: false,
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    for (blanks, text) in [(" ", "b"), ("\n\n", "ab")] {
        let body = format!(
            "{}{}{}",
            EVENTS[0],
            EVENTS[0].replace("\"a\"", "\"b\""),
            EVENTS[2]
        );
        let pieces = [head, blanks, &body];
        let cut = asked(&pieces.map(str::as_bytes), server);
        assert_eq!(cut.text, text, "{blanks:?}");
        assert_eq!(asked(&[pieces.concat().as_bytes()], server), cut);
    }
}

/// Found by the fuzzer: the line that was shown ended where it began.
#[test]
fn bare_json_is_shown_whatever_is_in_front() {
    use super::fuzzing::{Server, asked};
    let server = Server {
        streams: true,
        says_why_it_ends: false,
    };
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\n {\"text\":\"a\"}\n";
    let error = asked(&[answer.as_bytes()], server)
        .finish
        .expect_err("no events");
    assert!(error.message.contains("{\"text\":\"a\"}"), "{error}");
}
