//! What an api_server client must handle, point by point: the oddities of
//! eleven versions and two relatives, each as bytes on a socket.

#![expect(clippy::expect_used, reason = "what a test sets up has to be there")]

mod replay;

use std::time::Duration;

use backends::{Ending, Error, ErrorKind, Finish, PromptMode, Request, Trace};
use futures_util::future::join_all;
use replay::{Asked, Replay, Reply, connect, lmdeploy, models, request_for, server, sink, target};

const ROLE: &str = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n";
const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"length\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn text(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

async fn ask(server: &Replay, request: &Request) -> (Result<Finish, Error>, Trace) {
    let client = server.client();
    client.probe().await.expect("a model");
    let mut sink = sink();
    let outcome = client.generate(request, &mut sink).await;
    (outcome, sink.into_trace())
}

async fn stream_of(reply: Reply) -> (Result<Finish, Error>, Trace) {
    ask(&server(reply).await, &request_for("hi", 4, true)).await
}

fn posts(server: &Replay) -> Vec<Asked> {
    let mut asked = server.asked();
    asked.retain(|asked| asked.method == "POST");
    asked
}

/// Point 1.
#[tokio::test]
async fn the_first_event_is_not_the_first_token() {
    let late = text("late");
    let reply = Reply::stream(&[(0, ROLE), (300, &late), (0, END), (0, DONE)]);
    let (outcome, trace) = stream_of(reply).await;
    outcome.expect("good");
    let first_token_ns = trace.marks[0].at_ns - trace.issued_ns;
    let first_event_ns = trace.first_event_ns.expect("seen") - trace.issued_ns;
    assert!(first_token_ns >= 300_000_000, "{first_token_ns}");
    assert!(
        first_event_ns < first_token_ns - 200_000_000,
        "{first_event_ns} {first_token_ns}"
    );
    assert_eq!(trace.text, "late");
}

/// Point 1: thoughts are text, whatever the field is called.
#[tokio::test]
async fn thoughts_are_the_first_token() {
    for field in ["reasoning_content", "reasoning"] {
        let thought = format!("data: {{\"choices\":[{{\"delta\":{{\"{field}\":\"hm\"}}}}]}}\n\n");
        let late = text("so");
        let reply = Reply::stream(&[(0, &thought), (250, &late), (0, END), (0, DONE)]);
        let (outcome, trace) = stream_of(reply).await;
        outcome.expect("good");
        assert_eq!(
            (trace.text.as_str(), trace.first_text_bytes),
            ("hmso", 2),
            "{field}"
        );
        assert!(
            trace.marks[1].at_ns - trace.marks[0].at_ns > 200_000_000,
            "{field}"
        );
    }
}

/// Point 2: neither more nor fewer events change the count.
#[tokio::test]
async fn events_are_not_tokens() {
    let (three, empty) = (text(" a b c"), text(""));
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5}}\n\n";
    let events = [
        (0, ROLE),
        (0, &three),
        (0, &empty),
        (0, &empty),
        (0, END),
        (0, usage),
        (0, DONE),
    ];
    let (outcome, trace) = stream_of(Reply::stream(&events)).await;
    let finish = outcome.expect("good");
    assert_eq!(finish.completion.expect("usage").0, 5);
    assert_eq!(finish.prompt_tokens, Some(9));
    assert_eq!(trace.marks.len(), 1);
    assert_eq!(trace.marks[0].tokens, 0, "the wire does not say how many");
}

/// Points 3 and 6, and what else a body may carry.
#[tokio::test]
async fn a_body_carries_what_the_version_can_bear() {
    for (version, stream, mode, session_id) in [
        ("0.1.0", true, PromptMode::Raw, true),
        ("0.1.0", false, PromptMode::Chat, true),
        ("0.10.2", true, PromptMode::Chat, false),
        ("0.18.0", true, PromptMode::Raw, false),
        ("0.18.0", false, PromptMode::Chat, false),
    ] {
        let server = lmdeploy(version, Reply::json("500 Error", "{}")).await;
        let mut request = request_for("hi", 4, stream);
        request.prompt_mode = mode;
        ask(&server, &request).await.0.expect_err("500");
        let asked = posts(&server).remove(0);
        let body: serde_json::Value = serde_json::from_str(&asked.body).expect("JSON");
        assert_eq!(body.get("session_id").is_some(), session_id, "{version}");
        assert!(!session_id || body["session_id"] == 3, "the slot");
        assert_eq!(body.get("stream_options").is_some(), stream, "{version}");
        assert_eq!(body["max_tokens"], 4);
        assert_eq!(body.get("stop"), None);
        let chat = mode == PromptMode::Chat;
        assert_eq!(body.get("max_completion_tokens").is_some(), chat);
        let path = if chat {
            "/v1/chat/completions"
        } else {
            "/v1/completions"
        };
        assert_eq!(asked.path, path);
        let head = asked.head.to_ascii_lowercase();
        assert!(
            head.contains("http/1.1") && head.contains("x-request-id: 7"),
            "{head}"
        );
        assert!(!head.contains("accept-encoding"), "{head}");
    }
}

/// Point 6: a request that was given up may still run, and one that failed too,
/// so their session ids are not sent again; that of an ended one is.
#[tokio::test]
async fn a_session_that_may_still_run_is_left_alone() {
    let (a, end) = (text("a"), format!("{END}{DONE}"));
    let mut late = Reply::stream(&[(0, &a), (0, &end)]);
    late.pieces.push((Duration::from_secs(600), Vec::new()));
    late.pieces.rotate_right(1);
    let good = || Reply::stream(&[(0, &a), (0, &end)]);
    let cut = Reply::stream(&[(0, &a)]);
    for (version, reply, same) in [
        ("0.1.0", good(), true),
        ("0.1.0", late.clone(), false),
        ("0.1.0", cut.clone(), false),
        ("0.10.2", late, true),
    ] {
        let server = lmdeploy(version, reply).await;
        let client = server.client();
        client.probe().await.expect("a model");
        for asked in 1..=2 {
            let (request, mut sink) = (request_for("hi", 4, true), sink());
            let answer = client.generate(&request, &mut sink);
            let arrived = async {
                while posts(&server).len() < asked {
                    tokio::task::yield_now().await;
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            };
            // given up when the server has it and says no more
            tokio::select! { _ = answer => (), () = arrived => () }
        }
        let ids: Vec<serde_json::Value> = posts(&server)
            .iter()
            .map(|asked| {
                let body: serde_json::Value = serde_json::from_str(&asked.body).expect("JSON");
                body["session_id"].clone()
            })
            .collect();
        assert_eq!(ids[0] == ids[1], same, "{version} {ids:?}");
        assert!(version == "0.10.2" || ids[0] == 3, "{ids:?}");
    }
}

/// Asked for a stream, and answered so, the client must object.
async fn objects(reply: Reply, kind: ErrorKind, marks: usize, words: &str) {
    let (outcome, trace) = stream_of(reply).await;
    let error = outcome.expect_err(words);
    assert_eq!(error.kind, kind, "{words}: {error}");
    assert!(error.message.contains(words), "{error}");
    assert_eq!(trace.marks.len(), marks, "{words}");
    assert_eq!(trace.text, if marks == 1 { "a" } else { "" }, "{words}");
}

/// Point 4: the five ways in which HTTP 200 is an error.
#[tokio::test]
async fn a_good_status_is_no_success() {
    let a = text("a");
    let flat = r#"{"object":"error","message":"no `m` here","code":404}"#;
    objects(
        Reply::json("200 OK", flat),
        ErrorKind::Model,
        0,
        "no `m` here",
    )
    .await;
    let nested = "data: {\"error\":{\"message\":\"engine is gone\",\"code\":500}}\n\n";
    let reply = Reply::stream(&[(0, &a), (0, nested), (0, DONE)]);
    objects(reply, ErrorKind::Server, 1, "engine is gone").await;
    let failed = "data: {\"choices\":[{\"delta\":{\"content\":\"internal error happened\"},\"finish_reason\":\"error\"}],\"usage\":{\"completion_tokens\":0}}\n\n";
    let reply = Reply::stream(&[(0, &a), (0, failed), (0, DONE)]);
    objects(reply, ErrorKind::Server, 1, "`error`").await;
    let mut cut = Reply::stream(&[(0, &a)]);
    cut.pieces.pop();
    cut.close = true;
    objects(cut, ErrorKind::Cut, 1, "closed the connection").await;
    objects(
        Reply::stream(&[]),
        ErrorKind::Cut,
        0,
        "without a single event",
    )
    .await;
}

/// Points 5 and 11: `[DONE]` is no success without a reason, nor is a reason
/// without `[DONE]`.
#[tokio::test]
async fn an_end_mark_is_no_success() {
    let a = text("a");
    let reply = Reply::stream(&[(0, &a), (0, DONE)]);
    objects(reply, ErrorKind::Cut, 1, "without a finish_reason").await;
    let reply = Reply::stream(&[(0, &a), (0, END)]);
    objects(reply, ErrorKind::Cut, 1, "without [DONE]").await;
}

/// Point 7, and other answers that are no stream of events.
#[tokio::test]
async fn what_is_no_stream_is_told() {
    let (bad, none) = (ErrorKind::Malformed, 0);
    let lines = "{\"text\":\" a\",\"tokens\":1,\"finish_reason\":null}\n";
    let reply = Reply::stream(&[(0, lines), (0, lines)]);
    objects(reply, bad, none, "bare JSON lines").await;
    let busy = r#"{"object":"error","message":"busy","code":503}"#;
    let reply = Reply::stream(&[(0, busy)]);
    objects(reply, ErrorKind::Overloaded, none, "busy").await;
    let reply = Reply::stream(&[(0, "data: {\"choices\":[{\n\n")]);
    objects(reply, bad, none, "cannot be read").await;
    let reply = Reply::json("200 OK", r#"{"choices":[{"text":"whole"}]}"#);
    objects(reply, bad, none, "a stream was asked for").await;
    let html = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 9\r\n\r\n<p>hi</p>";
    objects(Reply::raw(html), bad, none, "text/html").await;
}

/// Point 5: only 0.1.0a1 may end without a reason.
#[tokio::test]
async fn the_first_version_gives_no_reason() {
    let a = text("a");
    let server = Replay::start(vec![
        ("GET /v1/models", models("lmdeploy")),
        ("GET /generate", Reply::json("405 No", "{}")),
        ("GET /v1/chat/interactive", Reply::json("405 No", "{}")),
        (
            "POST /v1/completions",
            Reply::stream(&[(0, ROLE), (0, &a), (0, DONE)]),
        ),
    ])
    .await;
    let (outcome, _) = ask(&server, &request_for("hi", 4, true)).await;
    let finish = outcome.expect("good");
    assert_eq!((finish.ending, finish.completion), (Ending::Unstated, None));
    let info = server.client().probe().await.expect("a model");
    assert!(info.server.contains("0.1.0a1"), "{}", info.server);
}

/// Framing, section 2: comments, several lines, split characters.
#[tokio::test]
async fn framing_is_the_standards() {
    let flow = text("流");
    let mut reply = Reply::stream(&[
        (0, ": ping - 2026-11-24\n\n"),
        (0, &flow),
        (0, ": keep-alive\n\n"),
        (
            0,
            "event: message\r\nid: 4\r\nretry: 5\r\ndata: {\"choices\":[{\"text\":\"b\",\r\ndata: \"finish_reason\":\"length\"}]}\r\n\r\n",
        ),
        (0, DONE),
    ]);
    for byte_by_byte in [false, true] {
        reply.byte_by_byte = byte_by_byte;
        let (outcome, trace) = stream_of(reply.clone()).await;
        outcome.expect("good");
        assert_eq!((trace.text.as_str(), trace.marks.len()), ("流b", 2));
    }
}

/// Point 8: one connection is enough for requests in turn, and warmed ones are
/// used.
#[tokio::test(flavor = "multi_thread")]
async fn connections_are_used_again() {
    let a = text("a");
    let server = server(Reply::stream(&[(0, &a), (0, END), (0, DONE)])).await;
    let client = server.client();
    client.warm(8).await.expect("connections");
    assert_eq!(server.connections(), 8);
    for _ in 0..4 {
        let requests = (0..8).map(|slot| {
            let mut request = request_for("hi", 4, true);
            request.slot = slot;
            request
        });
        let requests: Vec<Request> = requests.collect();
        let all = requests.iter().map(|request| async {
            let outcome = client.generate(request, &mut sink()).await;
            outcome.expect("good");
        });
        join_all(all).await;
    }
    assert_eq!(server.connections(), 9, "the slots' and the probe's");
    let posts = posts(&server);
    let of = |number: usize| {
        posts
            .iter()
            .filter(|asked| asked.connection == number)
            .count()
    };
    let shares: Vec<usize> = (1..=8).map(of).collect();
    assert_eq!(shares, [4; 8]);
}

/// Point 9: a head that is late is no failure, as queues are not limited.
#[tokio::test]
async fn a_late_head_is_no_failure() {
    let a = text("a");
    let mut reply = Reply::stream(&[(0, &a), (0, END), (0, DONE)]);
    reply.pieces[0].0 = Duration::from_millis(900);
    let server = server(reply).await;
    let mut target = target(&server.address.to_string());
    target.connect_timeout = Duration::from_millis(300);
    target.probe_timeout = Duration::from_millis(300);
    let client = connect(target);
    let outcome = client
        .generate(&request_for("hi", 4, true), &mut sink())
        .await;
    outcome.expect("good");
}

/// Memory stays bounded, and a flood ends.
#[tokio::test]
async fn a_flood_is_an_error() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let flood = |start: &str, more: &str| Reply {
        forever: more.repeat(4096).into_bytes(),
        ..Reply::raw(start)
    };
    let json = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"choices\":[";
    let error = "HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\n\r\n{\"message\":\"";
    for (reply, stream, kind) in [
        (
            flood(&format!("{head}data: {{"), "aaaaaaaa"),
            true,
            ErrorKind::Malformed,
        ),
        (flood(head, ": ping\n"), true, ErrorKind::Malformed),
        (
            flood(&format!("{head}{{"), "aaaaaaaa"),
            true,
            ErrorKind::Malformed,
        ),
        (flood(json, "[],[],[],"), false, ErrorKind::Malformed),
        (flood(json, "[],[],[],"), true, ErrorKind::Malformed),
        (flood(error, "aaaaaaaa"), true, ErrorKind::Server),
    ] {
        let server = server(reply).await;
        let request = request_for("hi", 4, stream);
        let ended = tokio::time::timeout(Duration::from_secs(60), ask(&server, &request)).await;
        let error = ended.expect("it ends").0.expect_err("a flood");
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.len() < 700, "{}", error.message.len());
    }
    // and one after a good end costs the connection, not the answer
    let good = format!("{head}{}{END}{DONE}", text("a"));
    let (outcome, _) = ask(
        &server(flood(&good, ": x\n")).await,
        &request_for("hi", 4, true),
    )
    .await;
    outcome.expect("good");
}
