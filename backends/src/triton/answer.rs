//! The answer to one streamed request: frames, and where they end. Counts no
//! tokens.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use super::client::Doubt;
use super::ear::{Listening, Taker};
use super::frames::Frames;
use super::grpc::Messages;
use super::reply::Reply;
use crate::{Error, Sink, Timers, event_loop};

/// How long a stream may stay open after its last frame. Triton closes it at
/// once, as the request side is closed already.
const CLOSING: Duration = Duration::from_millis(50);

/// Frames of one request. Dropping it cancels the request.
#[derive(Debug)]
pub(super) struct Answer {
    messages: Messages,
    /// `None` while somebody listens.
    frames: Option<Frames>,
    timers: Timers,
    doubt: Doubt,
}

impl Answer {
    pub(super) fn new(messages: Messages, frames: Frames, timers: Timers, doubt: Doubt) -> Self {
        Self {
            messages,
            frames: Some(frames),
            timers,
            doubt,
        }
    }

    /// Waits for the next frame; `None` after the last. May be cancelled without
    /// losing a frame.
    ///
    /// # Errors
    /// An error frame; [`ErrorKind::Cut`](crate::ErrorKind::Cut) when the stream
    /// breaks or ends before the last.
    pub(super) async fn next(&mut self) -> Result<Option<Reply>, Error> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Reply>, Error>> {
        let Some(frames) = &mut self.frames else {
            return Poll::Ready(Ok(None));
        };
        while !frames.is_over() {
            let read = match ready!(self.messages.poll_next(cx)) {
                Ok(Some(message)) => frames.read(message),
                Ok(None) => Err(frames.broken_off(None)),
                Err(status) => Err(frames.broken_off(Some(&status))),
            };
            if frames.is_over() {
                // One that is dropped before its end was given up; this was not.
                self.doubt.clear();
            }
            if !matches!(read, Ok(None)) {
                return Poll::Ready(read);
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Has all frames taken where they are read, with `sink` for the taker's sink
    /// meanwhile; the taker again, and how it ended. An answer whose listening was
    /// cancelled is of no further use.
    pub(super) async fn listen<T: Taker>(
        &mut self,
        sink: &mut Sink,
        taker: T,
    ) -> (Option<T>, Result<(), Error>) {
        let Some(frames) = self.frames.take() else {
            return (None, Ok(()));
        };
        let mut listening = Listening::new(&mut self.messages, frames, sink, taker);
        let end = poll_fn(|cx| listening.poll_end(cx)).await;
        let stopped = listening.stop();
        drop(listening);
        let (taker, frames) = stopped.unzip();
        self.frames = frames;
        let end = match end {
            Some(end) => end,
            // The call's own end says why there are no more.
            None => self.next().await.map(drop),
        };
        // Whatever the server said, it spoke: its line is alive.
        self.doubt.clear();
        (taker, end)
    }

    /// Whether nothing follows the frame that has come.
    pub(super) fn is_over(&self) -> bool {
        self.frames.as_ref().is_none_or(Frames::is_over)
    }

    /// Lets the server close the stream, so that it is not reset behind a
    /// finished answer: beside the caller, who need not wait, and no longer than
    /// a moment for a server that keeps it open.
    pub(super) fn close(mut self) {
        // Mostly the end came with the last frame: then there is nobody to wait for.
        let now = &mut Context::from_waker(Waker::noop());
        loop {
            match self.messages.poll_next(now) {
                // The answer is whole: whatever follows, even an error, is not part of it.
                Poll::Ready(Ok(Some(_))) => {}
                Poll::Ready(_) => return,
                Poll::Pending => break,
            }
        }
        event_loop::spawn(async move {
            let timers = self.timers.clone();
            let rest = async { while let Ok(Some(_)) = self.messages.next().await {} };
            let _ = timers.timeout(CLOSING, rest).await;
        });
    }
}
