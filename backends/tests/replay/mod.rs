//! A server of bytes: answers each path with what a test wrote down for it,
//! whole or one byte at a time, and remembers what it was asked. Speaks just
//! enough HTTP to find the end of a request; knows nothing of what it sends.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backends::{Backend, Clock, PromptMode, Pulse, Request, Sampling, Sink, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    /// Pieces, each with a pause before it.
    pub(crate) pieces: Vec<(Duration, Vec<u8>)>,
    /// Every byte in a write of its own.
    pub(crate) byte_by_byte: bool,
    /// Closes the connection afterwards.
    pub(crate) close: bool,
    /// Then sends this again and again, until the client goes away.
    pub(crate) forever: Vec<u8>,
}

impl Reply {
    /// The bytes as they are; the connection is closed if they are no whole
    /// answer.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let close = !is_whole(&bytes);
        Self {
            pieces: vec![(Duration::ZERO, bytes)],
            close,
            ..Self::default()
        }
    }

    /// A JSON answer.
    pub(crate) fn json(status: &str, body: &str) -> Self {
        Self::raw(format!(
            "HTTP/1.1 {status}\r\nserver: uvicorn\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// A stream of messages, each in a chunk of its own after a pause.
    pub(crate) fn stream(messages: &[(u64, &str)]) -> Self {
        let head = "HTTP/1.1 200 OK\r\nserver: uvicorn\r\n\
                    content-type: text/event-stream; charset=utf-8\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        let mut pieces = vec![(Duration::ZERO, head.as_bytes().to_vec())];
        for (pause_ms, message) in messages {
            let chunk = format!("{:x}\r\n{message}\r\n", message.len());
            pieces.push((Duration::from_millis(*pause_ms), chunk.into_bytes()));
        }
        pieces.push((Duration::ZERO, b"0\r\n\r\n".to_vec()));
        Self {
            pieces,
            ..Self::default()
        }
    }
}

/// Whether the bytes are an answer with its end.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    head.lines()
        .filter_map(|line| line.strip_prefix("content-length: "))
        .any(|length| length.trim().parse() == Ok(body.len()))
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: String,
    /// Which connection it came on, from 1.
    pub(crate) connection: usize,
}

#[derive(Debug, Default)]
struct Book {
    asked: Vec<Asked>,
    connections: usize,
}

/// The server; it ends with the test.
pub(crate) struct Replay {
    pub(crate) address: SocketAddr,
    book: Arc<Mutex<Book>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Replay {
    /// Answers `METHOD PATH` with what `routes` has for it, 404 without.
    pub(crate) async fn start(routes: Vec<(&str, Reply)>) -> Self {
        let routes: HashMap<String, Reply> = routes
            .into_iter()
            .map(|(path, reply)| (path.to_owned(), reply))
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let book = Arc::<Mutex<Book>>::default();
        let task = tokio::spawn(serve(listener, Arc::new(routes), Arc::clone(&book)));
        Self {
            address,
            book,
            task,
        }
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.book.lock().expect("no panic").asked.clone()
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.book.lock().expect("no panic").connections
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Arc<dyn Backend> {
        connect(target(&self.address.to_string()))
    }
}

async fn serve(listener: TcpListener, routes: Arc<HashMap<String, Reply>>, book: Arc<Mutex<Book>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = {
            let mut book = book.lock().expect("no panic");
            book.connections += 1;
            book.connections
        };
        let (routes, book) = (Arc::clone(&routes), Arc::clone(&book));
        connections.spawn(async move {
            // the client going away ends it
            let _ = talk(stream, &routes, &book, number).await;
        });
    }
}

async fn talk(
    mut stream: TcpStream,
    routes: &HashMap<String, Reply>,
    book: &Mutex<Book>,
    connection: usize,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut seen = Vec::new();
    while let Some(mut asked) = request(&mut stream, &mut seen).await? {
        asked.connection = connection;
        let route = format!("{} {}", asked.method, asked.path);
        book.lock().expect("no panic").asked.push(asked);
        let missing = Reply::json("404 Not Found", r#"{"detail":"Not Found"}"#);
        let reply = routes.get(&route).unwrap_or(&missing);
        for (pause, piece) in &reply.pieces {
            if !pause.is_zero() {
                tokio::time::sleep(*pause).await;
            }
            if reply.byte_by_byte {
                for byte in piece {
                    stream.write_all(&[*byte]).await?;
                    tokio::task::yield_now().await;
                }
            } else {
                stream.write_all(piece).await?;
            }
        }
        while !reply.forever.is_empty() {
            stream.write_all(&reply.forever).await?;
        }
        if reply.close {
            break;
        }
    }
    Ok(())
}

async fn request(stream: &mut TcpStream, seen: &mut Vec<u8>) -> std::io::Result<Option<Asked>> {
    loop {
        let head_end = seen.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(head_end) = head_end {
            let head = String::from_utf8_lossy(&seen[..head_end]).into_owned();
            let length: usize = head
                .to_ascii_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if seen.len() >= head_end + 4 + length {
                let rest = seen.split_off(head_end + 4 + length);
                let body = String::from_utf8_lossy(&seen[head_end + 4..]).into_owned();
                *seen = rest;
                let mut words = head.split(' ').map(str::to_owned);
                return Ok(Some(Asked {
                    method: words.next().unwrap_or_default(),
                    path: words.next().unwrap_or_default(),
                    head,
                    body,
                    connection: 0,
                }));
            }
        }
        if stream.read_buf(seen).await? == 0 {
            return Ok(None);
        }
    }
}

/// A target with the waits of a test.
pub(crate) fn target(address: &str) -> Target {
    Target {
        address: address.to_owned(),
        model: None,
        api_key: None,
        tls: backends::Tls::default(),
        prompt_mode: PromptMode::Raw,
        connect_timeout: Duration::from_secs(5),
        probe_timeout: Duration::from_secs(20),
    }
}

/// A client of the api_server backend.
pub(crate) fn connect(target: Target) -> Arc<dyn Backend> {
    let entry = backends::find("api_server").expect("a row");
    (entry.connect)(target).expect("a good target")
}

/// A request for `output_tokens` tokens.
pub(crate) fn request_for(prompt: &str, output_tokens: u32, stream: bool) -> Request {
    Request {
        id: 7,
        slot: 3,
        prompt: prompt.into(),
        turn: None,
        token_ids: [1, 2, 3].into(),
        server_prompt_tokens: None,
        output_tokens,
        sampling: Sampling {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 1,
            ignore_eos: true,
        },
        stream,
        prompt_mode: PromptMode::Raw,
        wire: None,
    }
}

/// A sink of its own.
pub(crate) fn sink() -> Sink {
    Sink::start(Clock::start(), Pulse::default(), 8)
}

/// A model list as LMDeploy's, with one model `m` of `owner`.
pub(crate) fn models(owner: &str) -> Reply {
    let model = format!(r#"{{"id":"m","object":"model","owned_by":"{owner}"}}"#);
    Reply::json(
        "200 OK",
        &format!(r#"{{"object":"list","data":[{model}]}}"#),
    )
}

/// A server that is none of LMDeploy's and answers requests for tokens so.
pub(crate) async fn server(reply: Reply) -> Replay {
    Replay::start(vec![
        ("GET /v1/models", models("somebody")),
        ("POST /v1/completions", reply.clone()),
        ("POST /v1/chat/completions", reply),
    ])
    .await
}

/// A server that shows itself as LMDeploy by the `openapi.json` of `version`.
pub(crate) async fn lmdeploy(version: &str, reply: Reply) -> Replay {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/openapi");
    let schema = std::fs::read_to_string(format!("{folder}/lmdeploy-{version}.json"));
    Replay::start(vec![
        ("GET /v1/models", models("lmdeploy")),
        (
            "GET /openapi.json",
            Reply::json("200 OK", &schema.expect("a schema")),
        ),
        ("POST /v1/completions", reply.clone()),
        ("POST /v1/chat/completions", reply),
        (
            "POST /v1/encode",
            Reply::json("200 OK", r#"{"input_ids":[1,9,8],"length":3}"#),
        ),
    ])
    .await
}
