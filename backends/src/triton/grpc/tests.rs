//! Messages cut from pieces of any size, and the ends of a call.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use hyper::body::Frame;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};
use tonic::codegen::http::{HeaderMap, HeaderValue, StatusCode};
use tonic::{Code, Status};

use super::{Messages, Pieces, framed};

/// An answer by script.
struct Script(VecDeque<Result<Frame<Bytes>, Status>>);

impl Pieces for Script {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        match self.0.front() {
            Some(Ok(frame)) if frame.is_trailers() => return Poll::Ready(None),
            _ => {}
        }
        let frame = self.0.pop_front();
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.into_data().expect("data"))))
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.0.pop_front()?.ok()?.into_trailers().ok()
    }
}

fn data(bytes: &[u8]) -> Result<Frame<Bytes>, Status> {
    Ok(Frame::data(Bytes::copy_from_slice(bytes)))
}

fn trailers(status: &'static str) -> Result<Frame<Bytes>, Status> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    Ok(Frame::trailers(trailers))
}

fn messages(http: StatusCode, frames: Vec<Result<Frame<Bytes>, Status>>) -> Messages<Script> {
    Messages::of(Script(frames.into()), http, false)
}

/// Every message, and how the call ended.
fn played(mut messages: Messages<Script>) -> (Vec<Bytes>, Result<(), Status>) {
    let mut all = Vec::new();
    loop {
        match messages.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(Some(message))) => all.push(message),
            Poll::Ready(Ok(None)) => return (all, Ok(())),
            Poll::Ready(Err(status)) => {
                let after = messages.poll_next(&mut Context::from_waker(Waker::noop()));
                assert!(matches!(after, Poll::Ready(Ok(None))), "nothing follows");
                return (all, Err(status));
            }
            Poll::Pending => panic!("a script never waits"),
        }
    }
}

fn prefixed(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        bytes.push(0);
        bytes.extend(u32::try_from(message.len()).expect("small").to_be_bytes());
        bytes.extend(message);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn pieces_of_any_size_make_the_same_messages(
        sent in vec(vec(any::<u8>(), 0..300), 0..6), cuts in vec(0_usize..2000, 0..8),
    ) {
        let bytes = prefixed(&sent);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut frames: Vec<_> = cuts.windows(2).map(|pair| data(&bytes[pair[0]..pair[1]])).collect();
        frames.push(trailers("0"));
        let (came, end) = played(messages(StatusCode::OK, frames));
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(came, sent);
    }

    #[test]
    fn noise_is_no_panic(pieces in vec(vec(any::<u8>(), 0..40), 0..8)) {
        let frames = pieces.iter().map(|piece| data(piece)).collect();
        let _ = played(messages(StatusCode::OK, frames));
    }
}

#[test]
fn ends_are_told_apart() {
    let good = || data(&prefixed(&[b"a".to_vec()]));
    for (http, frames, code, words) in [
        (200, vec![good(), trailers("5")], Code::NotFound, ""),
        (200, vec![good()], Code::Unknown, "missing grpc-status"),
        (
            200,
            vec![data(&[0, 0, 0])],
            Code::Internal,
            "Unexpected EOF",
        ),
        (
            200,
            vec![data(&[0, 0, 0, 0, 9, 1])],
            Code::Internal,
            "Unexpected EOF",
        ),
        (503, vec![], Code::Unavailable, "HTTP status code 503"),
        (401, vec![], Code::Unauthenticated, "HTTP status code 401"),
        (302, vec![], Code::Unknown, "HTTP status code 302"),
        (
            200,
            vec![data(&[1, 0, 0, 0, 0])],
            Code::Internal,
            "no grpc-encoding",
        ),
        (502, vec![data(b"<html>")], Code::Internal, "flag: 60"),
        (
            200,
            vec![data(&[0, 255, 255, 255, 255])],
            Code::OutOfRange,
            "found 4294967295 bytes",
        ),
        (
            200,
            vec![good(), Err(Status::aborted("reset"))],
            Code::Aborted,
            "reset",
        ),
    ] {
        let http = StatusCode::from_u16(http).expect("known");
        let (_, end) = played(messages(http, frames));
        let status = end.expect_err(words);
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(words), "{status}");
    }
}

#[test]
fn a_status_among_the_headers_needs_no_trailers() {
    let mut messages = messages(StatusCode::OK, Vec::new());
    messages.has_status = true;
    assert!(played(messages).1.is_ok());
}

#[test]
fn a_length_alone_takes_no_memory() {
    let frames = vec![data(&[0, 15, 255, 255, 255])];
    let mut messages = messages(StatusCode::OK, frames);
    let _ = messages.poll_next(&mut Context::from_waker(Waker::noop()));
    let bytes = messages.unframer.set_aside_bytes();
    assert!((1..=2 << 20).contains(&bytes), "{bytes}");
}

#[test]
fn a_message_goes_out_behind_its_length() {
    let message = framed(BytesMut::from(&b".....abc"[..])).expect("short");
    assert_eq!(message, &b"\0\0\0\0\x03abc"[..]);
    assert_eq!(framed(BytesMut::zeroed(5)).expect("short"), &[0; 5][..]);
    assert!(framed(BytesMut::zeroed(4)).is_err());
}
