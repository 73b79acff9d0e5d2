//! What a client must find out before it measures: whether an api_server is
//! there, which versions it may be, and what it counts by itself. The key and
//! redirects are here too.

#![expect(clippy::expect_used, reason = "what a test sets up has to be there")]

mod replay;

use std::time::Duration;

use backends::{ErrorKind, PromptMode};
use replay::{Replay, Reply, connect, lmdeploy, models, request_for, server, sink, target};

/// Point 3: where streams never carry usage, the server counts the prompt.
#[tokio::test]
async fn encode_counts_where_streams_do_not() {
    for (version, stream, mode, tokens) in [
        ("0.1.0", true, PromptMode::Raw, Some(3)),
        ("0.1.0", true, PromptMode::Chat, None),
        ("0.1.0", false, PromptMode::Raw, None),
        ("0.10.2", true, PromptMode::Raw, None),
        ("0.18.0", true, PromptMode::Raw, None),
    ] {
        let server = lmdeploy(version, Reply::default()).await;
        let mut request = request_for("hi", 4, stream);
        request.prompt_mode = mode;
        let client = server.client();
        let counted = client.prompt_tokens(&request).await.expect("an answer");
        assert_eq!(counted, tokens, "{version} {stream} {mode:?}");
    }
    // no schema, and a GET finds none of the newer paths
    let server = Replay::start(vec![("GET /v1/models", models("lmdeploy"))]).await;
    let counted = server
        .client()
        .prompt_tokens(&request_for("hi", 4, true))
        .await;
    assert_eq!(counted, Ok(None), "0.1.0a1 has no encode");
}

/// The key goes into one header and nowhere else.
#[tokio::test]
async fn the_key_is_not_told() {
    let refusal = r#"{"message":"Unauthorized.","code":401,"object":"error"}"#;
    let server = Replay::start(vec![("GET /v1/models", Reply::json("401 No", refusal))]).await;
    let mut target = target(&server.address.to_string());
    let error = connect(target.clone()).probe().await.expect_err("no key");
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.message.contains("OPENAI_API_KEY"), "{error}");
    target.api_key = Some("sekret".to_owned());
    let error = connect(target.clone())
        .probe()
        .await
        .expect_err("wrong key");
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(!format!("{error:?}").contains("sekret"), "{error:?}");
    let head = server.asked().pop().expect("asked").head;
    assert!(
        head.to_ascii_lowercase()
            .contains("authorization: bearer sekret"),
        "{head}"
    );
    target.api_key = Some("sek\nret".to_owned());
    let entry = backends::find("api_server").expect("a row");
    let Err(error) = (entry.connect)(target) else {
        panic!("a key that is no header");
    };
    assert!(
        error.kind == ErrorKind::Auth && !error.message.contains("sek"),
        "{error}"
    );
}

/// A redirect is told, not followed.
#[tokio::test]
async fn a_redirect_is_an_error() {
    let moved = "HTTP/1.1 307 Moved\r\nlocation: http://elsewhere/v1\r\ncontent-length: 0\r\n\r\n";
    let server = server(Reply::raw(moved)).await;
    let client = server.client();
    let outcome = client
        .generate(&request_for("hi", 4, true), &mut sink())
        .await;
    let error = outcome.expect_err("a redirect");
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert!(error.message.contains("http://elsewhere/v1"), "{error}");
}

/// What the probe says when the server is another than meant.
#[tokio::test]
async fn a_probe_says_what_is_there() {
    let frame = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    for (reply, kind, words) in [
        (Reply::raw(frame), ErrorKind::Protocol, "--backend tis"),
        (Reply::raw(""), ErrorKind::Protocol, "--backend tis"),
        (
            Reply::json("404 Not Found", r#"{"detail":"Not Found"}"#),
            ErrorKind::Protocol,
            "no api_server",
        ),
        (
            Reply::json("200 OK", "[]"),
            ErrorKind::Protocol,
            "no api_server",
        ),
        (
            Reply::json("200 OK", r#"{"data":[]}"#),
            ErrorKind::Model,
            "serves no model",
        ),
        (
            Reply::json("503 Not yet", r#"{"message":"loading"}"#),
            ErrorKind::Overloaded,
            "loading",
        ),
    ] {
        let server = Replay::start(vec![("GET /v1/models", reply)]).await;
        let error = server.client().probe().await.expect_err(words);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(words), "{error}");
    }
    let server = server(Reply::default()).await;
    let mut target = target(&server.address.to_string());
    target.model = Some("other".to_owned());
    let error = connect(target.clone())
        .probe()
        .await
        .expect_err("no such model");
    assert_eq!(error.kind, ErrorKind::Model);
    assert!(
        error.message.contains("`other`") && error.message.contains("serves m"),
        "{error}"
    );
    target.model = Some("m".to_owned());
    let info = connect(target.clone()).probe().await.expect("there");
    assert!(
        !info.simulated && info.server.contains("somebody"),
        "{info:?}"
    );

    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    target.address = free.local_addr().expect("bound").to_string();
    drop(free);
    let error = connect(target).probe().await.expect_err("nobody");
    assert_eq!(error.kind, ErrorKind::Connect, "{error}");
}

/// The real servers' schemas tell the versions.
#[tokio::test]
async fn versions_are_told_by_the_schema() {
    for (version, name) in [
        ("0.1.0", "lmdeploy 0.1.0 to 0.2.1"),
        ("0.10.2", "lmdeploy 0.10.0 to 0.15.0"),
        ("0.18.0", "lmdeploy 0.16.0 or newer"),
    ] {
        let server = lmdeploy(version, Reply::default()).await;
        assert_eq!(server.client().probe().await.expect("a model").server, name);
    }
    let server = Replay::start(vec![
        ("GET /v1/models", models("vllm")),
        (
            "GET /version",
            Reply::json("200 OK", r#"{"version":"0.32.0"}"#),
        ),
    ])
    .await;
    let info = server.client().probe().await.expect("a model");
    assert_eq!(info.server, "vllm 0.32.0");
}

/// A refused request warms nothing.
#[tokio::test]
async fn warming_takes_no_refusal() {
    for (status, kind) in [
        ("401 No", ErrorKind::Auth),
        ("503 Not yet", ErrorKind::Overloaded),
        ("500 Oh", ErrorKind::Server),
    ] {
        let server = Replay::start(vec![("GET /v1/models", Reply::json(status, "{}"))]).await;
        let error = server.client().warm(2).await.expect_err(status);
        assert_eq!(error.kind, kind, "{error}");
    }
}

/// A body that never ends holds nothing up: not a refusal's, nor a good one's.
#[tokio::test]
async fn a_body_without_an_end_takes_its_time_and_no_more() {
    let silent = |head: &str| Reply {
        pieces: vec![
            (Duration::ZERO, format!("HTTP/1.1 {head}\r\n\r\nU").into()),
            (Duration::from_secs(600), Vec::new()),
        ],
        ..Reply::default()
    };
    let drip = |head: &str| Reply {
        // 2 bytes in 10 ms: far from full when the time is up
        pieces: [(Duration::ZERO, format!("HTTP/1.1 {head}\r\n\r\n").into())]
            .into_iter()
            .chain((0..60_000).map(|_| (Duration::from_millis(10), b"a\n".to_vec())))
            .collect(),
        ..Reply::default()
    };
    let refused = || silent("401 No\r\ncontent-length: 50");
    let fine = || drip("200 OK\r\ncontent-type: text/plain");
    for (path, reply, kind, words) in [
        ("GET /v1/models", refused(), ErrorKind::Auth, "401: U"),
        ("GET /v1/models", fine(), ErrorKind::Connect, "no end of"),
        ("GET /openapi.json", fine(), ErrorKind::Connect, "no end of"),
        ("POST /v1/encode", refused(), ErrorKind::Auth, "401: U"),
        ("POST /v1/encode", fine(), ErrorKind::Connect, "no end of"),
        ("GET /metrics", refused(), ErrorKind::Auth, "401: U"),
        ("GET /metrics", fine(), ErrorKind::Connect, "no end of"),
    ] {
        let schema = include_str!("data/openapi/lmdeploy-0.1.0.json");
        let mut routes = vec![
            ("GET /v1/models", models("lmdeploy")),
            ("GET /openapi.json", Reply::json("200 OK", schema)),
        ];
        routes.retain(|(known, _)| *known != path);
        routes.push((path, reply));
        let server = Replay::start(routes).await;
        let mut target = target(&server.address.to_string());
        target.probe_timeout = Duration::from_millis(400);
        let client = connect(target);
        let asked = async {
            if path == "GET /metrics" {
                return client.server_counters().await.map(drop);
            }
            client.probe().await?;
            client
                .prompt_tokens(&request_for("hi", 4, true))
                .await
                .map(drop)
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), asked).await;
        let error = ended.expect("it ends").expect_err(path);
        assert_eq!(error.kind, kind, "{path}: {error}");
        assert!(error.message.contains(words), "{path}: {error}");
    }
}

/// Counters where there are some.
#[tokio::test]
async fn counters_are_optional() {
    let none = server(Reply::default()).await;
    assert_eq!(none.client().server_counters().await, Ok(None));
    let page =
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\nn{a=\"b\"} 2\n";
    let page = page.replace("length: 8", "length: 11");
    let some = Replay::start(vec![("GET /metrics", Reply::raw(page))]).await;
    let counters = some.client().server_counters().await.expect("counters");
    assert_eq!(counters.expect("some").values["n"], 2.0);
    let broken = Replay::start(vec![("GET /metrics", Reply::json("500 Oh", "{}"))]).await;
    let error = broken.client().server_counters().await.expect_err("500");
    assert_eq!(error.kind, ErrorKind::Server);
}
