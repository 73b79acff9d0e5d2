//! HTTP/2 as a client of one server needs it (RFC 9113): calls with one message
//! out and an answer in pieces, many at once over a connection. Knows no gRPC.
//!
//! The crate h2 is made for everything that HTTP/2 may be used for, and took a third
//! and more of a token's instructions (`docs/performance.md`). Here a piece lies
//! where the socket put it, and whoever listens takes it there, or whoever waits for
//! it is woken: nothing else is done for it.
//!
//! What is left out: pushes, priorities, tables of headers, messages that are
//! sent as they come.

mod call;
mod driver;
mod error;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gulp;
mod headers;
mod receive;
mod send;
mod state;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tonic::codegen::http::{HeaderMap, StatusCode};

use self::state::State;

pub(crate) use self::call::Listener;
pub(crate) use self::driver::Driver;
pub(crate) use self::error::{Error, Reason};
pub(crate) use self::headers::request_block;

/// What a connection's driver, its handles and its calls share.
struct Shared(Mutex<State>);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that calls can be made over. It is closed when the last clone is
/// gone and no call is open.
pub(crate) struct Connection(Arc<Shared>);

impl Connection {
    /// Says hello on a connection that is open. Does not wait for the server.
    /// What comes with it has to be run for anything to happen.
    ///
    /// # Errors
    /// When the hello cannot be written.
    pub(crate) async fn over<S>(mut stream: S) -> io::Result<(Self, Driver<S>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut state = State::new();
        let hello = std::mem::take(&mut state.out);
        stream.write_all(&hello).await?;
        stream.flush().await?;
        let shared = Arc::new(Shared(Mutex::new(state)));
        Ok((Self(Arc::clone(&shared)), Driver::new(stream, shared)))
    }

    /// Waits for the server's first word.
    ///
    /// # Errors
    /// When the connection ends before.
    pub(crate) async fn greeted(&self) -> Result<(), Error> {
        poll_fn(|cx| {
            let mut state = self.0.state();
            if state.greeted {
                return Poll::Ready(Ok(()));
            }
            if let Some(error) = &state.failed {
                return Poll::Ready(Err(error.clone()));
            }
            state.greeter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Whether a call could start: the connection neither broke nor was the
    /// server's goodbye seen.
    pub(crate) fn is_open(&self) -> bool {
        self.0.state().is_open()
    }

    /// Makes a call: a [`request_block`] of headers, and a message behind it. It
    /// waits for its turn where the server takes no more at once.
    ///
    /// # Errors
    /// When the connection is over.
    pub(crate) fn call(&self, block: Vec<u8>, message: Bytes) -> Result<Call, Error> {
        let key = self.0.state().begin(block, message)?;
        Ok(Call {
            shared: Arc::clone(&self.0),
            key,
        })
    }
}

impl Clone for Connection {
    fn clone(&self) -> Self {
        self.0.state().handles += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.handles -= 1;
        if state.is_done() {
            state.wake_driver();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A call. Dropping it cancels it.
pub(crate) struct Call {
    shared: Arc<Shared>,
    key: usize,
}

impl Call {
    /// The answer's begin, once.
    ///
    /// # Errors
    /// When the call ended before.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(StatusCode, HeaderMap), Error>> {
        let mut state = self.shared.state();
        let call = &mut state.calls[self.key];
        if let Some(head) = call.rest.head.take() {
            let status = head.status.unwrap_or_default();
            return Poll::Ready(Ok((status, head.map)));
        }
        match call.over() {
            Some(Err(error)) => Poll::Ready(Err(error.clone())),
            // Asked for twice.
            Some(Ok(())) => Poll::Ready(Err(Error::Undriven)),
            None => {
                call.wait(cx);
                Poll::Pending
            }
        }
    }

    /// The next piece of the answer's body; `None` behind the last.
    ///
    /// # Errors
    /// When the call ended before its end.
    #[inline]
    pub(crate) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        let mut state = self.shared.state();
        if let Some(piece) = state.take_piece(self.key) {
            return Poll::Ready(Some(Ok(piece)));
        }
        let call = &mut state.calls[self.key];
        if !call.is_over {
            call.wait(cx);
            return Poll::Pending;
        }
        match call.over() {
            Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
            _ => Poll::Ready(None),
        }
    }

    /// From now on pieces go to `listener`, first those that have come.
    pub(crate) fn listen(&mut self, listener: Box<dyn Listener>) {
        let mut state = self.shared.state();
        let mut come = Vec::new();
        while let Some(piece) = state.take_piece(self.key) {
            come.push(piece);
        }
        let call = &mut state.calls[self.key];
        call.listen(listener);
        for piece in come {
            call.push(piece);
        }
    }

    /// Waits until `done` finds in the listener what it looks for, or the call is
    /// over. It looks whenever the listener has its task woken.
    ///
    /// # Panics
    /// When the listener did.
    pub(crate) fn poll_listener<L: Listener, T>(
        &mut self,
        cx: &mut Context<'_>,
        done: impl FnOnce(&mut L) -> Option<T>,
    ) -> Poll<Option<T>> {
        let mut state = self.shared.state();
        let call = &mut state.calls[self.key];
        let (listener, panic) = call.listener();
        if let Some(panic) = panic {
            drop(state);
            resume_unwind(panic);
        }
        let listener: Option<&mut dyn Any> = listener.map(|listener| listener as _);
        let listener = listener.and_then(|listener| listener.downcast_mut());
        if let Some(done) = listener.and_then(done) {
            return Poll::Ready(Some(done));
        }
        if call.is_over {
            return Poll::Ready(None);
        }
        call.wait(cx);
        Poll::Pending
    }

    /// From now on pieces are kept again; who listened, if it was one of that kind.
    pub(crate) fn unlisten<L: Listener>(&mut self) -> Option<Box<L>> {
        let listener: Box<dyn Any> = self.shared.state().calls[self.key].unlisten()?;
        listener.downcast().ok()
    }

    /// What came behind the body, once.
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.shared.state().calls[self.key].rest.trailers.take()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let ended = self.shared.state().end(self.key);
        // Behind the lock: a listener may have anything to do at its end.
        drop(ended);
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
