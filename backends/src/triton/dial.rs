//! TCP connections that are opened for one call each: they leave nothing
//! behind. Knows no protocol above TCP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::codegen::{Service, http::Uri};

/// Opens [`Brief`] connections, without delay of small messages.
///
/// A connection that is closed in the usual way keeps its local port for a
/// minute or more (`TIME_WAIT`), and a client that opens one for every call runs
/// out of them. `SO_LINGER` of 0 gives the port back at once; what it costs, bytes
/// that have not left yet, is nothing here: a connection is closed when its
/// answer is in hand, or nobody wants it any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dial;

impl Service<Uri> for Dial {
    type Response = TokioIo<Brief>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let authority = uri.authority().map_or("", |authority| authority.as_str());
            let stream = TcpStream::connect(authority).await?;
            stream.set_nodelay(true)?;
            stream.set_zero_linger()?;
            Ok(TokioIo::new(Brief(stream)))
        })
    }
}

/// A connection that ends with a reset.
#[derive(Debug)]
pub(super) struct Brief(TcpStream);

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

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tonic::codegen::Service;

    use super::{Dial, advice};

    #[tokio::test]
    async fn a_connection_ends_with_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let uri = format!("http://{address}").parse().expect("an address");
        let (ours, theirs) = tokio::join!(Dial.call(uri), listener.accept());
        let (ours, (mut theirs, _)) = (ours.expect("open"), theirs.expect("open"));
        assert!(ours.inner().0.nodelay().expect("open"));
        drop(ours);
        let error = theirs.read_u8().await.expect_err("closed");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
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
