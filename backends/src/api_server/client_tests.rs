//! Which connections are used again, counted by a server of a few lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::ApiServer;
use crate::api_server::transport::POOL_IDLE;
use crate::{Backend, PromptMode, Target};

/// A server that has no counters and counts its connections.
async fn server() -> (Target, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let connections = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                while stream.read(&mut asked).await.is_ok_and(|bytes| bytes > 0) {
                    let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}";
                    stream.write_all(answer).await.expect("sent");
                }
            });
        }
    });
    let target = Target {
        address,
        model: None,
        api_key: Some("sekret".to_owned()),
        prompt_mode: PromptMode::Raw,
        connect_timeout: Duration::from_secs(5),
        probe_timeout: Duration::from_secs(20),
    };
    (target, connections)
}

/// Connections for two requests with `pause` between them.
async fn connections_for(pool_idle: Duration, pause: Duration) -> usize {
    let (target, connections) = server().await;
    let client = ApiServer::new(target, pool_idle).expect("a client");
    assert_eq!(client.server_counters().await, Ok(None));
    // The pause is what is tested: it only has to be longer than the limit.
    tokio::time::sleep(pause).await;
    assert_eq!(client.server_counters().await, Ok(None));
    connections.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_connection_that_was_idle_too_long_is_not_used() {
    let (limit, pause) = (Duration::from_millis(50), Duration::from_millis(200));
    assert_eq!(connections_for(limit, pause).await, 2);
    assert_eq!(connections_for(POOL_IDLE, pause).await, 1);
}

#[test]
fn the_limit_is_under_the_servers() {
    let servers = Duration::from_secs(5);
    assert!(POOL_IDLE < servers, "uvicorn closes after 5 s");
}

#[tokio::test]
async fn nothing_shows_the_key() {
    let (target, _) = server().await;
    let client = ApiServer::new(target, POOL_IDLE).expect("a client");
    let shown = format!("{:?}", client.transport);
    assert!(
        shown.contains("127.0.0.1") && !shown.contains("sekret"),
        "{shown}"
    );
}
