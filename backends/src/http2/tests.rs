//! A connection against a server by script, byte for byte.

mod against_h2;
mod flow;
mod listening;
mod violations;

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::codegen::http::{HeaderMap, HeaderValue, StatusCode};

use super::frame::{HEAD_BYTES, Head, PREFACE};
use super::{Call, Connection, Error, request_block};

/// How the begin and the end of an answer are written: `:status: 200`, and
/// `grpc-status: 0` without a table.
const OK: &[u8] = &[0x88];
const GRPC_OK: &[u8] = b"\x00\x0bgrpc-status\x010";

/// The other end of a connection.
struct Server {
    stream: DuplexStream,
    driver: JoinHandle<()>,
}

/// A frame, written by hand.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

impl Server {
    /// A connection whose hello was read and answered.
    async fn met() -> (Connection, Self) {
        let (connection, mut server) = Self::silent().await;
        server.send(&frame(4, 0, 0, &[])).await;
        connection.greeted().await.expect("greeted");
        assert_eq!(server.next().await, frame(4, 1, 0, &[]), "an ACK");
        (connection, server)
    }

    /// The same before the server's first word.
    async fn silent() -> (Connection, Self) {
        let (ours, mut stream) = tokio::io::duplex(1 << 20);
        let (connection, driver) = Connection::over(ours).await.expect("open");
        let mut hello = vec![0; PREFACE.len()];
        stream.read_exact(&mut hello).await.expect("a hello");
        assert_eq!(hello, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let driver = tokio::spawn(driver);
        let mut server = Self { stream, driver };
        let settings = b"\0\x01\0\0\0\0\0\x02\0\0\0\0\0\x04\0\x20\0\0\0\x06\0\x01\0\0";
        assert_eq!(server.next().await, frame(4, 0, 0, settings));
        let window: u32 = (256 << 20) - 65_535;
        assert_eq!(server.next().await, frame(8, 0, 0, &window.to_be_bytes()));
        (connection, server)
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("open");
    }

    /// The client's next frame, as it came.
    async fn next(&mut self) -> Vec<u8> {
        let read = async {
            let mut head = [0; HEAD_BYTES];
            self.stream.read_exact(&mut head).await.expect("a frame");
            let mut frame = head.to_vec();
            frame.resize(HEAD_BYTES + Head::read(head).len, 0);
            let payload = &mut frame[HEAD_BYTES..];
            self.stream.read_exact(payload).await.expect("all of it");
            frame
        };
        timeout(Duration::from_secs(5), read).await.expect("soon")
    }

    /// Whether the client says nothing for a while.
    async fn hears_nothing(&mut self) -> bool {
        let wait = Duration::from_millis(30);
        timeout(wait, self.stream.read_u8()).await.is_err()
    }

    /// Waits for the connection's end.
    async fn ended(self) {
        let end = timeout(Duration::from_secs(5), self.driver).await;
        end.expect("soon").expect("no panic");
    }
}

fn block() -> Vec<u8> {
    let mut headers = HeaderMap::new();
    headers.insert("te", HeaderValue::from_static("trailers"));
    request_block(false, "host:1", "/a/B", &headers)
}

fn called(connection: &Connection, message: &[u8]) -> Call {
    let message = Bytes::copy_from_slice(message);
    connection.call(block(), message).expect("open")
}

async fn head(call: &mut Call) -> Result<(StatusCode, HeaderMap), Error> {
    let head = poll_fn(|cx| call.poll_head(cx));
    timeout(Duration::from_secs(5), head).await.expect("soon")
}

async fn piece(call: &mut Call) -> Option<Result<Bytes, Error>> {
    let piece = poll_fn(|cx| call.poll_piece(cx));
    timeout(Duration::from_secs(5), piece).await.expect("soon")
}

/// Everything of an answer's body, and how it ended.
async fn body(call: &mut Call) -> (Vec<u8>, Option<String>) {
    let mut all = Vec::new();
    loop {
        match piece(call).await {
            Some(Ok(piece)) => all.extend_from_slice(&piece),
            Some(Err(error)) => return (all, Some(error.to_string())),
            None => return (all, None),
        }
    }
}

#[tokio::test]
async fn a_call_is_headers_and_a_message_and_its_answer_comes_in_pieces() {
    let (connection, mut server) = Server::met().await;
    let mut call = called(&connection, b"question");
    let headers = b"\x83\x86\x04\x04/a/B\x01\x06host:1\x00\x02te\x08trailers";
    assert_eq!(server.next().await, frame(1, 4, 1, headers));
    assert_eq!(server.next().await, frame(0, 1, 1, b"question"));
    server.send(&frame(1, 4, 1, OK)).await;
    let (status, headers) = head(&mut call).await.expect("a head");
    assert_eq!((status, headers.len()), (StatusCode::OK, 0));
    for word in [&b"one"[..], b"two"] {
        server.send(&frame(0, 0, 1, word)).await;
        let came = piece(&mut call).await.expect("more").expect("good");
        assert_eq!(came, word);
    }
    assert!(call.take_trailers().is_none());
    server.send(&frame(1, 5, 1, GRPC_OK)).await;
    assert!(piece(&mut call).await.is_none());
    let trailers = call.take_trailers().expect("trailers");
    assert_eq!(trailers.get("grpc-status").expect("a status"), "0");
    assert!(piece(&mut call).await.is_none(), "still");
    // Nothing is said of a call that has ended, and the next has the next number.
    drop(call);
    let _call = called(&connection, b"");
    assert_eq!(server.next().await[3..9], [1, 4, 0, 0, 0, 3]);
    assert_eq!(server.next().await, frame(0, 1, 3, b""));
}

#[tokio::test]
async fn an_answer_may_be_nothing_but_headers() {
    let (connection, mut server) = Server::met().await;
    let mut call = called(&connection, b"");
    server
        .send(&frame(1, 5, 1, b"\x88\x00\x0bgrpc-status\x0212"))
        .await;
    let (_, headers) = head(&mut call).await.expect("a head");
    assert_eq!(headers.get("grpc-status").expect("a status"), "12");
    assert_eq!(body(&mut call).await, (Vec::new(), None));
}

#[tokio::test]
async fn each_call_gets_what_is_its_own() {
    let (connection, mut server) = Server::met().await;
    let mut calls: Vec<Call> = (0..3).map(|_| called(&connection, b"?")).collect();
    let mut sent = Vec::new();
    for number in [1, 3, 5] {
        sent.extend(frame(1, 4, number, OK));
    }
    for word in [b"a", b"b"] {
        for (number, more) in [(5, b"z"), (1, b"x"), (3, b"y")] {
            sent.extend(frame(0, 0, number, &[&more[..], word].concat()));
        }
    }
    for number in [3, 5, 1] {
        sent.extend(frame(1, 5, number, GRPC_OK));
    }
    server.send(&sent).await;
    for (call, all) in calls.iter_mut().zip([b"xaxb", b"yayb", b"zazb"]) {
        head(call).await.expect("a head");
        assert_eq!(body(call).await, (all.to_vec(), None));
    }
}

#[tokio::test]
async fn what_only_surrounds_an_answer_is_passed_over() {
    let (connection, mut server) = Server::met().await;
    let mut call = called(&connection, b"");
    server.next().await;
    server.next().await;
    for bytes in [
        frame(6, 0, 0, b"12345678"),
        // An acknowledged PING, a PRIORITY, and kinds that nobody knows.
        frame(6, 1, 0, b"87654321"),
        frame(2, 0, 1, &[0; 5]),
        frame(0xfe, 0xff, 1, b"?"),
        // Begin with padding, a priority and in three frames; 103 before it.
        frame(1, 4, 1, b"\x08\x03103"),
        frame(1, 0x28, 1, b"\x02\0\0\0\0\0\x88\0\0"),
        frame(9, 0, 1, b"\x00\x01a"),
        frame(9, 4, 1, b"\x01b"),
        frame(0, 8, 1, b"\x03body\0\0\0"),
        frame(0, 0, 1, b""),
        frame(0, 9, 1, b"\x00!"),
    ] {
        server.send(&bytes).await;
    }
    assert_eq!(server.next().await, frame(6, 1, 0, b"12345678"), "a PONG");
    let (_, headers) = head(&mut call).await.expect("a head");
    assert_eq!(headers.get("a").expect("a header"), "b");
    assert_eq!(body(&mut call).await, (b"body!".to_vec(), None));
}

#[tokio::test]
async fn secrets_are_kept_by_nobody_in_between() {
    let mut headers = HeaderMap::new();
    let mut key = HeaderValue::from_static("Bearer k");
    key.set_sensitive(true);
    headers.insert("authorization", key);
    let block = request_block(true, "h", "/", &headers);
    assert_eq!(
        block,
        b"\x83\x87\x04\x01/\x01\x01h\x10\x0dauthorization\x08Bearer k"
    );
    // A length beyond the prefix of seven bits: 127 + 3 * 128 + 1.
    headers.clear();
    headers.insert("a", HeaderValue::from_str(&"v".repeat(512)).expect("plain"));
    let block = request_block(true, "h", "/", &headers);
    assert!(block.ends_with(&[&b"\x00\x01a\x7f\x81\x03"[..], &[b'v'; 512]].concat()));
}

#[tokio::test]
async fn a_call_that_nobody_wants_is_cancelled() {
    let (connection, mut server) = Server::met().await;
    let mut call = called(&connection, b"");
    server.next().await;
    server.next().await;
    server.send(&frame(1, 4, 1, OK)).await;
    head(&mut call).await.expect("a head");
    drop(call);
    assert_eq!(server.next().await, frame(3, 0, 1, &[0, 0, 0, 8]));
    // What was on its way is no matter.
    server.send(&frame(0, 0, 1, b"late")).await;
    server.send(&frame(1, 5, 1, GRPC_OK)).await;
    server.send(&frame(3, 0, 1, &[0; 4])).await;
    server.send(&frame(6, 0, 0, b"12345678")).await;
    assert_eq!(server.next().await, frame(6, 1, 0, b"12345678"));
    drop(connection);
    assert_eq!(server.next().await, frame(7, 0, 0, &[0; 8]), "a goodbye");
    assert_eq!(server.stream.read(&mut [0]).await.expect("open"), 0);
    server.ended().await;
}

#[tokio::test]
async fn a_connection_lives_as_long_as_its_last_call() {
    let (connection, mut server) = Server::met().await;
    let mut call = called(&connection, b"");
    let other = connection.clone();
    drop(connection);
    drop(other);
    server.send(&frame(1, 4, 1, OK)).await;
    server.send(&frame(0, 1, 1, b"still")).await;
    head(&mut call).await.expect("a head");
    assert_eq!(body(&mut call).await, (b"still".to_vec(), None));
    drop(call);
    server.ended().await;
}

#[tokio::test]
async fn a_goodbye_lets_what_was_begun_go_on() {
    let (connection, mut server) = Server::met().await;
    let mut calls: Vec<Call> = (0..2).map(|_| called(&connection, b"")).collect();
    assert!(connection.is_open());
    server
        .send(&frame(7, 0, 0, b"\0\0\0\x01\0\0\0\x0btoo_many_pings"))
        .await;
    let why = "the server takes no more calls: GOAWAY with ENHANCE_YOUR_CALM: too_many_pings";
    let error = head(&mut calls[1]).await.expect_err("not begun");
    assert_eq!(error.to_string(), why);
    assert!(!connection.is_open());
    let refused = connection.call(block(), Bytes::new());
    assert_eq!(refused.expect_err("no more").to_string(), why);
    server.send(&frame(1, 4, 1, OK)).await;
    server.send(&frame(0, 0, 1, b"some")).await;
    head(&mut calls[0]).await.expect("a head");
    drop(server.stream);
    let (all, error) = body(&mut calls[0]).await;
    let why = "the connection broke; the server had said: GOAWAY with ENHANCE_YOUR_CALM: \
               too_many_pings";
    assert_eq!((all, error), (b"some".to_vec(), Some(why.to_owned())));
}

#[tokio::test]
async fn the_end_of_the_connection_is_the_end_of_its_calls() {
    let (connection, mut server) = Server::met().await;
    let mut calls: Vec<Call> = (0..2).map(|_| called(&connection, b"")).collect();
    server.send(&frame(1, 4, 1, OK)).await;
    server.send(&frame(0, 0, 1, b"some")).await;
    server.send(&frame(3, 0, 3, &[0, 0, 0, 2])).await;
    let error = head(&mut calls[1]).await.expect_err("reset");
    assert_eq!(
        error.to_string(),
        "the server reset the call: INTERNAL_ERROR"
    );
    head(&mut calls[0]).await.expect("a head");
    drop(server.stream);
    let why = Some("the connection broke".to_owned());
    assert_eq!(body(&mut calls[0]).await, (b"some".to_vec(), why));
    assert!(connection.call(block(), Bytes::new()).is_err());
}

#[tokio::test]
async fn a_driver_that_is_dropped_leaves_nobody_waiting() {
    let (connection, server) = Server::silent().await;
    let mut call = called(&connection, b"");
    server.driver.abort();
    let why = "the connection was given up";
    let error = head(&mut call).await.expect_err("nobody drives it");
    assert_eq!(error.to_string(), why);
    let error = connection.greeted().await.expect_err("nobody drives it");
    assert_eq!(error.to_string(), why);
}
