//! Servers that break the rules: what they are told, and what the caller is.

use super::super::frame::kind;
use super::{GRPC_OK, OK, Server, body, called, frame, head};

/// What is sent behind the server's SETTINGS and for one call, the reason that the
/// server gets with a goodbye, and words for the caller.
type Case = (Vec<u8>, u8, &'static str);

fn frames_of_nothing() -> Vec<Case> {
    vec![
        (frame(0, 0, 0, b"x"), 1, "a call that never was"),
        (frame(0, 0, 2, b"x"), 1, "a call that never was"),
        (frame(1, 4, 9, OK), 1, "a call that never was"),
        (frame(3, 0, 9, &[0; 4]), 1, "a call that never was"),
        (frame(4, 0, 1, b""), 1, "SETTINGS of a call"),
        (frame(6, 0, 1, b"12345678"), 1, "a PING of a call"),
        (frame(7, 0, 1, &[0; 8]), 1, "a GOAWAY of a call"),
        (frame(5, 4, 1, b"\0\0\0\x02\x88"), 1, "a push"),
        (frame(9, 4, 1, OK), 1, "a CONTINUATION of nothing"),
    ]
}

fn wrong_sizes_and_values() -> Vec<Case> {
    let padded = [frame(1, 4, 1, OK), frame(0, 8, 1, b"\x05abc")].concat();
    vec![
        (padded, 1, "more padding than"),
        (frame(1, 0xc, 1, b"\x09\x88"), 1, "more padding than"),
        (frame(1, 0x24, 1, b"\0\0"), 1, "HEADERS that are too short"),
        (frame(0, 0, 1, &[0; 16_385]), 6, "more than 16 KiB"),
        (frame(3, 0, 1, b"\0"), 6, "the wrong size"),
        (frame(4, 0, 0, b"\0"), 6, "the wrong size"),
        (frame(4, 1, 0, b"\0\x01\0\0\0\0"), 6, "the wrong size"),
        (frame(6, 0, 0, b"short"), 6, "the wrong size"),
        (frame(7, 0, 0, b"short"), 6, "the wrong size"),
        (frame(8, 0, 0, b"\x01"), 6, "the wrong size"),
        (frame(4, 0, 0, b"\0\x02\0\0\0\x01"), 1, "beyond its limits"),
        (frame(4, 0, 0, b"\0\x04\x80\0\0\0"), 3, "beyond its limits"),
        (frame(4, 0, 0, b"\0\x05\0\0\0\x01"), 1, "beyond its limits"),
        (frame(4, 0, 0, b"\0\x05\x01\0\0\0"), 1, "beyond its limits"),
        (frame(8, 0, 0, &[0; 4]), 1, "grows by nothing"),
        (frame(8, 0, 0, &[0x7f, 255, 255, 255]), 3, "a window of"),
    ]
}

fn blocks_that_are_none() -> Vec<Case> {
    let begin = || frame(1, 0, 1, OK);
    let endless = [begin(), frame(9, 0, 1, b"").repeat(200)].concat();
    let too_long = [begin(), frame(9, 0, 1, &[0; 16_000]).repeat(5)].concat();
    vec![
        (
            [begin(), frame(9, 4, 3, b"")].concat(),
            1,
            "a CONTINUATION of nothing",
        ),
        (
            [begin(), frame(0, 0, 1, b"x")].concat(),
            1,
            "within a block",
        ),
        (frame(1, 4, 1, b"\x88\xff"), 9, "no HPACK"),
        // An entry of a table that it was not given.
        (frame(1, 4, 1, b"\x88\xbe"), 9, "no HPACK"),
        (endless, 11, "headers without an end"),
        (too_long, 11, "headers without an end"),
    ]
}

#[tokio::test]
async fn what_is_no_http2_ends_the_connection() {
    let cases = [
        frames_of_nothing(),
        wrong_sizes_and_values(),
        blocks_that_are_none(),
    ];
    for (bytes, reason, words) in cases.into_iter().flatten() {
        let (connection, mut server) = Server::met().await;
        let mut call = called(&connection, b"");
        server.next().await;
        server.next().await;
        server.send(&bytes).await;
        let error = match head(&mut call).await {
            Err(error) => error.to_string(),
            Ok(_) => body(&mut call).await.1.expect("an error"),
        };
        assert!(
            error.starts_with("the server's HTTP/2 is wrong: "),
            "{error}"
        );
        assert!(error.contains(words), "{error}, not {words}");
        let goodbye = server.next().await;
        assert_eq!(
            goodbye,
            frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, reason]),
            "{words}"
        );
        assert!(!connection.is_open());
        server.ended().await;
    }
}

#[tokio::test]
async fn a_server_begins_with_settings() {
    for bytes in [
        frame(6, 0, 0, b"12345678"),
        frame(4, 1, 0, b""),
        b"HTTP/1.1 400".to_vec(),
    ] {
        let (connection, mut server) = Server::silent().await;
        server.send(&bytes).await;
        let error = connection
            .greeted()
            .await
            .expect_err("no HTTP/2")
            .to_string();
        assert!(
            error.contains("begin with SETTINGS") || error.contains("16 KiB"),
            "{error}"
        );
    }
}

/// The same for what breaks one call alone, which is reset.
#[tokio::test]
async fn what_is_no_answer_ends_the_call() {
    let twice = [frame(1, 4, 1, OK), frame(1, 4, 1, GRPC_OK)].concat();
    let status_behind = [frame(1, 4, 1, OK), frame(1, 5, 1, OK)].concat();
    let more = [0_u8; 16_000];
    let mut flood = frame(1, 4, 1, OK);
    // More than the pipe holds beyond it: nobody reads before all of it was sent.
    for _ in 0..(4 << 20) / more.len() {
        flood.extend(frame(0, 0, 1, &more));
    }
    // Each counts 33 bytes.
    let many = [OK, &b"\x00\x01a\x00".repeat(2_000)].concat();
    for (bytes, reason, words) in [
        (frame(0, 0, 1, b"x"), 1, "an answer without headers"),
        (frame(1, 4, 1, GRPC_OK), 1, "without a :status"),
        (frame(1, 5, 1, b"\x08\x03100"), 1, "ends before it begins"),
        (frame(1, 4, 1, b"\x08\x03101"), 1, "ends before it begins"),
        (frame(1, 4, 1, b"\x08\x02xx"), 1, "a :status that is none"),
        (frame(1, 4, 1, b"\x88\x88"), 1, "a :status that is none"),
        (
            frame(1, 4, 1, b"\x88\x00\x01A\x01b"),
            1,
            "whose name is none",
        ),
        (
            frame(1, 4, 1, b"\x88\x00\x02:a\x01b"),
            1,
            "whose name is none",
        ),
        (
            frame(1, 4, 1, b"\x88\x00\x01a\x01\n"),
            1,
            "whose value is none",
        ),
        (twice, 1, "in the middle of an answer"),
        (status_behind, 1, "in the middle of an answer"),
        (frame(8, 0, 1, &[0; 4]), 1, "grows by nothing"),
        (flood, 3, "more data than one call"),
        (frame(1, 4, 1, &many), 1, "longer than 64 KiB"),
    ] {
        let (connection, mut server) = Server::met().await;
        let mut call = called(&connection, b"");
        let mut other = called(&connection, b"");
        for _ in 0..4 {
            server.next().await;
        }
        server.send(&bytes).await;
        let error = match head(&mut call).await {
            Err(error) => error.to_string(),
            Ok(_) => body(&mut call).await.1.expect("an error"),
        };
        assert!(error.contains(words), "{error}, not {words}");
        let mut reset = server.next().await;
        while reset[3] == kind::WINDOW_UPDATE {
            reset = server.next().await;
        }
        assert_eq!(reset, frame(3, 0, 1, &[0, 0, 0, reason]), "{words}");
        // The other goes on.
        server.send(&frame(1, 5, 3, OK)).await;
        assert!(head(&mut other).await.is_ok(), "{words}");
    }
}
