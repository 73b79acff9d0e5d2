//! The connections below HTTP/2: those that are opened for one call and
//! leave nothing behind, and those that last and are read in large pieces. Knows
//! no protocol above TCP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::lookup_host;
use tokio::sync::oneshot;

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
    /// A connection for one call.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(super) async fn brief(&self) -> io::Result<(Brief<Box<dyn Stream>>, Heard)> {
        let socket = self.socket().await?;
        socket.end_with_reset()?;
        let (hear, heard) = oneshot::channel();
        let stream = self.secured(socket).await?;
        let hear = Some(hear);
        Ok((Brief { stream, hear }, heard))
    }

    /// A connection for many calls.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(super) async fn lasting(&self) -> io::Result<Lasting<Box<dyn Stream>>> {
        let socket = self.socket().await?;
        Ok(Lasting::of(self.secured(socket).await?))
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

/// Bytes that are read from a lasting connection at once.
const GULP_BYTES: usize = 64 << 10;

/// A connection for many calls. Reads as much as there is, up to 64 KiB, where
/// HTTP/2 (h2 0.4) asks for 8 KiB and then for the rest of a frame: with
/// turbomind's messages of 8 kB that is one system call for eight messages, not
/// twelve.
///
/// Behind each such piece whoever waits for messages gets a turn before more is
/// read, so that what is there is not stamped later the more comes behind it.
#[derive(Debug)]
pub(super) struct Lasting<S> {
    stream: S,
    gulp: Box<[u8]>,
    /// The part of `gulp` that has not been handed on.
    from: usize,
    to: usize,
    /// `gulp` was filled to the brim: there may be more at once.
    full: bool,
    /// Something has come.
    heard: bool,
}

impl<S> Lasting<S> {
    /// The connection over that stream.
    pub(super) fn of(stream: S) -> Self {
        Self {
            stream,
            gulp: vec![0; GULP_BYTES].into(),
            from: 0,
            to: 0,
            full: false,
            heard: false,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lasting<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.from == this.to {
            if std::mem::take(&mut this.full) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut gulp = ReadBuf::new(&mut this.gulp);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut gulp))?;
            (this.from, this.to) = (0, gulp.filled().len());
            this.full = gulp.remaining() == 0;
            if !std::mem::replace(&mut this.heard, true) {
                stranger(&this.gulp[..this.to])?;
            }
        }
        let there = &this.gulp[this.from..this.to];
        let len = there.len().min(buffer.remaining());
        buffer.put_slice(&there[..len]);
        this.from += len;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lasting<S> {
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
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A connection for one call, which ends with a reset.
///
/// A connection that is closed in the usual way keeps its local port for a
/// minute or more (`TIME_WAIT`), and a client that opens one for every call runs
/// out of them. `SO_LINGER` of 0 gives the port back at once; what it costs, bytes
/// that have not left yet, is nothing here: a connection is closed when its
/// answer is in hand, or nobody wants it any more.
#[derive(Debug)]
pub(super) struct Brief<S> {
    stream: S,
    hear: Option<oneshot::Sender<Result<(), String>>>,
}

/// The server's first word on a connection, or why that is none of HTTP/2.
pub(super) type Heard = oneshot::Receiver<Result<(), String>>;

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

impl<S: AsyncRead + Unpin> AsyncRead for Brief<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        if let Some(hear) = self.hear.take()
            && buffer.filled().len() > before
        {
            let known = stranger(&buffer.filled()[before..]).map_err(|error| error.to_string());
            // Whoever opened it may be gone by now.
            let _ = hear.send(known.clone());
            known.map_err(io::Error::other)?;
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Brief<S> {
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

    /// Says no goodbye: a peer that answers it before the socket is closed
    /// would leave the port in `TIME_WAIT` all the same.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::{Dial, GULP_BYTES, Lasting};

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

    #[tokio::test]
    async fn a_lasting_connection_brings_what_was_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        let mut ours = Lasting::of(ours.expect("open"));
        let (mut theirs, _) = theirs.expect("open");
        // More than a gulp and not a whole number of them.
        let sent: Vec<u8> = (0..5 * GULP_BYTES + 77)
            .map(|at| u8::try_from(at % 251).expect("small"))
            .collect();
        let echo = async {
            let mut back = vec![0; sent.len()];
            theirs.read_exact(&mut back).await.expect("all of it");
            theirs.write_all(&back).await.expect("all of it");
            theirs.shutdown().await.expect("open");
        };
        let round = async {
            ours.write_all(&sent).await.expect("all of it");
            let mut came = Vec::new();
            let mut piece = [0; 5000];
            loop {
                match ours.read(&mut piece).await.expect("good") {
                    0 => return came,
                    len => came.extend_from_slice(&piece[..len]),
                }
            }
        };
        let (came, ()) = tokio::join!(round, echo);
        assert!(came == sent, "{} of {} bytes", came.len(), sent.len());
    }
}
