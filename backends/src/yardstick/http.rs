//! HTTP/1.1 on a bare socket: streamed completions by one write per token, of
//! bytes that are made before the first; everything else by the simulated
//! api_server's own router. Knows as much HTTP as that takes.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::codegen::Service;

use super::pacing::{Beat, arrived};
use super::{Desk, MODEL};
use crate::api_server::{completion_events, router};
use crate::engine::{ByteCodec, Codec};

const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 64 << 10;
const BODY_BYTES_MAX: usize = 64 << 20;

/// The head of a stream, as uvicorn under LMDeploy 0.18.0 sends it but for the
/// date and the server's name.
const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nserver: pairbench-simulated\r\n\
    content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

/// What all connections share.
pub(super) struct Site {
    desk: Desk,
    router: Router,
}

impl Site {
    pub(super) fn new(desk: Desk) -> Self {
        let (engine, options) = desk.simulation();
        Self {
            router: router(engine, options),
            desk,
        }
    }
}

/// Serves one connection to its end.
pub(super) async fn connection(mut stream: TcpStream, site: Arc<Site>) {
    let mut read = BytesMut::with_capacity(16 << 10);
    // A client that goes away ends its connection with an error; that is its right.
    while let Ok(Some(asked)) = next(&mut stream, &mut read).await {
        let arrived_ns = arrived(&site.desk).await;
        let closes = asked.closes;
        let answered = answer(&mut stream, &site, asked, arrived_ns);
        if answered.await.is_err() || closes {
            return;
        }
    }
}

/// One request.
struct Asked {
    method: String,
    path: String,
    name: String,
    /// The client closes the connection after this one.
    closes: bool,
    body: Bytes,
}

impl Asked {
    /// The request without its body, which has `length` bytes; `None`: the
    /// head is not all there.
    fn of_head(bytes: &[u8]) -> io::Result<Option<(usize, usize, Self)>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Request::new(&mut headers);
        let parsed = head
            .parse(bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let httparse::Status::Complete(head_bytes) = parsed else {
            return Ok(None);
        };
        let mut asked = Self {
            method: head.method.unwrap_or_default().to_owned(),
            path: head.path.unwrap_or_default().to_owned(),
            name: String::new(),
            closes: head.version == Some(0),
            body: Bytes::new(),
        };
        let mut length = 0;
        for header in head.headers.iter() {
            let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
            if header.name.eq_ignore_ascii_case("content-length") {
                length = value.parse().map_err(io::Error::other)?;
            } else if header.name.eq_ignore_ascii_case("x-request-id") {
                value.clone_into(&mut asked.name);
            } else if header.name.eq_ignore_ascii_case("connection") {
                asked.closes = value.eq_ignore_ascii_case("close");
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                return Err(io::Error::other("a body without a length is not read"));
            }
        }
        Ok(Some((head_bytes, length, asked)))
    }
}

/// Reads the next request; `None`: the client has closed the connection.
async fn next(stream: &mut TcpStream, read: &mut BytesMut) -> io::Result<Option<Asked>> {
    let (length, mut asked) = loop {
        if let Some((head_bytes, length, asked)) = Asked::of_head(read)? {
            read.advance(head_bytes);
            break (length, asked);
        }
        if read.len() > HEAD_BYTES_MAX {
            return Err(io::Error::other("the head is too long"));
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    };
    if length > BODY_BYTES_MAX {
        return Err(io::Error::other("the body is too long"));
    }
    while read.len() < length {
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
    asked.body = read.split_to(length).freeze();
    Ok(Some(asked))
}

/// As much of a completion request as matters here.
#[derive(Debug, Deserialize)]
struct Completion {
    prompt: String,
    max_tokens: u32,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

async fn answer(
    stream: &mut TcpStream,
    site: &Site,
    asked: Asked,
    arrived_ns: u64,
) -> io::Result<()> {
    if asked.method == "POST" && asked.path == "/v1/completions" {
        let completion: Option<Completion> = serde_json::from_slice(&asked.body).ok();
        let plain = completion.filter(|it| it.stream && it.max_tokens > 0);
        if let Some(completion) = plain {
            let beat = Beat::start(&site.desk, arrived_ns, &asked.name, completion.max_tokens);
            return streamed(stream, beat, &completion).await;
        }
    }
    let answer = aside(site.router.clone(), asked).await?;
    stream.write_all(&answer).await
}

/// Hands over an answer, token by token.
async fn streamed(
    stream: &mut TcpStream,
    mut beat: Beat<'_>,
    asked: &Completion,
) -> io::Result<()> {
    stream.write_all(STREAM_HEAD).await?;
    let prompt = ByteCodec.encode(&asked.prompt);
    let token = ByteCodec.answer(&prompt, 0);
    let text = String::from_utf8_lossy(&ByteCodec.decode(&[token])).into_owned();
    let options = asked.stream_options.as_ref();
    let usage = options.is_some_and(|options| options.include_usage);
    let (piece, end) = completion_events(MODEL, usage, prompt.len(), &text, asked.max_tokens);
    let piece = chunk(&piece);
    loop {
        let due = beat.due().await;
        for _ in 0..due {
            beat.stamp();
            stream.write_all(piece.as_bytes()).await?;
        }
        if due == 0 {
            break;
        }
    }
    // Booked first: whoever has the answer may look it up.
    beat.book();
    let mut rest: String = end.iter().map(|event| chunk(event)).collect();
    rest.push_str("0\r\n\r\n");
    stream.write_all(rest.as_bytes()).await
}

/// A chunk of a chunked body.
fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// What the simulated server answers, as the bytes of a response.
async fn aside(mut router: Router, asked: Asked) -> io::Result<Vec<u8>> {
    let is_head = asked.method == "HEAD";
    let request = Request::builder()
        .method(asked.method.as_str())
        .uri(asked.path)
        .header("x-request-id", asked.name)
        .body(Body::from(asked.body))
        .map_err(io::Error::other)?;
    let Ok::<Response<Body>, Infallible>(response) = router.call(request).await;
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(io::Error::other)?;
    let mut bytes = format!("HTTP/1.1 {}\r\n", parts.status).into_bytes();
    for (name, value) in &parts.headers {
        if name != "content-length" && name != "transfer-encoding" {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    if !is_head {
        bytes.extend_from_slice(&body);
    }
    Ok(bytes)
}
