//! The same wire as another implementation speaks it: a server of the crate h2,
//! which compresses its headers and keeps its own windows.

use std::future::poll_fn;

use bytes::Bytes;
use h2::server;
use proptest::prelude::{ProptestConfig, any, proptest};
use tokio::io::DuplexStream;
use tonic::codegen::http::{HeaderMap, HeaderValue, Response};

use super::super::Listener;
use super::{Call, Connection, block, body, head};

/// Answers every call with its own message, in pieces, and says how long it was.
async fn echo(stream: DuplexStream, window: u32, piece: usize) {
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(window)
        .max_concurrent_streams(3)
        .max_frame_size(20_000);
    let mut connection = builder.handshake::<_, Bytes>(stream).await.expect("HTTP/2");
    while let Some(call) = connection.accept().await {
        let (request, mut respond) = call.expect("a call");
        tokio::spawn(async move {
            let mut body = request.into_body();
            let mut message = Vec::new();
            while let Some(part) = body.data().await {
                let part = part.expect("a message");
                let release = body.flow_control().release_capacity(part.len());
                release.expect("open");
                message.extend_from_slice(&part);
            }
            let mut head = Response::new(());
            let kind = HeaderValue::from_static("application/grpc");
            head.headers_mut().insert("content-type", kind);
            let mut out = respond.send_response(head, false).expect("open");
            for part in message.chunks(piece) {
                out.send_data(Bytes::copy_from_slice(part), false)
                    .expect("open");
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("x-bytes", HeaderValue::from(message.len()));
            out.send_trailers(trailers).expect("open");
        });
    }
}

/// All that somebody hears who listens to the end.
async fn heard(call: &mut Call) -> Vec<u8> {
    call.listen(Box::new(All::default()));
    let end = poll_fn(|cx| call.poll_listener(cx, |_: &mut All| None::<()>));
    assert_eq!(end.await, None);
    call.unlisten::<All>().expect("it listened").0
}

#[derive(Default)]
struct All(Vec<u8>);

impl Listener for All {
    fn hear(&mut self, piece: Bytes) -> bool {
        self.0.extend_from_slice(&piece);
        // Now and then it has its task look, which is no end.
        piece.len().is_multiple_of(3)
    }
}

/// Calls with messages of these sizes, all at once. Every other answer is listened
/// to.
async fn echoed(sizes: &[usize], window: u32, piece: usize) {
    let (ours, theirs) = tokio::io::duplex(30_000);
    let server = tokio::spawn(echo(theirs, window, piece));
    let (connection, driver) = Connection::over(ours).await.expect("open");
    let driver = tokio::spawn(driver);
    connection.greeted().await.expect("greeted");
    let calls = sizes.iter().enumerate().map(|(at, &size)| {
        let connection = connection.clone();
        async move {
            let message: Bytes = (0..size)
                .map(|byte| (byte * 7 + at).to_le_bytes()[0])
                .collect();
            let mut call = connection.call(block(), message.clone()).expect("open");
            let (status, headers) = head(&mut call).await.expect("a head");
            assert!(status.is_success());
            assert_eq!(
                headers.get("content-type").expect("a kind"),
                "application/grpc"
            );
            let all = if at % 2 == 0 {
                let (all, error) = body(&mut call).await;
                assert!(error.is_none(), "{} bytes, {error:?}", all.len());
                all
            } else {
                heard(&mut call).await
            };
            assert!(all == message, "{} bytes", all.len());
            let trailers = call.take_trailers().expect("trailers");
            assert_eq!(trailers.get("x-bytes").expect("a size"), &size.to_string());
        }
    });
    futures_util::future::join_all(calls).await;
    drop(connection);
    driver.await.expect("ended well");
    server.await.expect("ended well");
}

#[tokio::test]
async fn long_messages_come_back_whole() {
    echoed(
        &[0, 1, 3_000_000, 65_535, 65_536, 16_384, 20_001],
        1_000_000,
        50_000,
    )
    .await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn calls_of_any_size_come_back_whole(
        sizes in proptest::collection::vec(0..40_000_usize, 1..12),
        window in 1_000..100_000_u32,
        piece in 1..20_000_usize,
        tiny in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let piece = if tiny { piece % 200 + 1 } else { piece };
        runtime.expect("a runtime").block_on(echoed(&sizes, window, piece));
    }
}
