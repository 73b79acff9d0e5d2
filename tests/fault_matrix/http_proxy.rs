//! A proxy in front of an api_server: passes every request and answer on
//! unchanged, but for the chosen ones, which get an answer written by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::door::{Aim, Book, Door, reset};
use crate::http_says;
use crate::row::{Case, Fault};

/// A step of an answer written by hand.
#[derive(Clone, Debug)]
pub enum Say {
    Bytes(Vec<u8>),
    /// These bytes again and again, so many in all, or until nobody listens.
    Flood(Vec<u8>, usize),
    /// One of these bytes after the other, a moment apart.
    Drip(Vec<u8>),
    /// Closes the connection.
    Fin,
    Reset,
    /// Says nothing more and keeps the connection.
    Hold,
}

/// The proxy's share of a run.
pub struct HttpProxy {
    pub upstream: SocketAddr,
    pub door: Arc<Door>,
    pub book: Arc<Book>,
    pub aim: Aim,
    pub cases: Arc<Vec<Case>>,
    pub tls: Option<TlsAcceptor>,
}

/// How a connection is left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Open,
    Closed,
    Reset,
}

/// A request, as it came.
struct Asked {
    bytes: Vec<u8>,
    /// Of a request that is measured.
    id: Option<u64>,
}

impl HttpProxy {
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut listener = Some(listener);
        loop {
            let socket = self.door.next(&mut listener).await;
            tokio::spawn(Arc::clone(&self).connection(socket));
        }
    }

    async fn connection(self: Arc<Self>, mut socket: TcpStream) {
        let Some(tls) = &self.tls else {
            if self.until_killed(&mut socket).await == Left::Reset {
                reset(&socket);
            }
            return;
        };
        let Ok(mut socket) = tls.accept(socket).await else {
            return;
        };
        if self.until_killed(&mut socket).await == Left::Reset {
            reset(socket.get_ref().0);
        }
    }

    async fn until_killed<S: AsyncRead + AsyncWrite + Unpin>(&self, io: &mut S) -> Left {
        tokio::select! {
            () = self.door.killed() => Left::Reset,
            left = self.talk(io) => left.unwrap_or(Left::Closed),
        }
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&self, io: &mut S) -> std::io::Result<Left> {
        let mut upstream = self.upstream().await?;
        let (mut inbox, mut from_us, mut from_them) = (Vec::new(), [0; 16384], [0; 16384]);
        loop {
            while let Some(asked) = Asked::take(&mut inbox) {
                let case = asked.id.and_then(|id| self.book.arrived(id, &self.aim));
                let Some(case) = case else {
                    upstream.write_all(&asked.bytes).await?;
                    continue;
                };
                let left = self.play(case, io).await?;
                if left != Left::Open {
                    return Ok(left);
                }
                // Meanwhile the server may have had enough of waiting on it.
                upstream = self.upstream().await?;
            }
            tokio::select! {
                read = io.read(&mut from_us) => match read? {
                    0 => return Ok(Left::Closed),
                    read => inbox.extend_from_slice(&from_us[..read]),
                },
                read = upstream.read(&mut from_them) => match read? {
                    0 => return Ok(Left::Closed),
                    read => io.write_all(&from_them[..read]).await?,
                },
            }
        }
    }

    async fn upstream(&self) -> std::io::Result<TcpStream> {
        let socket = TcpStream::connect(self.upstream).await?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    async fn play<S>(&self, case: usize, io: &mut S) -> std::io::Result<Left>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let says = match &self.cases[case].fault {
            Fault::Http(says) => says(),
            Fault::Next(dealt, connections) => {
                self.door.arm(*dealt, *connections);
                http_says::good_and_closed()
            }
            other => unreachable!("{other:?} is no fault of HTTP"),
        };
        for say in says {
            match say {
                Say::Bytes(bytes) => io.write_all(&bytes).await?,
                Say::Flood(bytes, total) => {
                    for _ in 0..total / bytes.len() {
                        io.write_all(&bytes).await?;
                    }
                }
                Say::Drip(bytes) => {
                    for byte in bytes.chunks(1) {
                        io.write_all(byte).await?;
                        io.flush().await?;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                Say::Fin => {
                    io.shutdown().await?;
                    until_closed(io).await;
                    return Ok(Left::Closed);
                }
                Say::Reset => return Ok(Left::Reset),
                Say::Hold => {
                    io.flush().await?;
                    until_closed(io).await;
                    return Ok(Left::Closed);
                }
            }
            io.flush().await?;
        }
        Ok(Left::Open)
    }
}

/// Reads until the other side has closed.
async fn until_closed<S: AsyncRead + Unpin>(io: &mut S) {
    let mut rest = [0; 4096];
    while io.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

impl Asked {
    /// The next whole request of `inbox`.
    fn take(inbox: &mut Vec<u8>) -> Option<Self> {
        let end = inbox.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&inbox[..end]).to_ascii_lowercase();
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse::<u64>().ok()
        };
        let body = usize::try_from(field("content-length:").unwrap_or(0)).unwrap();
        if inbox.len() < end + body {
            return None;
        }
        let id = field("x-request-id:").filter(|_| head.starts_with("post "));
        let bytes = inbox.drain(..end + body).collect();
        Some(Self { bytes, id })
    }
}
