//! When a connection is used again and when not, against a server that does as
//! it is told, once per request, and counts: nothing is opened in secret,
//! nothing sent twice, and what a stream leaves behind is one small buffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::ApiServer;
use super::tests::{EVENTS, MODELS, next, request, sink, target};
use crate::api_server::transport::POOL_IDLE;
use crate::{Backend, ErrorKind, Hop};

/// What the server does with a request for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Answer,
    /// And closes, having said nothing of it.
    Close,
    /// And says that it will close, but waits for the client to do so.
    SayClose,
    /// Closes, having read the request.
    Drop,
    /// Sends the first half of the answer's head and closes.
    Break,
    /// Answers something that nobody asked for as well.
    Babble,
    /// One event of 300 kB before the others.
    Flood,
    /// Refuses after the request's head and reads no further.
    Refuse,
}

#[derive(Debug, Default)]
struct Counts {
    opened: AtomicUsize,
    asked: AtomicUsize,
    closed: AtomicUsize,
    moved: Notify,
}

impl Counts {
    fn read(&self) -> (usize, usize) {
        let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        (of(&self.opened), of(&self.asked))
    }

    /// Waits until the server has closed so many connections.
    async fn closed(&self, wanted: usize) {
        while self.closed.load(Ordering::SeqCst) < wanted {
            self.moved.notified().await;
        }
    }
}

async fn talk(mut stream: TcpStream, deeds: &[Deed], counts: &Counts) -> Option<()> {
    let mut seen = Vec::new();
    loop {
        if deeds == [Deed::Refuse] {
            stream.read_exact(&mut [0; 100]).await.ok()?;
            let refusal = "HTTP/1.1 413 Oh\r\ncontent-length: 16\r\n\r\n{\"detail\":\"big\"}";
            stream.write_all(refusal.as_bytes()).await.ok()?;
            // until the client has gone; it must not wait for us to read on
            counts.moved.notified().await;
            return None;
        }
        let asked = next(&mut stream, &mut seen).await?;
        if asked.starts_with("get ") {
            let length = MODELS.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{MODELS}");
            stream.write_all(answer.as_bytes()).await.ok()?;
            continue;
        }
        let number = counts.asked.fetch_add(1, Ordering::SeqCst);
        let deed = deeds[number % deeds.len()];
        let mut answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n".to_owned();
        if deed == Deed::SayClose {
            answer += "connection: close\r\n";
        }
        match deed {
            Deed::Drop => return None,
            Deed::Break => {
                stream.write_all(answer.as_bytes()).await.ok()?;
                return None;
            }
            _ => answer += "transfer-encoding: chunked\r\n\r\n",
        }
        let long = format!(
            "data: {{\"choices\":[{{\"text\":\"{}\"}}]}}\n\n",
            "a".repeat(300_000)
        );
        let long = (deed == Deed::Flood).then_some(&*long);
        for event in long.into_iter().chain(EVENTS) {
            answer += &format!("{:x}\r\n{event}\r\n", event.len());
        }
        answer += "0\r\n\r\n";
        if deed == Deed::Babble {
            answer += "HTTP/1.1 408 Late\r\ncontent-length: 0\r\n\r\n";
        }
        stream.write_all(answer.as_bytes()).await.ok()?;
        if deed == Deed::Close {
            return None;
        }
    }
}

/// A client of a server that does these deeds in turn.
async fn client_of(deeds: &'static [Deed]) -> (ApiServer, Arc<Counts>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let counts = Arc::<Counts>::default();
    let counted = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.opened.fetch_add(1, Ordering::SeqCst);
            let counts = Arc::clone(&counted);
            tokio::spawn(async move {
                talk(stream, deeds, &counts).await;
                counts.closed.fetch_add(1, Ordering::SeqCst);
                counts.moved.notify_one();
            });
        }
    });
    (
        ApiServer::new(target(address), POOL_IDLE).expect("a client"),
        counts,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_slot_has_one_connection_over_many_requests() {
    const SLOTS: u32 = 64;
    let (client, counts) = client_of(&[Deed::Answer]).await;
    client.probe().await.expect("a model");
    client.warm(SLOTS).await.expect("connections");
    assert_eq!(counts.read(), (65, 0), "the probe's and the slots'");
    let slots = (0..SLOTS).map(|slot| {
        let client = &client;
        async move {
            // numbered over several clients, so with gaps
            let mut request = request(slot * 7 + 3, "hi", true);
            for _ in 0..50 {
                client.prepare(&mut request).await.expect("good");
                let mut sink = sink();
                client.generate(&request, &mut sink).await.expect("good");
                assert_eq!(sink.into_trace().hops[Hop::Connect.index()].calls, 0);
            }
        }
    });
    join_all(slots).await;
    assert_eq!(counts.read(), (65, 64 * 50));
}

/// One request after the other, each on a connection that was looked at before.
#[tokio::test]
async fn a_closed_connection_is_found_before_the_clock() {
    for deed in [&[Deed::Close], &[Deed::SayClose], &[Deed::Babble]] {
        let (client, counts) = client_of(deed).await;
        client.probe().await.expect("a model");
        let mut request = request(0, "hi", true);
        for number in 1..=4 {
            client.prepare(&mut request).await.expect("good");
            let mut sink = sink();
            client.generate(&request, &mut sink).await.expect("good");
            let trace = sink.into_trace();
            assert_eq!(trace.hops[Hop::Connect.index()].calls, 0, "{deed:?}");
            assert_eq!(counts.read(), (1 + number, number), "{deed:?}");
            counts.closed(number).await;
        }
    }
}

/// What was not looked at before opens its connection in the measured time, and
/// says so.
#[tokio::test]
async fn a_connection_that_is_opened_late_is_shown() {
    let (client, counts) = client_of(&[Deed::SayClose, Deed::Answer]).await;
    client.probe().await.expect("a model");
    for (number, opened) in [(1, 1), (2, 1), (3, 0)] {
        let mut sink = sink();
        let outcome = client.generate(&request(0, "hi", true), &mut sink).await;
        outcome.expect("good");
        let connect = sink.into_trace().hops[Hop::Connect.index()];
        assert_eq!(connect.calls, opened, "{number}");
        assert_eq!(connect.until_first_ns > 0, opened == 1, "{number}");
    }
    assert_eq!(counts.read(), (3, 3));
}

/// Nobody can tell what the server had made of it.
#[tokio::test]
async fn a_request_that_may_have_arrived_is_not_sent_again() {
    for deeds in [&[Deed::Answer, Deed::Drop], &[Deed::Answer, Deed::Break]] {
        let (client, counts) = client_of(deeds).await;
        client.probe().await.expect("a model");
        let mut request = request(0, "hi", true);
        client.prepare(&mut request).await.expect("good");
        client.generate(&request, &mut sink()).await.expect("good");
        client.prepare(&mut request).await.expect("good");
        let outcome = client.generate(&request, &mut sink()).await;
        let error = outcome.expect_err("closed");
        assert_eq!(error.kind, ErrorKind::Cut, "{error}");
        assert!(error.message.contains("instead of answering"), "{error}");
        assert_eq!(counts.read(), (2, 2), "one connection, each asked once");
        client.generate(&request, &mut sink()).await.expect("good");
    }
}

#[tokio::test]
async fn a_long_event_leaves_no_long_buffer() {
    let (client, counts) = client_of(&[Deed::Flood]).await;
    client.probe().await.expect("a model");
    for _ in 0..3 {
        let mut sink = sink();
        let outcome = client.generate(&request(0, "hi", true), &mut sink).await;
        outcome.expect("good");
        assert_eq!(sink.into_trace().text.len(), 300_002);
    }
    assert_eq!(counts.read(), (2, 3));
    let kept = client.transport.kept_bytes();
    assert!(kept.len() == 1 && kept[0] <= 8 << 10, "{kept:?}");
}

/// A refusal may come while the request is still being sent.
#[tokio::test]
async fn an_early_refusal_is_heard() {
    let (client, counts) = client_of(&[Deed::Answer]).await;
    client.probe().await.expect("a model");
    let (refuser, _) = client_of(&[Deed::Refuse]).await;
    let known = client.known().await.expect("asked").clone();
    refuser.known.set(known).expect("not asked yet");
    let request = request(0, &"long ".repeat(4 << 20), true);
    let mut sink = sink();
    let ended = refuser.generate(&request, &mut sink);
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await;
    let error = ended.expect("it ends").expect_err("refused");
    assert_eq!(error.kind, ErrorKind::Rejected, "{error}");
    assert!(error.message.contains("413: big"), "{error}");
    assert_eq!(counts.read(), (1, 0));
}
