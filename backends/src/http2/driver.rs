//! The task of a connection: writes what is to be sent, reads what comes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Shared;
use super::error::{Error, Reason, Violation};
use super::frame;
use super::gulp::Gulp;
use super::receive::Receiver;

/// Drives a connection to its end, which is told to its calls.
pub(crate) struct Driver<S> {
    stream: S,
    shared: Arc<Shared>,
    gulp: Gulp,
    receiver: Receiver,
    /// Frames on their way out, and how much of them has left.
    writing: Vec<u8>,
    written: usize,
    /// Something was written that the stream may hold back.
    unflushed: bool,
    /// Nothing is to be read any more.
    leaving: bool,
}

impl<S> Driver<S> {
    pub(super) fn new(stream: S, shared: Arc<Shared>) -> Self {
        Self {
            stream,
            shared,
            gulp: Gulp::new(),
            receiver: Receiver::new(),
            writing: Vec::new(),
            written: 0,
            unflushed: false,
            leaving: false,
        }
    }
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        // Only one that is dropped before its end leaves somebody waiting.
        self.shared.state().fail(Error::Undriven);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Driver<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let how = loop {
            if let Some(turn) = this.turn(cx) {
                break turn;
            }
        };
        match ready!(how) {
            Ok(()) => Poll::Ready(()),
            Err(error) => {
                this.shared.state().fail(error);
                Poll::Ready(())
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Writes and reads once; `None`: there may be more at once.
    #[inline]
    fn turn(&mut self, cx: &mut Context<'_>) -> Option<Poll<Result<(), Error>>> {
        if self.has_to_write(cx) || self.leaving {
            match self.poll_write_out(cx) {
                Poll::Ready(Ok(())) if self.leaving => {
                    return Some(self.poll_leave(cx));
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    return Some(Poll::Ready(Err(self.unwritten(cx, error))));
                }
                Poll::Pending if self.leaving || self.is_clogged() => return Some(Poll::Pending),
                Poll::Pending => {}
            }
        }
        match self.poll_read(cx) {
            Poll::Pending => Some(Poll::Pending),
            Poll::Ready(Ok(0)) => Some(Poll::Ready(Err(closed().into()))),
            Poll::Ready(Ok(_)) => self.take(cx),
            Poll::Ready(Err(error)) => Some(Poll::Ready(Err(error.into()))),
        }
    }

    /// Whether frames wait to be written; says goodbye when nobody is left.
    #[inline]
    fn has_to_write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut state = self.shared.state();
        if !matches!(&state.driver, Some(driver) if driver.will_wake(cx.waker())) {
            state.driver = Some(cx.waker().clone());
        }
        if state.is_done() && !self.leaving {
            self.leaving = true;
            frame::goaway(&mut state.out, Reason::NO_ERROR);
        }
        if self.writing.is_empty() {
            state.take_out(&mut self.writing);
        }
        !self.writing.is_empty() || self.unflushed
    }

    #[inline(never)]
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.written < self.writing.len() {
                let left = &self.writing[self.written..];
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, left))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written += written;
                self.unflushed = true;
            }
            self.written = 0;
            self.shared.state().take_out(&mut self.writing);
            if self.writing.is_empty() {
                break;
            }
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn is_clogged(&self) -> bool {
        self.shared.state().is_clogged()
    }

    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(self.gulp.room());
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        let came = room.filled().len();
        if came > 0 {
            self.gulp.filled(came);
        }
        Poll::Ready(Ok(came))
    }

    /// Takes what was read apart.
    #[inline]
    fn take(&mut self, cx: &mut Context<'_>) -> Option<Poll<Result<(), Error>>> {
        let full = self.gulp.is_full();
        let taken = {
            let mut state = self.shared.state();
            self.receiver.take(&mut self.gulp, &mut state)
        };
        if let Err(violation) = taken {
            return Some(Poll::Ready(Err(self.refuse(cx, violation))));
        }
        if full {
            // Whoever waits for what came gets a turn before more is read, so that
            // it is not stamped later the more comes behind it.
            cx.waker().wake_by_ref();
            return Some(Poll::Pending);
        }
        None
    }

    /// Tells the server what it did wrong, if it takes that at once.
    #[cold]
    fn refuse(&mut self, cx: &mut Context<'_>, violation: Violation) -> Error {
        frame::goaway(&mut self.shared.state().out, violation.reason);
        let _ = self.poll_write_out(cx);
        Error::Violated(violation)
    }

    /// Nothing can be written any more: what the server said before it hung up
    /// says more than that.
    #[cold]
    fn unwritten(&mut self, cx: &mut Context<'_>, error: io::Error) -> Error {
        loop {
            match self.poll_read(cx) {
                Poll::Ready(Ok(1..)) => match self.take(cx) {
                    None => {}
                    Some(Poll::Ready(Err(error))) => return error,
                    Some(_) => return error.into(),
                },
                Poll::Ready(Err(read)) => return read.into(),
                _ => return error.into(),
            }
        }
    }

    #[cold]
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Whether the other side hears it is no matter.
        let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        Poll::Ready(Ok(()))
    }
}

#[cold]
fn closed() -> io::Error {
    let words = "the server closed it";
    io::Error::new(io::ErrorKind::UnexpectedEof, words)
}
