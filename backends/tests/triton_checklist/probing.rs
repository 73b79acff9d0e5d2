//! Who is behind the port, and does it have what is needed?

use std::time::Duration;

use backends::{ALL, Error, ErrorKind, ServeOptions, ServerInfo, find};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::proto::ModelConfig;
use crate::scripted::{Scripted, connect, model, target};
use crate::simulated::{config, serve};

const WAYS: [&str; 5] = [
    "tis",
    "tis-chatbot",
    "tis-direct",
    "tis-ensemble",
    "tis-python",
];

async fn probe(name: &str, address: &str) -> Result<ServerInfo, Error> {
    let probe = async { connect(name, address).probe().await };
    tokio::time::timeout(Duration::from_secs(10), probe)
        .await
        .expect("no probe may hang")
}

#[tokio::test]
async fn our_own_server_says_that_it_is_simulated() {
    let (address, _engine) = serve(config(""), ServeOptions::default());
    for (name, model, max_running) in [
        ("tis", "turbomind", Some(48)),
        ("tis-chatbot", "turbomind", Some(48)),
        ("tis-direct", "turbomind", Some(48)),
        ("tis-ensemble", "ensemble", Some(48)),
        ("tis-python", "lmdeploy_model", None),
    ] {
        let info = probe(name, &address).await.expect(name);
        assert!(info.simulated, "{name}");
        assert_eq!(info.model, model, "{name}");
        assert_eq!(info.session_tokens, Some(2056), "{name}");
        assert_eq!(info.max_running, max_running, "{name}");
    }
}

#[tokio::test]
async fn a_refused_port_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    for name in WAYS {
        let error = probe(name, &address).await.expect_err(name);
        assert_eq!(error.kind, ErrorKind::Connect, "{name}: {error}");
        assert!(error.message.contains(&address), "{name}: {error}");
    }
}

#[tokio::test]
async fn an_http_server_on_the_port_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    // As uvicorn does: it reads HTTP/2's preface as a request that makes no
    // sense, says so in HTTP/1 and closes.
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut start = [0; 16];
                let _ = socket.read(&mut start).await;
                let answer = if start.starts_with(b"GET ") {
                    "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
                } else {
                    "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\nInvalid HTTP request."
                };
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    for name in WAYS {
        let error = probe(name, &address).await.expect_err(name);
        assert_eq!(error.kind, ErrorKind::Protocol, "{name}: {error}");
        assert!(
            error.message.contains("--backend api_server"),
            "{name}: {error}"
        );
        assert!(error.message.contains("33337"), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_port_that_takes_connections_and_says_nothing_does_not_hang() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let error = probe("tis", &address).await.expect_err("silence");
    assert_eq!(error.kind, ErrorKind::Connect, "{error}");
    assert!(error.message.contains("did not answer"), "{error}");
    drop(listener);
}

#[tokio::test]
async fn a_missing_model_brings_a_list_and_a_suggestion() {
    let ensemble = ModelConfig {
        platform: "ensemble".to_owned(),
        ..model("chain", &[])
    };
    for (models, name, words) in [
        (
            vec![model("lmdeploy_model", &[])],
            "tis",
            "--backend tis-python",
        ),
        (
            vec![model("lmdeploy_model", &[])],
            "tis-ensemble",
            "--backend tis-python",
        ),
        (vec![model("turbomind", &[])], "tis", "--backend tis-direct"),
        (vec![ensemble], "tis-python", "--backend tis-ensemble"),
        (vec![model("resnet", &[])], "tis-direct", "ready are resnet"),
        (vec![], "tis", "no model is ready"),
    ] {
        let scripted = Scripted {
            models,
            ..Scripted::new(Vec::new())
        };
        let error = probe(name, &scripted.start().await).await.expect_err(words);
        assert_eq!(error.kind, ErrorKind::Model, "{name}: {error}");
        assert!(error.message.contains(words), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_ready_says_so() {
    let scripted = Scripted {
        ready: false,
        ..Scripted::new(Vec::new())
    };
    let error = probe("tis", &scripted.start().await)
        .await
        .expect_err("not ready");
    assert_eq!(error.kind, ErrorKind::Model, "{error}");
}

#[tokio::test]
async fn a_model_of_another_name_is_asked_by_it() {
    let mut scripted = Scripted::new(Vec::new());
    scripted.models.push(model("engine2", &[]));
    let address = scripted.start().await;
    for (name, good) in [("engine2", true), ("engine3", false)] {
        let mut target = target(&address);
        target.model = Some(name.to_owned());
        let backend = (find("tis").expect("listed").connect)(target).expect("a good address");
        match backend.probe().await {
            Ok(info) => assert!(good && info.model == name && info.server == "triton 2.51.0"),
            Err(error) => assert!(!good && error.message.contains("engine3"), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_key_is_sent_and_a_wrong_one_is_refused() {
    let scripted = Scripted {
        key: Some("sesame"),
        ..Scripted::new(Vec::new())
    };
    let address = scripted.start().await;
    for (key, good) in [
        (Some("sesame"), true),
        (Some("barley"), false),
        (None, false),
    ] {
        let mut target = target(&address);
        target.api_key = key.map(str::to_owned);
        let backend = (find("tis").expect("listed").connect)(target).expect("a good address");
        let outcome = backend.probe().await;
        assert_eq!(outcome.is_ok(), good, "{key:?}: {outcome:?}");
        if let Err(error) = outcome {
            assert_eq!(error.kind, ErrorKind::Auth, "{error}");
        }
    }
}

#[tokio::test]
async fn what_is_no_address_is_refused_before_anything_is_opened() {
    for entry in ALL.iter().filter(|entry| entry.family == "tis") {
        let refused = (entry.connect)(target("no-port-at-all"));
        let error = refused.err().expect("refused");
        assert!(error.message.contains("no-port-at-all"), "{error}");
    }
}

#[tokio::test]
async fn encryption_that_the_server_does_not_speak_is_no_connection() {
    let (address, _engine) = serve(config(""), ServeOptions::default());
    let error = probe("tis", &format!("https://{address}"))
        .await
        .expect_err("no TLS there");
    assert_eq!(error.kind, ErrorKind::Connect, "{error}");
}

/// The HTTP/2 frame types in what a client sent, behind its preface of 24 bytes.
fn frame_types(mut sent: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    sent = sent.get(24..).unwrap_or_default();
    while let Some((head, rest)) = sent.split_first_chunk::<9>() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        types.push(head[3]);
        sent = rest.get(length..).unwrap_or_default();
    }
    types
}

/// Triton closes a channel that pings more often than every 300 s while it is
/// idle, and every stream of it dies.
#[tokio::test]
async fn an_idle_channel_does_not_ping() {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const PING: u8 = 6;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut target = target(&listener.local_addr().expect("bound").to_string());
    target.probe_timeout = Duration::from_secs(36_000);
    let backend = (find("tis").expect("listed").connect)(target).expect("a good address");
    let waiting = tokio::spawn(async move { backend.probe().await });
    let (mut socket, _) = listener.accept().await.expect("a client");
    socket.write_all(&SETTINGS).await.expect("open");
    let mut sent = Vec::new();
    // The request is there; from here on time flies.
    while !frame_types(&sent).contains(&1) {
        assert_ne!(socket.read_buf(&mut sent).await.expect("open"), 0);
    }
    tokio::time::pause();
    let hour = tokio::time::sleep(Duration::from_secs(3600));
    tokio::pin!(hour);
    loop {
        tokio::select! {
            () = &mut hour => break,
            read = socket.read_buf(&mut sent) => assert_ne!(read.expect("open"), 0),
        }
    }
    assert!(
        !frame_types(&sent).contains(&PING),
        "{:?}",
        frame_types(&sent)
    );
    waiting.abort();
}
