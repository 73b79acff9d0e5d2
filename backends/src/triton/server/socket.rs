//! Accepted connections that end with the server. tonic lets them live on in
//! tasks of their own; a simulated server that dies has to be dead.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::spend::spend;

/// The server's life: its sockets break when it is dropped.
#[derive(Debug)]
pub(super) struct Life(Arc<Semaphore>);

impl Default for Life {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Life {
    /// A socket that lives no longer than the server, and over which the server
    /// says its first word after `connect`.
    pub(super) fn socket(&self, stream: TcpStream, connect: Duration) -> Socket {
        let life = Arc::clone(&self.0);
        Socket {
            stream,
            opening: (!connect.is_zero()).then(|| Box::pin(spend(connect)) as Waited),
            // There are no permits: this ends when the semaphore is closed.
            death: Box::pin(async move { drop(life.acquire_owned().await) }),
        }
    }
}

/// A TCP connection that breaks when its server is dropped.
pub(super) struct Socket {
    stream: TcpStream,
    /// Until it is over, nothing is read or written.
    opening: Option<Waited>,
    death: Waited,
}

type Waited = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Socket {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(opening) = &mut self.opening {
            ready!(opening.as_mut().poll(cx));
            self.opening = None;
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // An HTTP/2 connection always waits for its peer, so death is seen here.
        if self.death.as_mut().poll(cx).is_ready() {
            // A finished future must not be polled again.
            self.death = Box::pin(std::future::ready(()));
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        ready!(self.poll_open(cx));
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx));
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx));
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Socket {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}
