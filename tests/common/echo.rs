//! Servers that say the key that they are sent wherever they say anything.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// What an HTTP server does with a completion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Lets nobody in.
    Refuses,
    /// Answers, with the key in the text.
    Answers,
    /// Ends a stream with an error event.
    BreaksOff,
    /// Fails with a status and a body of this kind.
    Fails(Body),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    Json,
    Html,
    /// The key lies where an excerpt is cut.
    Long,
    /// Points elsewhere.
    Redirect,
}

/// An api_server of that way; its address. Ends with the process.
pub fn http(way: Way) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || while answer(&stream, way).is_some() {});
        }
    });
    address
}

/// Answers one request; `None`: the client has gone.
fn answer(stream: &TcpStream, way: Way) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut key, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end();
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => value
                .trim()
                .trim_start_matches("Bearer ")
                .clone_into(&mut key),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut stream = stream;
    stream.write_all(&said(way, &path, &key)).ok()
}

fn said(way: Way, path: &str, key: &str) -> Vec<u8> {
    let error = format!(r#"{{"error":{{"message":"Incorrect API key: {key}","code":401}}}}"#);
    match (way, path) {
        (Way::Refuses, _) => whole("401 Unauthorized", "application/json", key, &error),
        (_, "/v1/models") => {
            let list = format!(
                r#"{{"object":"list","data":[{{"id":"m-{key}","object":"model","owned_by":"gateway {key}"}}]}}"#
            );
            whole("200 OK", "application/json", key, &list)
        }
        (_, "/metrics") => {
            let counters = format!("# TYPE c counter\nc{{key=\"{key}\"}} 1\n");
            whole("200 OK", "text/plain", key, &counters)
        }
        (Way::Answers, _) => stream_of(&format!("so {key} it is"), key, "data: [DONE]\n\n"),
        (Way::BreaksOff, _) => stream_of("so ", key, &format!("data: {error}\n\n")),
        (Way::Fails(Body::Json), _) => whole("500 No", "application/json", key, &error),
        (Way::Fails(Body::Html), _) => {
            whole("502 No", "text/html", key, &format!("<h1>key {key}</h1>"))
        }
        (Way::Fails(Body::Long), _) => {
            let body = format!("{}{key}{}", "x".repeat(290), "y".repeat(100));
            whole("500 No", "text/plain", key, &body)
        }
        (Way::Fails(Body::Redirect), _) => whole("307 There", "text/plain", key, ""),
    }
}

fn whole(status: &str, kind: &str, key: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nserver: echo {key}\r\nlocation: http://h/?k={key}\r\n\
         content-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A stream of two events and what ends it.
fn stream_of(text: &str, key: &str, end: &str) -> Vec<u8> {
    let event = |text: &str, reason: &str| {
        format!(
            "data: {{\"id\":\"{key}\",\"object\":\"text_completion\",\"model\":\"m-{key}\",\
             \"choices\":[{{\"index\":0,\"text\":\"{text}\",\"finish_reason\":{reason}}}]}}\n\n"
        )
    };
    let mut body = event(text, "null");
    if end.contains("[DONE]") {
        body += &event("", "\"length\"");
    }
    body += end;
    whole("200 OK", "text/event-stream", key, &body)
}

/// A gRPC server that refuses every call, in words that have the key; its address.
/// Ends with the process.
pub fn grpc() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        let key = request.headers().get("authorization");
                        let key = key.map_or("", |key| key.to_str().unwrap());
                        let refusal = http::Response::builder()
                            .header("content-type", "application/grpc")
                            .header("grpc-status", "16")
                            .header("grpc-message", format!("no such key%3A {key}"))
                            .body(())
                            .unwrap();
                        let _ = respond.send_response(refusal, true);
                    }
                });
            }
        });
    });
    address
}
