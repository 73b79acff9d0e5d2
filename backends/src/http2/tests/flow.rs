//! Windows, limits, and memory.

use bytes::Bytes;

use super::super::call::CALL_WINDOW_BYTES;
use super::super::frame::Head;
use super::super::gulp::{GULP_BYTES, Gulp};
use super::super::state::WINDOW_BYTES;
use super::{Call, OK, Server, block, body, called, frame, head};

/// A frame's head and what it carries.
fn apart(frame: &[u8]) -> (Head, &[u8]) {
    let (head, payload) = frame.split_first_chunk().expect("a head");
    (Head::read(*head), payload)
}

#[tokio::test]
async fn no_more_is_sent_than_the_server_takes() {
    let (connection, mut server) = Server::met().await;
    // 5 bytes of each call, frames of 16 KiB and more are welcome.
    server
        .send(&frame(4, 0, 0, b"\0\x04\0\0\0\x05\0\x05\0\0\x80\0"))
        .await;
    assert_eq!(server.next().await, frame(4, 1, 0, b""));
    let _call = called(&connection, b"0123456789");
    server.next().await;
    assert_eq!(server.next().await, frame(0, 0, 1, b"01234"));
    assert!(server.hears_nothing().await);
    server.send(&frame(8, 0, 1, &[0, 0, 0, 2])).await;
    assert_eq!(server.next().await, frame(0, 0, 1, b"56"));
    // A new first window counts for those that are at work, too.
    server.send(&frame(4, 0, 0, b"\0\x04\0\0\0\x04")).await;
    assert_eq!(server.next().await, frame(4, 1, 0, b""));
    server.send(&frame(8, 0, 1, &[0, 0, 0, 2])).await;
    assert_eq!(server.next().await, frame(0, 0, 1, b"7"));
    server.send(&frame(4, 0, 0, b"\0\x04\0\0\xff\xff")).await;
    assert_eq!(server.next().await, frame(4, 1, 0, b""));
    assert_eq!(server.next().await, frame(0, 1, 1, b"89"));
}

#[tokio::test]
async fn the_window_of_all_calls_counts_as_well() {
    let (connection, mut server) = Server::met().await;
    server
        .send(&frame(4, 0, 0, b"\0\x04\x7f\xff\xff\xff"))
        .await;
    server.next().await;
    let long = vec![7; 70_000];
    let _calls = [called(&connection, &long), called(&connection, b"behind")];
    let mut came = Vec::new();
    server.next().await;
    while came.len() < 65_535 {
        let next = server.next().await;
        let (head, payload) = apart(&next);
        assert_eq!((head.kind, head.flags, head.stream), (0, 0, 1));
        assert!(payload.len() <= 16_384);
        came.extend_from_slice(payload);
    }
    assert_eq!(came.len(), 65_535);
    assert_eq!(
        apart(&server.next().await).0.stream,
        3,
        "headers of the other"
    );
    assert!(server.hears_nothing().await);
    server.send(&frame(8, 0, 0, &[0, 1, 0, 0])).await;
    let next = server.next().await;
    assert_eq!(next, frame(0, 1, 1, &long[65_535..]));
    assert_eq!(server.next().await, frame(0, 1, 3, b"behind"));
}

#[tokio::test]
async fn no_more_calls_are_begun_than_the_server_takes() {
    let (connection, mut server) = Server::met().await;
    server.send(&frame(4, 0, 0, b"\0\x03\0\0\0\x01")).await;
    server.next().await;
    let mut calls: Vec<Call> = (0..3).map(|_| called(&connection, b"")).collect();
    server.next().await;
    server.next().await;
    assert!(server.hears_nothing().await);
    server.send(&frame(1, 5, 1, OK)).await;
    head(&mut calls[0]).await.expect("a head");
    assert_eq!(apart(&server.next().await).0.stream, 3);
    server.next().await;
    // One that nobody wants before it began takes no place and is not mentioned.
    drop(calls.pop());
    drop(calls.pop());
    assert_eq!(server.next().await, frame(3, 0, 3, &[0, 0, 0, 8]));
    assert!(server.hears_nothing().await);
    let _next = called(&connection, b"");
    assert_eq!(apart(&server.next().await).0.stream, 5);
}

#[tokio::test]
async fn the_server_is_told_what_was_taken() {
    let (connection, mut server) = Server::met().await;
    let mut call = called(&connection, b"");
    server.next().await;
    server.next().await;
    server.send(&frame(1, 4, 1, OK)).await;
    head(&mut call).await.expect("a head");
    let mut left = WINDOW_BYTES / 4;
    let half = CALL_WINDOW_BYTES / 2;
    let kilobytes = vec![1; 16 << 10];
    while left > 0 {
        for _ in 0..half >> 14 {
            server.send(&frame(0, 0, 1, &kilobytes)).await;
            let mut bytes = 0;
            while bytes < kilobytes.len() {
                bytes += super::piece(&mut call)
                    .await
                    .expect("more")
                    .expect("good")
                    .len();
            }
        }
        left -= half;
        assert_eq!(server.next().await, frame(8, 0, 1, &half.to_be_bytes()));
    }
    let quarter = WINDOW_BYTES / 4;
    assert_eq!(server.next().await, frame(8, 0, 0, &quarter.to_be_bytes()));
    assert!(server.hears_nothing().await);
}

#[tokio::test]
async fn what_nobody_took_is_given_back_with_its_call() {
    let (connection, mut server) = Server::met().await;
    let mut told = 0;
    for turn in 0..42 {
        let mut call = called(&connection, b"");
        let number = 2 * turn + 1;
        server.send(&frame(1, 4, number, OK)).await;
        for _ in 0..100 {
            server.send(&frame(0, 0, number, &[0; 16 << 10])).await;
        }
        server.send(&frame(6, 0, 0, b"12345678")).await;
        head(&mut call).await.expect("a head");
        loop {
            let next = server.next().await;
            let (head, payload) = apart(&next);
            match head.kind {
                6 => break,
                8 => {
                    assert_eq!(head.stream, 0);
                    told += u32::from_be_bytes(payload.try_into().expect("a number"));
                }
                _ => {}
            }
        }
    }
    assert_eq!(told, WINDOW_BYTES / 4, "of 42 x 1,638,400 bytes");
}

#[tokio::test]
async fn a_server_that_does_not_listen_is_not_listened_to() {
    let (_connection, mut server) = Server::met().await;
    // Its answers fill the pipe of 1 MiB, and our own bound; then nothing is read.
    let ping = frame(6, 0, 0, b"12345678");
    let flood = ping.repeat(200_000);
    let sent = tokio::time::timeout(std::time::Duration::from_millis(500), server.send(&flood));
    assert!(sent.await.is_err(), "3.4 MB of questions were read");
}

#[tokio::test]
async fn answers_are_whole_however_they_are_cut() {
    let (connection, mut server) = Server::met().await;
    for (turn, step) in [1, 2, 7, 8, 9, 10, 1000, 8192, 70_000]
        .into_iter()
        .enumerate()
    {
        let mut call = called(&connection, b"");
        let number = 2 * u32::try_from(turn).expect("few") + 1;
        let long: Vec<u8> = (0..40_000_u32).map(|at| at.to_le_bytes()[0]).collect();
        let mut bytes = frame(1, 4, number, OK);
        for part in long.chunks(if step == 1 { 100 } else { 16_384 }) {
            bytes.extend(frame(0, 0, number, part));
        }
        bytes.extend(frame(0, 1, number, b""));
        let sending = async {
            for cut in bytes.chunks(step) {
                server.send(cut).await;
                if step < 1000 {
                    tokio::task::yield_now().await;
                }
            }
        };
        let reading = async {
            head(&mut call).await.expect("a head");
            body(&mut call).await
        };
        let ((), (all, error)) = tokio::join!(sending, reading);
        assert!(error.is_none(), "{error:?}");
        assert!(all == long, "in pieces of {step}");
    }
    drop(connection.call(block(), Bytes::new()).expect("open"));
}

/// Reads `bytes` as one read of the socket.
fn read(gulp: &mut Gulp, bytes: &[u8]) -> Bytes {
    gulp.room()[..bytes.len()].copy_from_slice(bytes);
    gulp.filled(bytes.len());
    let piece = gulp.share(0, bytes.len());
    gulp.skip(bytes.len());
    piece
}

#[test]
fn memory_that_nobody_looks_at_is_read_into_again() {
    let mut gulp = Gulp::new();
    let first = read(&mut gulp, b"first").as_ptr();
    for _ in 0..10 {
        assert_eq!(read(&mut gulp, b"again").as_ptr(), first);
    }
    // One piece is mostly looked at while the next is read: two places in turn.
    let mut held = read(&mut gulp, b"held");
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..10 {
        held = read(&mut gulp, b"next");
        places.insert(held.as_ptr());
    }
    assert_eq!((places.len(), &held[..]), (2, &b"next"[..]));
}

#[test]
fn what_is_kept_is_not_changed_and_keeps_little() {
    let mut gulp = Gulp::new();
    let mut kept = Vec::new();
    for number in 0..100_u8 {
        kept.push(read(&mut gulp, &[number; 3]));
    }
    for (number, piece) in (0..).zip(&kept) {
        assert_eq!(piece[..], [number; 3]);
    }
    // The first few lie where they were read; all others were copied, and share
    // no memory with anybody.
    let shared = kept.iter().filter(|piece| !piece.is_unique()).count();
    assert!(shared <= 4, "{shared} of 100");
    // Let go of, memory is shared again.
    kept.clear();
    read(&mut gulp, b"one more");
    let piece = read(&mut gulp, b"not copied");
    assert!(!piece.is_unique());
}

#[test]
fn a_gulp_grows_once_and_keeps_what_was_not_taken() {
    let mut gulp = Gulp::new();
    let sip = gulp.room().len();
    let long: Vec<u8> = (0..sip).map(|at| at.to_le_bytes()[0]).collect();
    gulp.room().copy_from_slice(&long);
    gulp.filled(sip);
    assert!(gulp.is_full());
    gulp.skip(10);
    assert_eq!(gulp.room().len(), GULP_BYTES - (sip - 10));
    gulp.room()[0] = 99;
    gulp.filled(1);
    assert_eq!(gulp.rest(), [&long[10..], &[99]].concat());
    assert!(!gulp.is_full());
}

#[tokio::test]
async fn a_server_that_writes_before_it_reads_is_read_from() {
    let (connection, mut server) = Server::met().await;
    server
        .send(&frame(4, 0, 0, b"\0\x04\x7f\xff\xff\xff"))
        .await;
    server.next().await;
    server.send(&frame(8, 0, 0, &[0x70, 0, 0, 0])).await;
    // More than the pipe of 1 MiB holds, so most of it waits in the client.
    let _question = called(&connection, &vec![7; 4 << 20]);
    let mut call = called(&connection, b"");
    let mut answer = frame(1, 4, 3, OK);
    answer.extend(frame(0, 0, 3, &[1; 16_000]).repeat(120));
    answer.extend(frame(0, 1, 3, b""));
    server.send(&answer).await;
    head(&mut call).await.expect("a head");
    assert_eq!(body(&mut call).await.0.len(), 120 * 16_000);
}
