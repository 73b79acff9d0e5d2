//! A socket whose writes are gathered until its connection has nothing more to
//! say, or as much as a write takes, then written at once. An HTTP/2 library
//! flushes behind every frame of some size; what many streams have to say at one
//! moment would be a system call each.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::arrivals::Arrivals;
use super::departures::Departures;
use super::{Desk, Handed};

/// Gathered bytes at which the socket is written to in any case.
const GATHERED_BYTES: usize = 64 << 10;

/// The socket. Clones share it: one is the library's, the other tells it to
/// write.
#[derive(Clone, Debug)]
pub(super) struct Gather(Arc<Mutex<Socket>>);

#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    gathered: BytesMut,
    desk: Desk,
    /// When each write began, by its number.
    writes_ns: Vec<u64>,
    departures: Departures<Handed>,
    arrivals: Arrivals,
}

impl Gather {
    pub(super) fn new(stream: TcpStream, desk: Desk) -> Self {
        Self(Arc::new(Mutex::new(Socket {
            stream,
            gathered: BytesMut::with_capacity(2 * GATHERED_BYTES),
            desk,
            writes_ns: Vec::new(),
            departures: Departures::default(),
            arrivals: Arrivals::default(),
        })))
    }

    /// A message of so many bytes is about to be given to the library.
    pub(super) fn expect(&self, stream: u32, bytes: usize) {
        self.with(|socket| socket.departures.expect(stream, bytes));
    }

    /// Books an answer, with the time of the write that carried the end of each
    /// message, when the last of them begins to leave. What the socket does not take
    /// at once has the time of the first try: early, never late.
    pub(super) fn end(&self, stream: u32, handed: Handed) {
        self.with(|socket| socket.departures.end(stream, handed));
    }

    /// The answer will not be given to its end, and what has left of it is not
    /// booked.
    pub(super) fn forget(&self, stream: u32) {
        self.with(|socket| socket.departures.forget(stream));
    }

    /// When the message of this stream had been read from the socket, if it was.
    /// Tells it once.
    pub(super) fn arrived_ns(&self, stream: u32) -> Option<u64> {
        self.with(|socket| socket.arrivals.take(stream))
    }

    /// Writes what has been gathered.
    pub(super) fn poll_write_out(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|socket| socket.write_out(context))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Socket) -> T) -> T {
        // The servers have one thread: nobody ever waits here, and what an answer
        // says of its messages is said before the connection has them leave.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Socket {
    fn write_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.gathered.is_empty() {
            self.book();
        }
        while !self.gathered.is_empty() {
            let stream = Pin::new(&mut self.stream);
            let written = ready!(stream.poll_write(context, &self.gathered))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gathered.advance(written);
        }
        self.gathered.clear();
        Poll::Ready(Ok(()))
    }

    /// Notes that a write begins. Booked before it: whoever has the answer may
    /// look it up.
    fn book(&mut self) {
        self.writes_ns.push(self.desk.clock.now_ns());
        for (handed, writes) in self.departures.take_complete() {
            let at_ns = writes.into_iter().map(|write| self.time_of(write));
            let at_ns = at_ns.collect();
            self.desk.book.enter(Handed { at_ns, ..handed });
        }
    }

    fn time_of(&self, write: u64) -> u64 {
        let write = usize::try_from(write).unwrap_or(usize::MAX);
        self.writes_ns.get(write).copied().unwrap_or_default()
    }

    /// Makes room for more.
    fn room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.len() < GATHERED_BYTES {
            return Poll::Ready(Ok(()));
        }
        self.write_out(context)
    }
}

impl AsyncRead for Gather {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        self.with(|socket| {
            ready!(Pin::new(&mut socket.stream).poll_read(context, buffer))?;
            let read_ns = socket.desk.clock.now_ns();
            socket.arrivals.read(&buffer.filled()[before..], read_ns);
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for Gather {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|socket| {
            ready!(socket.room(context))?;
            let next = u64::try_from(socket.writes_ns.len()).unwrap_or(u64::MAX);
            for slice in slices {
                socket.departures.leave(slice, next);
                socket.gathered.extend_from_slice(slice);
            }
            Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Flushes nothing: whoever drives the connection says when.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|socket| {
            ready!(socket.write_out(context))?;
            Pin::new(&mut socket.stream).poll_shutdown(context)
        })
    }
}
