//! The connections below HTTP/2: those that are opened for one call and
//! leave nothing behind, and those that last. Of what comes it knows only how to
//! tell HTTP/2 from what is none.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::lookup_host;

use crate::event_loop::Tcp;
use crate::tls;

/// HTTP/2 as TLS calls it (RFC 7301).
pub(super) const HTTP2: &[u8] = b"h2";

/// Opens connections to one server, without delay of small messages.
#[derive(Debug)]
pub(super) struct Dial {
    /// `HOST:PORT`.
    pub(super) authority: String,
    /// With https.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// What a connection is made of.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Dial {
    /// A connection for one call, which ends with a reset.
    ///
    /// A connection that is closed in the usual way keeps its local port for a
    /// minute or more (`TIME_WAIT`), and a client that opens one for every call runs
    /// out of them. `SO_LINGER` of 0 gives the port back at once; what it costs, bytes
    /// that have not left yet, is nothing here: a connection is closed when its
    /// answer is in hand, or nobody wants it any more.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(super) async fn brief(&self) -> io::Result<Known<Box<dyn Stream>>> {
        let socket = self.socket().await?;
        socket.end_with_reset()?;
        Ok(Known {
            says_goodbye: false,
            ..Known::of(self.secured(socket).await?)
        })
    }

    /// A connection for many calls.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(super) async fn lasting(&self) -> io::Result<Known<Box<dyn Stream>>> {
        let socket = self.socket().await?;
        Ok(Known::of(self.secured(socket).await?))
    }

    /// Tries one address after the other.
    async fn socket(&self) -> io::Result<Tcp> {
        let words = "the host name has no address";
        let mut why = io::Error::new(io::ErrorKind::NotFound, words);
        for address in lookup_host(&self.authority).await? {
            match Tcp::connect(address).await {
                Ok(socket) => return Ok(socket),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    async fn secured(&self, socket: Tcp) -> io::Result<Box<dyn Stream>> {
        let Some(config) = &self.tls else {
            return Ok(Box::new(socket));
        };
        let host = self.authority.rsplit_once(':').map_or("", |(host, _)| host);
        let stream = tls::secured(config, host, socket).await?;
        if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
            return Ok(Box::new(stream));
        }
        let words = "the server speaks TLS and not HTTP/2, so this is no gRPC port";
        Err(io::Error::new(io::ErrorKind::InvalidData, words))
    }
}

/// A connection whose first bytes are looked at: what is no HTTP/2 is told in words
/// that help.
#[derive(Debug)]
pub(super) struct Known<S> {
    stream: S,
    /// Something has come.
    heard: bool,
    /// Before a reset nothing is said: a peer that answers it before the socket is
    /// closed would leave the port in `TIME_WAIT` all the same.
    says_goodbye: bool,
}

impl<S> Known<S> {
    /// The connection over that stream.
    pub(super) fn of(stream: S) -> Self {
        Self {
            stream,
            heard: false,
            says_goodbye: true,
        }
    }
}

/// Whether a server's first bytes may be HTTP/2.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`], with what they are instead: the record of TLS
/// that carries an alert or a handshake (RFC 8446, 5.1), or HTTP/1.
fn stranger(word: &[u8]) -> io::Result<()> {
    let words = match word {
        [0x15 | 0x16, 3, ..] => {
            "the server speaks TLS, so it does not understand plain text: give its address with \
             https:// in front"
        }
        [b'H', b'T', b'T', b'P', b'/', b'1', ..] => {
            "the server answers in HTTP/1, so this is no gRPC port (Triton's is 8001 by default, \
             LMDeploy's 33337); for an api_server use --backend api_server"
        }
        _ => return Ok(()),
    };
    Err(io::Error::new(io::ErrorKind::Unsupported, words))
}

impl<S: AsyncRead + Unpin> AsyncRead for Known<S> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if !self.heard {
            self.heard = true;
            stranger(buffer.filled())?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Known<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.says_goodbye {
            return self.poll_flush(cx);
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::Dial;

    #[tokio::test]
    async fn a_connection_ends_with_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let dial = Dial {
            authority: address.to_string(),
            tls: None,
        };
        let socket = dial.socket().await.expect("open");
        drop((socket, listener.accept().await));
        let (ours, theirs) = tokio::join!(dial.brief(), listener.accept());
        let (ours, (mut theirs, _)) = (ours.expect("open"), theirs.expect("open"));
        drop(ours);
        let error = theirs.read_u8().await.expect_err("closed");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    }
}
