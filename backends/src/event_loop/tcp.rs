//! A TCP connection of the client: on a thread with a loop the loop's own, else
//! tokio's. Knows no protocol above TCP.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use mio::{Interest, Token};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::sockets::{Readiness, Seen, Side};
use super::tasks::{Here, Remote};

/// Reads that filled their room, or writes that went out whole, in a row. Behind
/// them the task gives way: an end that is quicker than we are always has more.
const FULL_IN_A_ROW: u32 = 16;

/// A TCP connection.
#[derive(Debug)]
pub(crate) enum Tcp {
    /// Of a loop, and to be used on its thread.
    Own(Own),
    /// Of a tokio runtime.
    Runtime(TcpStream),
}

impl Tcp {
    /// Opens a connection without delay of small messages.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        // A token is a packet of its own in both directions.
        if let Some(remote) = Here::remote() {
            let stream = mio::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            return Ok(Self::Own(Own::connected(remote, stream).await?));
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::Runtime(stream))
    }

    /// Lets the connection end with a reset, which gives its port back at once.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn end_with_reset(&self) -> io::Result<()> {
        self.socket().set_linger(Some(Duration::ZERO))
    }

    pub(super) fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Own(own) => SockRef::from(&own.stream),
            Self::Runtime(stream) => SockRef::from(stream),
        }
    }
}

impl From<TcpStream> for Tcp {
    fn from(stream: TcpStream) -> Self {
        Self::Runtime(stream)
    }
}

/// A connection of a loop.
#[derive(Debug)]
pub(crate) struct Own {
    stream: mio::net::TcpStream,
    readiness: Arc<Readiness>,
    remote: Arc<Remote>,
    key: usize,
    /// Whom news of each side wake.
    woken: [Option<Waker>; 2],
    full_in_a_row: u32,
}

impl Drop for Own {
    fn drop(&mut self) {
        // The system forgets it when it is closed.
        let readiness = self.remote.sockets().remove(self.key);
        drop(readiness);
    }
}

impl Own {
    async fn connected(remote: Arc<Remote>, stream: mio::net::TcpStream) -> io::Result<Self> {
        let mut own = Self::of(remote, stream);
        let (key, both) = (Token(own.key), Interest::READABLE | Interest::WRITABLE);
        let registry = own.remote.registry();
        registry.register(&mut own.stream, key, both)?;
        std::future::poll_fn(|cx| own.poll_connected(cx)).await?;
        Ok(own)
    }

    fn of(remote: Arc<Remote>, stream: mio::net::TcpStream) -> Self {
        let (key, readiness) = remote.sockets().add();
        Self {
            stream,
            readiness,
            remote,
            key,
            woken: [None, None],
            full_in_a_row: 0,
        }
    }

    /// After mio's own words on [`mio::net::TcpStream::connect`].
    fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let seen = ready!(self.poll_ready(Side::Write, cx));
            if let Some(error) = self.stream.take_error()? {
                // It was open before it was reset: nobody there would be a refusal.
                // Whoever reads from it finds that it is closed.
                return Poll::Ready(match error.kind() {
                    io::ErrorKind::ConnectionReset => Ok(()),
                    _ => Err(error),
                });
            }
            match self.stream.peer_addr() {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    self.readiness.would_block(Side::Write, seen);
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    #[inline]
    fn poll_ready(&mut self, side: Side, cx: &mut Context<'_>) -> Poll<Seen> {
        let woken = &mut self.woken[side as usize];
        self.readiness.poll_ready(side, woken, cx)
    }

    /// Does `work`, which moves up to `most` bytes, when the socket is ready for it.
    #[inline]
    fn poll_moved(
        &mut self,
        side: Side,
        cx: &mut Context<'_>,
        most: usize,
        mut work: impl FnMut(&mio::net::TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let seen = ready!(self.poll_ready(side, cx));
            if self.full_in_a_row == FULL_IN_A_ROW {
                self.full_in_a_row = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match work(&self.stream) {
                // Less than there is room for was all: the system tells when there
                // is more, and need not be asked.
                Ok(moved) if moved < most => {
                    self.full_in_a_row = 0;
                    if moved > 0 {
                        self.readiness.took_all(side, seen);
                    }
                    return Poll::Ready(Ok(moved));
                }
                Ok(moved) => {
                    self.full_in_a_row += 1;
                    return Poll::Ready(Ok(moved));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.readiness.would_block(side, seen),
                    io::ErrorKind::Interrupted => {}
                    _ => return Poll::Ready(Err(error)),
                },
            }
        }
    }
}

impl AsyncRead for Tcp {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let own = match self.get_mut() {
            Self::Own(own) => own,
            Self::Runtime(stream) => return Pin::new(stream).poll_read(cx, room),
        };
        let free = room.initialize_unfilled();
        let most = free.len();
        let moved = own.poll_moved(Side::Read, cx, most, |mut stream| stream.read(free));
        let moved = ready!(moved)?;
        room.advance(moved);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Own(own) => own.poll_moved(Side::Write, cx, bytes.len(), |mut stream| {
                stream.write(bytes)
            }),
            Self::Runtime(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Own(own) => {
                let most = pieces.iter().map(|piece| piece.len()).sum();
                own.poll_moved(Side::Write, cx, most, |mut stream| {
                    stream.write_vectored(pieces)
                })
            }
            Self::Runtime(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // What was written is the system's.
            Self::Own(_) => Poll::Ready(Ok(())),
            Self::Runtime(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Own(own) => Poll::Ready(match own.stream.shutdown(std::net::Shutdown::Write) {
                // The other side was quicker.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                outcome => outcome,
            }),
            Self::Runtime(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
