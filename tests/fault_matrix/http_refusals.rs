//! The faults of an api_server that come before a stream: connections that do
//! not come about, statuses, and answers that are none.

use crate::door::{Dealt, PLAIN_HTTP, TLS_ALERT};
use crate::http_proxy::Say;
use crate::http_says::{DONE, LAST_CHUNK, bytes, finish, json, says, stream, two_and, whole};
use crate::row::{Case, Fault, HTTP, Reach, Row};

/// Every row of them.
pub fn all() -> Vec<Row> {
    let mut rows = connections();
    rows.extend(statuses());
    rows.push(good_status_bad_body());
    rows.push(no_answer());
    rows
}

fn connections() -> Vec<Row> {
    let next = |name: &str, dealt, connections, kinds, reads: &str| {
        Row::one(HTTP, name, Fault::Next(dealt, connections), kinds, reads).reach(Reach::Next)
    };
    let refused = "cannot connect to HOST:PORT: Connection refused (os error 111); is the server \
                   running there?";
    vec![
        next(
            "nobody listens for a while",
            Dealt::Refused,
            1,
            &["connect"],
            refused,
        )
        .reach(Reach::Window),
        next(
            "server restarts",
            Dealt::Restart,
            1,
            &["connect", "cut"],
            refused,
        )
        .reach(Reach::Window),
        next(
            "reset at connect",
            Dealt::Reset,
            2,
            &["cut", "connect"],
            "HOST:PORT closed the connection instead of answering: ...",
        ),
        next(
            "accepts and says nothing",
            Dealt::Silence,
            1,
            &["timeout_first_token"],
            "no token, or no whole answer without streaming, for ... s (limit: \
             --first-token-timeout)",
        )
        .patient(),
        next(
            "speaks TLS where plain text was expected",
            Dealt::Bytes(TLS_ALERT),
            1,
            &["protocol"],
            "HOST:PORT does not answer in HTTP/1.1 (...); it speaks TLS: give its address with \
             https:// in front",
        ),
        next(
            "speaks plain text where TLS was expected",
            Dealt::Bytes(PLAIN_HTTP),
            2,
            &["connect"],
            "cannot connect to HOST:PORT: what answers there does not speak TLS; write http:// in \
             front of the address (...)",
        )
        .tls(),
    ]
}

/// Every status with every shape of an error that api_servers send.
fn statuses() -> Vec<Row> {
    let statuses = [
        ("400 Bad Request", "rejected", "..."),
        (
            "401 Unauthorized",
            "auth",
            "...; give --api-key or set OPENAI_API_KEY",
        ),
        ("404 Not Found", "model", "..."),
        ("422 Unprocessable Entity", "rejected", "..."),
        ("429 Too Many Requests", "overloaded", "..."),
        ("500 Internal Server Error", "server", "..."),
        ("503 Service Unavailable", "overloaded", "..."),
    ];
    let rows = statuses.into_iter().map(|(status, kind, behind)| {
        let cases = shapes().into_iter().map(|(shape, body, words)| {
            let code = status.get(..3).unwrap();
            // A path that is not served has no kind of error to it but the path.
            let no_path = code == "404" && matches!(words, "Not Found" | "");
            let kinds: &'static [&'static str] = match kind {
                _ if no_path => &["protocol"],
                "rejected" => &["rejected"],
                "auth" => &["auth"],
                "model" => &["model"],
                "overloaded" => &["overloaded"],
                _ => &["server"],
            };
            let said = match words {
                "" => format!("the server answered HTTP {code} without a word"),
                words => format!("the server answered HTTP {code}: {words}"),
            };
            let behind = match no_path {
                true => "; it has no such endpoint, so it is no api_server",
                false => behind.trim_start_matches("..."),
            };
            let name = format!("HTTP {code}, {shape}");
            Case::new(&name, says(json(status, body)), kinds, &(said + behind))
        });
        Row::of(HTTP, cases.collect())
    });
    rows.collect()
}

/// What the shape is called, a body of it, and the words to be found in it.
fn shapes() -> Vec<(&'static str, &'static str, &'static str)> {
    vec![
        (
            "flat object (0.6 on)",
            r#"{"message":"said flatly","type":"t","code":400,"param":null,"object":"error"}"#,
            "said flatly",
        ),
        (
            "nested object (vLLM)",
            r#"{"error":{"message":"said within","type":"t","param":null,"code":400}}"#,
            "said within",
        ),
        (
            "nested in `detail` (0.6 to 0.15)",
            r#"{"detail":{"error":{"message":"Please request with valid api key!","code":"invalid_api_key"}}}"#,
            "Please request with valid api key!",
        ),
        (
            "list in `detail` with the request echoed (0.9 on)",
            r#"{"detail":[{"type":"int","loc":["body","max_tokens"],"msg":"no integer","input":"x","url":"u"}],"body":{"prompt":"all of it"}}"#,
            "max_tokens: no integer",
        ),
        ("text in `detail`", r#"{"detail":"Not Found"}"#, "Not Found"),
        (
            "plain text",
            "Internal Server Error\n",
            "Internal Server Error",
        ),
        (
            "HTML",
            "<html><body>Bad Gateway</body></html>",
            "<html><body>Bad Gateway</body></html>",
        ),
        ("no body", "", ""),
    ]
}

fn good_status_bad_body() -> Row {
    let case = |name: &str, answer, kinds, reads: &str| Case::new(name, says(answer), kinds, reads);
    let flat = r#"{"object":"error","message":"The model `x` does not exist.","code":404}"#;
    let bad = r#"{"object":"error","message":"The top_p must be in (0, 1].","code":400}"#;
    let page = whole("200 OK", "text/html", "<p>Welcome</p>");
    let plain = stream(&two_and(&[&finish(2), DONE]));
    let plain = match &plain[0] {
        Say::Bytes(head) => {
            String::from_utf8_lossy(head).replace("text/event-stream", "text/plain")
        }
        _ => String::new(),
    };
    Row::of(
        HTTP,
        vec![
            case(
                "HTTP 200 with an error as its body (0.1.0 to 0.5.3)",
                json("200 OK", flat),
                &["model"],
                "the server answered HTTP 200 with an error: The model `x` does not exist.",
            ),
            case(
                "the same with the code of a bad request",
                json("200 OK", bad),
                &["rejected"],
                "the server answered HTTP 200 with an error: The top_p must be in (0, 1].",
            ),
            case(
                "HTTP 200 and a whole answer where a stream was asked for",
                json("200 OK", r#"{"choices":[{"text":"all at once"}]}"#),
                &["malformed"],
                "a stream was asked for and the server answered with `application/json`: ...",
            ),
            case(
                "wrong content type: a page",
                vec![bytes(page)],
                &["malformed"],
                "a stream was asked for and the server answered with `text/html`: <p>Welcome</p>",
            ),
            case(
                "wrong content type: events as plain text",
                vec![bytes(plain), bytes(LAST_CHUNK)],
                &["malformed"],
                "a stream was asked for and the server answered with `text/plain; charset=utf-8`: ...",
            ),
        ],
    )
}

/// Answers that are none, or that nobody can read.
fn no_answer() -> Row {
    let case = |name: &str, answer, kinds, reads: &str| Case::new(name, says(answer), kinds, reads);
    Row::of(
        HTTP,
        vec![
            case(
                "HTTP 204",
                vec![bytes("HTTP/1.1 204 No Content\r\n\r\n")],
                &["server"],
                "the server answered HTTP 204 without a word",
            ),
            case(
                "redirect",
                vec![bytes(
                    "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://other:1/v1\r\n\
                     content-length: 0\r\n\r\n",
                )],
                &["protocol"],
                "the server answered HTTP 307 and points to http://other:1/v1; redirects are not \
                 followed, as they would be measured along: give the final address",
            ),
            case(
                "compressed body",
                vec![bytes(
                    &b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\
                       content-length: 20\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0"[..],
                )],
                &["malformed"],
                "the server's answer is compressed or encoded (content-encoding: gzip), which \
                 nobody asked for; if a proxy in between does that, switch it off there",
            ),
        ],
    )
}
