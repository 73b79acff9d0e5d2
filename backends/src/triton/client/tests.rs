//! The connection of a client: encrypted, broken, opened again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Address, Client, HTTP2};
use crate::engine::{ByteCodec, Engine, EngineConfig};
use crate::tls::tests::{acceptor, trusting};
use crate::triton::proto::ServerLiveRequest;
use crate::triton::server::serve;
use crate::triton::status::of_status;
use crate::{Clock, Error, ErrorKind, PromptMode, ServeOptions, Target};

/// A simulated server; its address.
fn simulated() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let engine = Engine::new(EngineConfig::default(), Arc::new(ByteCodec), Clock::start());
    tokio::spawn(serve(listener, engine, ServeOptions::default()));
    address
}

fn target(address: &str) -> Target {
    Target {
        address: address.to_owned(),
        model: None,
        api_key: None,
        tls: crate::Tls::default(),
        prompt_mode: PromptMode::Raw,
        connect_timeout: Duration::from_secs(5),
        probe_timeout: Duration::from_secs(5),
    }
}

/// Encrypts what goes to `inner`, and says that it speaks `protocol`.
async fn encrypted(inner: String, protocol: &[u8]) -> (String, CertificateDer<'static>) {
    let (acceptor, certificate) = acceptor(protocol);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("https://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, inner) = (acceptor.clone(), inner.clone());
            tokio::spawn(async move {
                // A client that does not trust it hangs up.
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut inner = TcpStream::connect(inner).await.expect("open");
                    let _ = copy_bidirectional(&mut stream, &mut inner).await;
                }
            });
        }
    });
    (address, certificate)
}

/// Passes everything on to `inner` over connections that it counts; they break
/// when the task is aborted.
async fn passing(inner: String, port: u16) -> (u16, Arc<AtomicUsize>, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("free");
    let port = listener.local_addr().expect("bound").port();
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let task = tokio::spawn(async move {
        let mut pipes = tokio::task::JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let inner = inner.clone();
            pipes.spawn(async move {
                let mut inner = TcpStream::connect(inner).await.expect("open");
                let _ = copy_bidirectional(&mut stream, &mut inner).await;
            });
        }
    });
    (port, opened, task)
}

/// A call of tonic's over the shared connection.
async fn ask(client: &Client) -> Result<bool, Error> {
    let answer = client.stub().await?.server_live(ServerLiveRequest {}).await;
    let answer = answer.map_err(|status| of_status("the question", &status))?;
    Ok(answer.into_inner().live)
}

#[tokio::test]
async fn calls_go_over_tls() {
    let (address, certificate) = encrypted(simulated(), HTTP2).await;
    let place = Address::parse(&address).expect("an address");
    let tls = trusting(certificate, HTTP2);
    let client = Client::with_tls(target(&address), place, Some(tls)).expect("a client");
    assert!(ask(&client).await.expect("an answer"));
    let brief = client.open().await.expect("a connection of its own");
    assert!(brief.is_open());
}

#[tokio::test]
async fn tls_of_nobody_and_without_http2_is_refused() {
    let (address, _) = encrypted(simulated(), HTTP2).await;
    let client = Client::new(target(&address)).expect("a client");
    let error = ask(&client).await.expect_err("not trusted");
    assert_eq!(error.kind, ErrorKind::Connect, "{error}");
    assert!(error.message.contains("certificate"), "{error}");

    // A server that answers without having chosen a protocol.
    let (address, certificate) = encrypted(simulated(), b"").await;
    let place = Address::parse(&address).expect("an address");
    let mut tls = trusting(certificate, HTTP2);
    tls.alpn_protocols.clear();
    let client = Client::with_tls(target(&address), place, Some(tls)).expect("a client");
    let error = ask(&client).await.expect_err("no HTTP/2");
    assert_eq!(error.kind, ErrorKind::Connect, "{error}");
    assert!(error.message.contains("not HTTP/2"), "{error}");
}

#[tokio::test]
async fn one_connection_serves_all_calls_and_is_opened_again_after_it_broke() {
    let inner = simulated();
    let (port, opened, pipe) = passing(inner.clone(), 0).await;
    let client = Client::new(target(&format!("127.0.0.1:{port}"))).expect("a client");
    let at_once = futures_util::future::join_all((0..20).map(|_| ask(&client))).await;
    assert!(at_once.into_iter().all(|answer| answer.expect("an answer")));
    assert_eq!(opened.load(Ordering::Relaxed), 1);

    pipe.abort();
    let _ = pipe.await;
    let mut failed = ask(&client).await.expect_err("nobody is there");
    if failed.kind == ErrorKind::Cut {
        // It may go out before the break is seen; nothing is sent twice.
        failed = ask(&client).await.expect_err("nobody is there");
    }
    assert_eq!(failed.kind, ErrorKind::Connect, "{failed}");
    assert!(failed.message.contains("refused"), "{failed}");

    let (_, opened, _pipe) = passing(inner, port).await;
    assert!(ask(&client).await.expect("an answer"));
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}
