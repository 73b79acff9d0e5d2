//! Pieces that are taken where they are read.

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::timeout;

use super::super::Listener;
use super::super::call::CALL_WINDOW_BYTES;
use super::{Call, Connection, GRPC_OK, OK, Server, called, frame, head, piece};

/// Keeps what it hears until it hears `Z`; dies of an `X`.
#[derive(Default)]
pub(super) struct Ear {
    pub(super) heard: Vec<u8>,
    pieces: usize,
    looks: Cell<usize>,
}

impl Listener for Ear {
    fn hear(&mut self, piece: Bytes) -> bool {
        assert!(!piece.contains(&b'X'), "a bug");
        self.heard.extend_from_slice(&piece);
        self.pieces += 1;
        piece.contains(&b'Z')
    }

    fn look_ahead(&self) -> u64 {
        self.looks.set(self.looks.get() + 1);
        0
    }
}

/// What was heard when it was enough; `None` where the call ended before.
async fn enough(call: &mut Call) -> Option<Vec<u8>> {
    let done = |ear: &mut Ear| ear.heard.contains(&b'Z').then(|| ear.heard.clone());
    let wait = poll_fn(|cx| call.poll_listener(cx, done));
    timeout(Duration::from_secs(5), wait).await.expect("soon")
}

/// Two calls that are listened to.
async fn two() -> (Connection, Server, [Call; 2]) {
    let (connection, mut server) = Server::met().await;
    let mut calls = [called(&connection, b""), called(&connection, b"")];
    let heads = [frame(1, 4, 1, OK), frame(1, 4, 3, OK)];
    server.send(&heads.concat()).await;
    for call in &mut calls {
        head(call).await.expect("a head");
        call.listen(Box::new(Ear::default()));
    }
    (connection, server, calls)
}

#[tokio::test]
async fn what_one_read_brings_is_looked_at_once_and_one_piece_alone_is_not() {
    for (pieces, looks) in [(1, 0), (2, 2), (16, 16), (17, 16), (40, 40)] {
        let (_connection, mut server, [mut one, mut other]) = two().await;
        // What the other one gets tells nobody.
        let frames: Vec<Vec<u8>> = (0..pieces)
            .map(|at| frame(0, 0, if at % 3 == 1 { 3 } else { 1 }, b"a"))
            .collect();
        server.send(&frames.concat()).await;
        let mut seen = async |call: &mut Call, stream| {
            // What was sent before is read by itself.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            server.send(&frame(0, 0, stream, b"Z")).await;
            let done = |ear: &mut Ear| ear.heard.contains(&b'Z').then(|| ear.looks.get());
            let wait = poll_fn(|cx| call.poll_listener(cx, done));
            let seen = timeout(Duration::from_secs(5), wait).await.expect("soon");
            seen.expect("a listener")
        };
        let seen = seen(&mut one, 1).await + seen(&mut other, 3).await;
        assert_eq!(seen, looks, "{pieces}");
    }
}

#[tokio::test]
async fn the_task_is_woken_when_it_is_enough_and_goes_on_by_itself() {
    let (connection, mut server) = Server::met().await;
    let mut call = called(&connection, b"");
    let first = [
        frame(1, 4, 1, OK),
        frame(0, 0, 1, b"ab"),
        frame(0, 0, 1, b"c"),
    ];
    server.send(&first.concat()).await;
    head(&mut call).await.expect("a head");
    // What came before is heard first.
    call.listen(Box::new(Ear::default()));
    let sent = tokio::spawn(async move {
        for byte in b"defghZ" {
            server.send(&frame(0, 0, 1, &[*byte])).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server
    });
    let mut waits = 0;
    let wait = poll_fn(|cx| {
        waits += 1;
        call.poll_listener(cx, |ear: &mut Ear| ear.heard.contains(&b'Z').then_some(()))
    });
    assert_eq!(wait.await, Some(()));
    assert_eq!(waits, 2, "woken once");
    let mut server = sent.await.expect("sent");
    let ear = call.unlisten::<Ear>().expect("it listened");
    assert_eq!((&ear.heard[..], ear.pieces), (&b"abcdefghZ"[..], 8));
    assert!(call.unlisten::<Ear>().is_none());
    let rest = [frame(0, 0, 1, b"rest"), frame(1, 5, 1, GRPC_OK)];
    server.send(&rest.concat()).await;
    let next = piece(&mut call).await.expect("more").expect("good");
    assert_eq!(next, "rest");
    assert!(piece(&mut call).await.is_none());
    assert!(call.take_trailers().is_some());
}

#[tokio::test]
async fn the_end_of_the_call_is_told_without_the_listener() {
    let (_connection, mut server, mut calls) = two().await;
    let ends = [frame(0, 1, 1, b"a"), frame(3, 0, 3, &[0, 0, 0, 2])];
    server.send(&ends.concat()).await;
    for (call, heard) in calls.iter_mut().zip([&b"a"[..], b""]) {
        assert_eq!(enough(call).await, None);
        assert_eq!(call.unlisten::<Ear>().expect("it listened").heard, heard);
    }
    assert!(piece(&mut calls[0]).await.is_none());
    assert!(piece(&mut calls[1]).await.expect("an end").is_err());
}

#[tokio::test]
async fn what_was_heard_may_be_sent_again() {
    let (connection, mut server) = Server::met().await;
    let mut call = called(&connection, b"");
    server.next().await;
    server.next().await;
    server.send(&frame(1, 4, 1, OK)).await;
    head(&mut call).await.expect("a head");
    call.listen(Box::new(Ear::default()));
    let (half, bytes) = (CALL_WINDOW_BYTES / 2, vec![b'a'; 16_384]);
    for _ in 0..half / 16_384 {
        server.send(&frame(0, 0, 1, &bytes)).await;
    }
    assert_eq!(server.next().await, frame(8, 0, 1, &half.to_be_bytes()));
    // Padding counts as well.
    let padded = [&[255][..], &bytes[..16_128], &[0; 255]].concat();
    for _ in 0..half / 16_384 {
        server.send(&frame(0, 8, 1, &padded)).await;
    }
    assert_eq!(server.next().await, frame(8, 0, 1, &half.to_be_bytes()));
}

#[tokio::test]
async fn a_listener_that_panics_costs_its_own_call() {
    let (connection, mut server, mut calls) = two().await;
    // What follows does not make it unsaid.
    let pieces = [
        frame(0, 0, 1, b"X"),
        frame(0, 0, 1, b"Z"),
        frame(0, 0, 3, b"Z"),
    ];
    server.send(&pieces.concat()).await;
    let [bad, good] = &mut calls;
    assert_eq!(enough(good).await.expect("heard"), b"Z");
    let panicked = AssertUnwindSafe(enough(bad)).catch_unwind().await;
    let words = panicked.expect_err("it did");
    assert!(
        words
            .downcast_ref::<&str>()
            .is_some_and(|words| words.contains("a bug"))
    );
    assert_eq!(bad.unlisten::<Ear>().expect("it is not lost").heard, b"Z");
    assert!(connection.is_open());
    drop(calls);
    drop(connection);
    server.ended().await;
}

#[tokio::test]
async fn one_that_panics_at_what_came_before_is_not_lost() {
    let (connection, mut server) = Server::met().await;
    let mut call = called(&connection, b"");
    let first = [frame(1, 4, 1, OK), frame(0, 0, 1, b"aX")];
    server.send(&first.concat()).await;
    head(&mut call).await.expect("a head");
    call.listen(Box::new(Ear::default()));
    let panicked = AssertUnwindSafe(enough(&mut call)).catch_unwind().await;
    assert!(panicked.is_err());
    assert!(call.unlisten::<Ear>().is_some());
}

#[tokio::test]
async fn whoever_does_not_listen_waits() {
    let (connection, mut server) = Server::met().await;
    let mut call = called(&connection, b"");
    server.send(&frame(1, 4, 1, OK)).await;
    head(&mut call).await.expect("a head");
    let looked = poll_fn(|cx| Poll::Ready(call.poll_listener(cx, |_: &mut Ear| Some(())))).await;
    assert_eq!(looked, Poll::Pending);
}
