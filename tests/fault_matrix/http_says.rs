//! Answers of an api_server, written by hand: heads, events, chunks. Knows what
//! a good one looks like, and no fault.

use std::sync::Arc;

use crate::http_proxy::Say;
use crate::play::OUTPUT_TOKENS;
use crate::row::{Fault, HTTP, Row};

pub const EVENTS: &str = "HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/event-stream; \
                      charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
pub const LAST_CHUNK: &str = "0\r\n\r\n";
pub const DONE: &str = "data: [DONE]\n\n";
pub const MB: usize = 1 << 20;

pub fn chunk(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n", body.len())
}

pub fn piece(text: &str) -> String {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"text\":\"{text}\",\"finish_reason\":null}}]}}\n\n"
    )
}

/// The last event of an answer of that many tokens, and the one with its usage.
pub fn finish(tokens: u32) -> String {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"text\":\"\",\"finish_reason\":\"length\"}}]}}\n\n\
         data: {{\"choices\":[],\"usage\":{{\"completion_tokens\":{tokens}}}}}\n\n"
    )
}

pub fn pieces(count: u32) -> Vec<String> {
    (0..count).map(|_| piece("so")).collect()
}

/// A stream that begins with two pieces and goes on with these events.
pub fn two_and(rest: &[&str]) -> Vec<String> {
    let mut events = pieces(2);
    events.extend(rest.iter().map(|&event| event.to_owned()));
    events
}

pub fn bytes(text: impl Into<Vec<u8>>) -> Say {
    Say::Bytes(text.into())
}

/// Head and events of a stream that has not ended.
pub fn begun(events: &[String]) -> Vec<Say> {
    let chunks: String = events.iter().map(|event| chunk(event)).collect();
    vec![bytes(format!("{EVENTS}{chunks}"))]
}

/// The whole of a stream of these events.
pub fn stream(events: &[String]) -> Vec<Say> {
    let mut says = begun(events);
    says.push(bytes(LAST_CHUNK));
    says
}

/// An answer as it should be, and the connection closed behind it.
pub fn good_and_closed() -> Vec<Say> {
    let events: String = pieces(OUTPUT_TOKENS).concat() + &finish(OUTPUT_TOKENS) + DONE;
    let head = EVENTS.replace("server: uvicorn", "connection: close");
    let all = format!("{head}{}{LAST_CHUNK}", chunk(&events));
    vec![bytes(all), Say::Fin]
}

/// An answer with a status and a body, all of it at once.
pub fn whole(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}")
}

pub fn json(status: &str, body: &str) -> Vec<Say> {
    vec![bytes(whole(status, "application/json", body))]
}

pub fn says(says: Vec<Say>) -> Fault {
    Fault::Http(Arc::new(move || says.clone()))
}

pub fn row(name: &str, answer: Vec<Say>, kinds: &'static [&'static str], reads: &str) -> Row {
    Row::one(HTTP, name, says(answer), kinds, reads)
}
