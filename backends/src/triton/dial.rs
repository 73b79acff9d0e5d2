//! The TCP connections below a channel: those that are opened for one call and
//! leave nothing behind, and those that last and are read in large pieces. Knows
//! no protocol above TCP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::codegen::{Service, http::Uri};

/// Opens connections, without delay of small messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dial<S>(pub(super) fn(TcpStream) -> io::Result<S>);

impl<S: AsyncRead + AsyncWrite + 'static> Service<Uri> for Dial<S> {
    type Response = TokioIo<S>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self(of) = *self;
        Box::pin(async move {
            let authority = uri.authority().map_or("", |authority| authority.as_str());
            let stream = TcpStream::connect(authority).await?;
            stream.set_nodelay(true)?;
            of(stream).map(TokioIo::new)
        })
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
pub(super) struct Lasting {
    stream: TcpStream,
    gulp: Box<[u8]>,
    /// The part of `gulp` that has not been handed on.
    from: usize,
    to: usize,
    /// `gulp` was filled to the brim: there may be more at once.
    full: bool,
}

impl Lasting {
    /// The connection on that socket.
    ///
    /// # Errors
    /// Never; the signature is what [`Dial`] wants.
    pub(super) fn of(stream: TcpStream) -> io::Result<Self> {
        Ok(Self {
            stream,
            gulp: vec![0; GULP_BYTES].into(),
            from: 0,
            to: 0,
            full: false,
        })
    }
}

impl AsyncRead for Lasting {
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
        }
        let there = &this.gulp[this.from..this.to];
        let len = there.len().min(buffer.remaining());
        buffer.put_slice(&there[..len]);
        this.from += len;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Lasting {
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
pub(super) struct Brief(TcpStream);

impl Brief {
    /// The connection on that socket.
    ///
    /// # Errors
    /// When the system does not take the setting.
    pub(super) fn of(stream: TcpStream) -> io::Result<Self> {
        stream.set_zero_linger()?;
        Ok(Self(stream))
    }
}

impl AsyncRead for Brief {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Brief {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    /// Says no goodbye: a peer that answers it before the socket is closed
    /// would leave the port in `TIME_WAIT` all the same.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// What the refusal of a connection means, where the system's own words do not
/// say it.
pub(super) fn advice(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::AddrNotAvailable) {
            return Some(
                "this machine has no local port left for it; ask fewer requests, lower \
                 --concurrency, or widen net.ipv4.ip_local_port_range",
            );
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tonic::codegen::Service;

    use super::{Brief, Dial, GULP_BYTES, Lasting, advice};

    #[tokio::test]
    async fn a_connection_ends_with_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let uri = format!("http://{address}").parse().expect("an address");
        let (ours, theirs) = tokio::join!(Dial(Brief::of).call(uri), listener.accept());
        let (ours, (mut theirs, _)) = (ours.expect("open"), theirs.expect("open"));
        assert!(ours.inner().0.nodelay().expect("open"));
        drop(ours);
        let error = theirs.read_u8().await.expect_err("closed");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    }

    #[tokio::test]
    async fn a_lasting_connection_brings_what_was_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        let mut ours = Lasting::of(ours.expect("open")).expect("a connection");
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

    #[test]
    fn a_lack_of_local_ports_is_put_into_words() {
        let lack = || io::Error::from(io::ErrorKind::AddrNotAvailable);
        let status = tonic::Status::from_error(Box::new(lack()));
        for error in [&lack() as &(dyn std::error::Error + 'static), &status] {
            let words = advice(error).expect("known");
            assert!(words.contains("ip_local_port_range"), "{words}");
        }
        assert!(advice(&io::Error::from(io::ErrorKind::ConnectionRefused)).is_none());
    }
}
