//! The faults of an api_server's streams: those that end as they should not, and
//! those that go on in what is no HTTP, no event or no JSON.

use crate::http_proxy::Say;
use crate::http_says::{
    DONE, EVENTS, LAST_CHUNK, begun, bytes, chunk, finish, pieces, row, stream, two_and, whole,
};
use crate::play::OUTPUT_TOKENS;
use crate::row::Row;

/// Every row of them.
pub fn all() -> Vec<Row> {
    let mut rows = failures();
    rows.extend(cuts());
    rows.extend(ends());
    rows.extend(overlong());
    rows.extend(framing());
    rows.extend(strangers());
    rows
}

/// Failures that the server tells.
fn failures() -> Vec<Row> {
    let failed = r#"data: {"error": {"message": "engine is gone", "type": "t", "code": 500}}"#;
    let reason = r#"data: {"choices":[{"index":0,"text":"internal error happened","finish_reason":"error"}]}"#;
    let events = |events: &[&str]| stream(&two_and(events));
    let blank = |event: &str| format!("{event}\n\n");
    vec![
        row(
            "error event in the stream (0.16 on, vLLM)",
            events(&[&blank(failed), DONE]),
            &["server"],
            "the server answered HTTP 200 with an error: engine is gone",
        ),
        row(
            "finish_reason `error` (0.7.3 to 0.15)",
            events(&[&blank(reason), DONE]),
            &["server"],
            "the server ended the answer with finish_reason `error`: internal error happened",
        ),
    ]
}

/// Connections that end in the middle.
fn cuts() -> Vec<Row> {
    let end = |name: &str, mut answer: Vec<Say>, last: &[Say], reads: &str| {
        answer.extend_from_slice(last);
        row(name, answer, &["cut"], reads)
    };
    let two = || begun(&two_and(&[]));
    let with = |text: &str| {
        let mut answer = two();
        answer.push(bytes(text));
        answer
    };
    let cut = "the server closed the connection in the middle of the answer (...); its log should \
               say why";
    let before = "HOST:PORT closed the connection instead of answering: ...";
    vec![
        end("cut before the headers", vec![], &[Say::Fin], before),
        end("reset before the headers", vec![], &[Say::Reset], before),
        end(
            "cut within the headers",
            vec![bytes("HTTP/1.1 200 O")],
            &[Say::Fin],
            before,
        ),
        end("cut between chunks", two(), &[Say::Fin], cut),
        end("reset between chunks", two(), &[Say::Reset], cut),
        end(
            "cut inside a chunk",
            with("40\r\ndata: {\"cho"),
            &[Say::Fin],
            cut,
        ),
        end(
            "cut inside a UTF-8 character",
            {
                let mut answer = with("40\r\ndata: {\"choices\":[{\"index\":0,\"text\":\"");
                answer.push(bytes(&b"\xe6\xb5"[..]));
                answer
            },
            &[Say::Fin],
            cut,
        ),
    ]
}

/// Streams that do not end as they should.
fn ends() -> Vec<Row> {
    let kinds: &'static [&'static str] = &["cut"];
    let events = |events: &[&str]| stream(&two_and(events));
    vec![
        row(
            "ends without [DONE]",
            events(&[&finish(2)]),
            kinds,
            "the stream ended without [DONE]: the answer was cut short",
        ),
        row(
            "[DONE] without a finish_reason (llama-cpp-python)",
            events(&[DONE]),
            kinds,
            "the stream ended with [DONE] and without a finish_reason: the answer was cut short",
        ),
        row(
            "[DONE] first",
            stream(&[vec![DONE.to_owned()], pieces(2), vec![finish(2)]].concat()),
            kinds,
            "the stream ended with [DONE] and without a finish_reason: the answer was cut short",
        ),
        row(
            "finish_reason before the first token",
            stream(&[finish(0), DONE.to_owned()]),
            &["rejected"],
            "the server ended the answer with finish_reason `length` before its first token: ...",
        ),
        row(
            "a stream without an event",
            stream(&[]),
            kinds,
            "the server answered HTTP 200 and ended the stream without a single event ...",
        ),
    ]
}

/// Streams with more behind their end.
fn overlong() -> Vec<Row> {
    vec![
        row(
            "[DONE] twice",
            stream(
                &[
                    pieces(OUTPUT_TOKENS),
                    vec![finish(OUTPUT_TOKENS), DONE.to_owned(), DONE.to_owned()],
                ]
                .concat(),
            ),
            &["ok"],
            "",
        ),
        row(
            "a second answer behind the answer",
            {
                let events = [
                    pieces(OUTPUT_TOKENS),
                    vec![finish(OUTPUT_TOKENS), DONE.to_owned()],
                ];
                // In one write: sent a moment later it would be, for every
                // client, the answer to the request that came meanwhile.
                let events: String = events.concat().iter().map(|event| chunk(event)).collect();
                let second = whole("200 OK", "application/json", "{}");
                vec![bytes(format!("{EVENTS}{events}{LAST_CHUNK}{second}"))]
            },
            &["ok"],
            "",
        ),
    ]
}

/// Bytes that are no HTTP, no event or no JSON.
fn framing() -> Vec<Row> {
    let kinds: &'static [&'static str] = &["malformed"];
    let broken = |text: &[u8]| {
        let mut answer = begun(&two_and(&[]));
        answer.push(bytes(text));
        answer.push(Say::Hold);
        answer
    };
    let not_utf8 = b"data: {\"choices\":[{\"index\":0,\"text\":\"\xff\xfe\"}]}\n\n";
    let size = format!("{:x}\r\n", not_utf8.len());
    let not_utf8 = [size.as_bytes(), not_utf8, b"\r\n"].concat();
    let event = |text: &str| stream(&two_and(&[text, DONE]));
    vec![
        row(
            "bad chunk size",
            broken(b"zz\r\ndata: x\n\n\r\n"),
            kinds,
            "the server's answer goes on in bytes that are no HTTP/1.1 (invalid chunk size line); \
             a proxy in between may have damaged it",
        ),
        row(
            "chunk longer than its size",
            broken(b"3\r\ndata: x\n\n\r\n"),
            kinds,
            "the server's answer goes on in bytes that are no HTTP/1.1 (a chunk is longer than its \
             size); a proxy in between may have damaged it",
        ),
        row(
            "garbage JSON",
            event("data: {\"choices\":[{\"index\":0,\n\n"),
            kinds,
            "the server sent an event that cannot be read (...): {\"choices\":[{\"index\":0,",
        ),
        row(
            "JSON of something else",
            event("data: {\"hello\":\"world\"}\n\n"),
            kinds,
            "the server sent an event that is no piece of an answer: {\"hello\":\"world\"}",
        ),
        row(
            "text that is no UTF-8",
            broken(&not_utf8),
            kinds,
            "the server's stream is no UTF-8 (...)",
        ),
    ]
}

/// Answers in another protocol, or none.
fn strangers() -> Vec<Row> {
    vec![
        row(
            "bare JSON lines (interactive endpoints)",
            stream(&["{\"text\":\" a\",\"tokens\":1}\n".to_owned()]),
            &["malformed"],
            "the server sent bare JSON lines; ...",
        ),
        row(
            "HTTP/2 where HTTP/1.1 was expected",
            vec![
                bytes(&b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0"[..]),
                Say::Fin,
            ],
            &["protocol"],
            "HOST:PORT does not answer in HTTP/1.1 (...); this looks like a gRPC server: use \
             --backend tis for it, or give the api_server's HTTP port (23333 by default)",
        ),
        row(
            "two lengths that disagree",
            vec![
                bytes("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello"),
                Say::Hold,
            ],
            &["protocol"],
            "HOST:PORT does not answer in HTTP/1.1 (its content-length is no one number); ...",
        ),
    ]
}
