//! The faults of an api_server that sends more than it should, or nothing, or an
//! answer in one piece that is none.

use crate::http_proxy::Say;
use crate::http_says::{DONE, MB, begun, bytes, chunk, finish, json, piece, pieces, row, stream};
use crate::play::OUTPUT_TOKENS;
use crate::row::Row;

/// Every row of them.
pub fn all() -> Vec<Row> {
    let mut rows = floods();
    rows.extend(endless());
    rows.extend(counts());
    rows.extend(silences());
    let whole = [wholes(), odd_wholes()].concat();
    rows.extend(whole.into_iter().map(Row::whole));
    rows
}

/// So many bytes of this behind the head, and then the end.
fn flood(head: &str, more: &str, total: usize) -> Vec<Say> {
    let more = more.repeat(65536 / more.len()).into_bytes();
    vec![bytes(head), Say::Flood(more, total), Say::Fin]
}

/// More than anybody asked for.
fn floods() -> Vec<Row> {
    let kinds: &'static [&'static str] = &["malformed"];
    let close = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let incomplete = "the server sent 1048576 bytes without completing an event";
    vec![
        row(
            "no blank line for 100 MB",
            flood(
                &format!("{close}data: {{\"choices\":"),
                "aaaaaaaa",
                100 * MB,
            ),
            kinds,
            incomplete,
        ),
        row(
            "100 MB of lines without a blank one",
            flood(close, "data: x\n", 100 * MB),
            kinds,
            incomplete,
        ),
        row(
            "100 MB of comments",
            flood(close, ": ping\n\n", 100 * MB),
            kinds,
            incomplete,
        ),
    ]
}

/// Heads, streams and errors that do not end.
fn endless() -> Vec<Row> {
    vec![
        row(
            "an endless head",
            flood("HTTP/1.1 200 OK\r\na: ", "aaaaaaaa", 100 * MB),
            &["protocol"],
            "HOST:PORT does not answer in HTTP/1.1 (more than 65536 bytes without an end of the \
             head); ...",
        ),
        row(
            "an endless stream",
            {
                let mut answer = begun(&[]);
                answer.push(Say::Flood(
                    chunk(&piece("so")).repeat(200).into_bytes(),
                    usize::MAX,
                ));
                answer
            },
            &["malformed"],
            "the answer does not end: it was given up when it had grown far beyond what was asked \
             for (limit: 65536 pieces or 4 for each token asked for, and 16 MiB of text)",
        ),
        row(
            "an endless error",
            flood(
                "HTTP/1.1 500 Oh\r\ncontent-type: text/plain\r\n\r\nit broke ",
                "aaaaaaaa",
                100 * MB,
            ),
            &["server"],
            "the server answered HTTP 500: it broke aaaa...",
        ),
    ]
}

/// Answers that are good but for their length.
fn counts() -> Vec<Row> {
    let answer = |tokens: u32| {
        let events = [pieces(tokens), vec![finish(tokens), DONE.to_owned()]];
        stream(&events.concat())
    };
    let other = "... of ... answers have another length than asked for (...";
    vec![
        row(
            "more tokens than asked for",
            answer(2 * OUTPUT_TOKENS),
            &["ok"],
            other,
        ),
        row(
            "fewer tokens than asked for",
            answer(OUTPUT_TOKENS / 2),
            &["ok"],
            other,
        ),
    ]
}

/// Servers that say nothing more.
fn silences() -> Vec<Row> {
    let first = "no token, or no whole answer without streaming, for ... s (limit: \
                 --first-token-timeout)";
    let between = "no further token for ... s (limit: --token-timeout)";
    let held = |mut answer: Vec<Say>| {
        answer.push(Say::Hold);
        answer
    };
    let (no_token, stalled): (&'static [_], &'static [_]) =
        (&["timeout_first_token"], &["timeout_between_tokens"]);
    let slow = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(4000)).into_bytes();
    vec![
        row("silence instead of headers", held(vec![]), no_token, first).patient(),
        row("slow loris headers", vec![Say::Drip(slow)], no_token, first).patient(),
        row(
            "silence behind the headers",
            held(begun(&[])),
            no_token,
            first,
        )
        .patient(),
        row(
            "stall after the first token",
            held(begun(&pieces(1))),
            stalled,
            between,
        )
        .patient(),
        row(
            "only empty events after the first token",
            {
                let mut answer = begun(&pieces(1));
                answer.push(Say::Drip(chunk(&piece("")).repeat(60).into_bytes()));
                held(answer)
            },
            stalled,
            between,
        )
        .patient(),
    ]
}

/// A head with these fields, and what comes behind it.
fn with(fields: &str, behind: &[Say]) -> Vec<Say> {
    let head = bytes(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"));
    [&[head], behind].concat()
}

/// Answers in one piece.
fn wholes() -> Vec<Row> {
    let cut = "the server closed the connection in the middle of the answer (...); its log should \
               say why";
    let unread = "the server sent an answer that cannot be read (...): ...";
    vec![
        row(
            "not streamed: an error in the body of HTTP 200",
            json(
                "200 OK",
                r#"{"object":"error","message":"no `m` here","code":404}"#,
            ),
            &["model"],
            "the server answered HTTP 200 with an error: no `m` here",
        ),
        row(
            "not streamed: cut",
            with("content-length: 500", &[bytes("{\"choices\":"), Say::Fin]),
            &["cut"],
            cut,
        ),
        row(
            "not streamed: garbage",
            json("200 OK", "{\"choices\":[}"),
            &["malformed"],
            unread,
        ),
        row(
            "not streamed: a page",
            json("200 OK", "<p>Welcome</p>"),
            &["malformed"],
            unread,
        ),
        row(
            "not streamed: no choice",
            json("200 OK", "{\"choices\":[]}"),
            &["malformed"],
            "the server sent an answer without a choice: {\"choices\":[]}",
        ),
    ]
}

/// The same, long, encoded or late.
fn odd_wholes() -> Vec<Row> {
    vec![
        row(
            "not streamed: an endless body",
            with(
                "content-type: application/json",
                &[Say::Flood(vec![b' '; 65536], 100 * MB), Say::Fin],
            ),
            &["malformed"],
            "the server's answer is longer than 8388608 bytes",
        ),
        row(
            "not streamed: compressed",
            with(
                "content-encoding: gzip\r\ncontent-length: 3",
                &[bytes("abc")],
            ),
            &["malformed"],
            "the server's answer is compressed or encoded (content-encoding: gzip), ...",
        ),
        row(
            "not streamed: silence in the middle",
            with("content-length: 500", &[bytes("{\"choices\":"), Say::Hold]),
            &["timeout_first_token"],
            "no token, or no whole answer without streaming, for ... s (limit: \
             --first-token-timeout)",
        )
        .patient(),
    ]
}
