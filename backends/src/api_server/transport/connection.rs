//! One connection to the server and one request on it at a time, driven by the
//! task of the request: no task, channel or lock of its own, so a token costs
//! one wake-up and one read. Sends nothing twice and opens nothing by itself.
//!
//! What is read lies in a buffer of [`BUFFER_BYTES`], which only an answer's head
//! of more than that makes grow. A connection has one while something in it is
//! unread; the others of its thread share what is left, so that a token comes
//! into memory that the last one has warmed, and an idle stream takes none.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::framing::{self, Framing, Head, Step};
use crate::event_loop::Tcp;

/// What is read at once: some 50 events of one token.
const BUFFER_BYTES: usize = 8 << 10;

/// The most bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 64 << 10;

thread_local! {
    /// The buffer that went back last: mostly the only one that is needed.
    static WARM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Others that no connection has at present.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer with nothing unread in it.
#[inline]
fn borrow() -> Vec<u8> {
    match WARM.try_with(Cell::take) {
        Ok(warm) if !warm.is_empty() => warm,
        _ => another(),
    }
}

#[cold]
fn another() -> Vec<u8> {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
    spare
        .ok()
        .flatten()
        .unwrap_or_else(|| vec![0; BUFFER_BYTES])
}

/// Leaves a buffer to the thread's other connections. One that has grown is not
/// kept.
#[inline]
fn give_back(buffer: Vec<u8>) {
    if buffer.len() != BUFFER_BYTES {
        return;
    }
    // A thread that is about to end needs none.
    if let Ok(before) = WARM.try_with(|warm| warm.replace(buffer))
        && !before.is_empty()
    {
        keep(before);
    }
}

#[cold]
fn keep(buffer: Vec<u8>) {
    let _ = SPARE.try_with(|spare| spare.borrow_mut().push(buffer));
}

/// The socket, with or without TLS.
pub(super) enum Socket {
    Plain(Tcp),
    Tls(Box<TlsStream<Tcp>>),
}

/// What went wrong on a connection.
#[derive(Debug)]
pub(in crate::api_server) enum Broken {
    /// It was closed or failed, and why.
    Closed(String),
    /// What came is no HTTP/1.1, why, and what it is instead.
    NoHttp(String, Stranger),
    /// An answer began well and goes on in bytes that are none, and why.
    Garbled(&'static str),
}

/// Who answers where an HTTP/1.1 server was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api_server) enum Stranger {
    /// A server that wants TLS.
    Tls,
    /// A server of HTTP/2, most likely gRPC.
    Http2,
    Unknown,
}

impl Stranger {
    /// Known by its first bytes: the record of TLS that carries an alert or a
    /// handshake (RFC 8446, 5.1), a frame of HTTP/2 with SETTINGS or GOAWAY (RFC
    /// 9113, 6).
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x15 | 0x16, 3, ..] => Self::Tls,
            [0, _, _, 4 | 7, ..] => Self::Http2,
            _ => Self::Unknown,
        }
    }
}

impl Broken {
    /// Why.
    pub(in crate::api_server) fn why(&self) -> &str {
        match self {
            Self::Closed(why) | Self::NoHttp(why, _) => why,
            Self::Garbled(why) => why,
        }
    }
}

/// A connection.
pub(in crate::api_server) struct Connection {
    socket: Socket,
    /// Empty while nothing is unread and nothing is being read.
    buffer: Vec<u8>,
    /// What of `buffer` was received and not yet read.
    unread: Range<usize>,
    framing: Framing,
    keeps: bool,
    /// When its last answer had ended, or it was opened, on the pool's clock.
    pub(super) idle_since_ns: u64,
}

impl Connection {
    /// Takes over a socket that was connected just now.
    pub(super) fn over(socket: Socket, now_ns: u64) -> Self {
        Self {
            idle_since_ns: now_ns,
            socket,
            buffer: Vec::new(),
            unread: 0..0,
            framing: Framing::Ended,
            keeps: true,
        }
    }

    /// Whether the last answer was read to its end and the server has neither
    /// closed the connection nor sent what nobody asked for. Waits for nothing:
    /// a close that is under way is not seen.
    pub(super) fn is_usable(&mut self) -> bool {
        if self.framing != Framing::Ended || !self.keeps || !self.unread.is_empty() {
            return false;
        }
        self.poll_fill(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    }

    /// Sends `message` and waits for the answer's head. An answer that comes
    /// before all was sent ends the sending.
    ///
    /// # Errors
    /// When the server closes the connection instead, or does not speak HTTP.
    pub(super) async fn ask(&mut self, message: &[u8]) -> Result<Head, Broken> {
        let sent = self.send(message).await;
        loop {
            let unread = &self.buffer[self.unread.clone()];
            let stranger = |why| Broken::NoHttp(why, Stranger::of(unread));
            if let Some((head, length)) = framing::head(unread).map_err(stranger)? {
                self.unread.start += length;
                self.framing = head.framing;
                self.keeps = head.keeps && matches!(sent, Ok(true));
                return Ok(head);
            }
            if unread.len() > HEAD_BYTES_MAX {
                let words = format!("more than {HEAD_BYTES_MAX} bytes without an end of the head");
                return Err(Broken::NoHttp(words, Stranger::Unknown));
            }
            match (poll_fn(|cx| self.poll_fill(cx)).await, &sent) {
                (Ok(0), Err(error)) | (Err(_), Err(error)) => return Err(closed(error)),
                (Ok(0), Ok(_)) => {
                    let words = "connection closed before the answer's head was whole";
                    return Err(Broken::Closed(words.to_owned()));
                }
                (Err(error), Ok(_)) => return Err(closed(&error)),
                (Ok(_), _) => {}
            }
        }
    }

    /// Whether all of it was sent; an answer may come before.
    async fn send(&mut self, message: &[u8]) -> io::Result<bool> {
        let mut rest = message;
        let whole = poll_fn(|cx| {
            while !rest.is_empty() {
                match Pin::new(&mut self.socket).poll_write(cx, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(sent)) => rest = &rest[sent..],
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        let filled = ready!(self.poll_fill(cx))?;
                        return Poll::Ready(if filled == 0 {
                            Err(io::ErrorKind::UnexpectedEof.into())
                        } else {
                            Ok(false)
                        });
                    }
                }
            }
            Poll::Ready(Ok(true))
        })
        .await?;
        if whole {
            self.socket.flush().await?;
        }
        Ok(whole)
    }

    /// The next piece of the answer's body; `None` at its end. It lies in the
    /// buffer until the next call.
    ///
    /// # Errors
    /// When the connection is closed before, or what comes is no body.
    #[inline]
    pub(in crate::api_server) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Range<usize>>, Broken>> {
        loop {
            let received = &self.buffer[..self.unread.end];
            if let Some(piece) = self.framing.whole_chunk(received, &mut self.unread.start) {
                return Poll::Ready(Ok(Some(piece)));
            }
            let step = self.framing.step(received, &mut self.unread.start);
            match step.map_err(Broken::Garbled)? {
                Step::Piece(piece) => return Poll::Ready(Ok(Some(piece))),
                Step::End => return Poll::Ready(Ok(None)),
                Step::More => {}
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) if self.framing.may_close() => {
                    self.framing = Framing::Ended;
                    return Poll::Ready(Ok(None));
                }
                Ok(0) => {
                    let words = "unexpected end of the connection".to_owned();
                    return Poll::Ready(Err(Broken::Closed(words)));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(closed(&error))),
            }
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn buffer_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// The bytes of a piece.
    pub(in crate::api_server) fn bytes(&self, piece: Range<usize>) -> &[u8] {
        &self.buffer[piece]
    }

    /// The next piece of the answer's body, for who may wait for it.
    ///
    /// # Errors
    /// As [`Self::poll_piece`].
    pub(super) async fn piece(&mut self) -> Result<Option<Range<usize>>, Broken> {
        poll_fn(|cx| self.poll_piece(cx)).await
    }

    /// Reads what there is: how many bytes, 0 when the server has closed.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.unread.is_empty() {
            self.unread = 0..0;
            if self.buffer.is_empty() {
                self.buffer = borrow();
            }
        } else if self.unread.end == self.buffer.len() {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
            if self.unread.end == self.buffer.len() {
                self.buffer.resize(2 * self.buffer.len(), 0);
            }
        }
        let mut room = ReadBuf::new(&mut self.buffer[self.unread.end..]);
        let read = Pin::new(&mut self.socket).poll_read(cx, &mut room);
        let filled = room.filled().len();
        self.unread.end += filled;
        if self.unread.is_empty() {
            give_back(std::mem::take(&mut self.buffer));
        }
        read.map_ok(|()| filled)
    }
}

fn closed(error: &io::Error) -> Broken {
    Broken::Closed(error.to_string())
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, room),
            Self::Tls(socket) => Pin::new(socket).poll_read(cx, room),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
