//! Between a client's socket and the proxy's HTTP/2: passes frames on whole, so
//! that at any moment bytes can be put between them, or the connection ended.
//! Knows of HTTP/2 that a frame begins with its length.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::door::Door;

/// What is done to a connection.
#[derive(Clone, Debug)]
pub enum Order {
    /// Puts these bytes between two frames.
    Inject(Vec<u8>),
    Close,
    Reset,
    /// Reads and writes nothing more, and keeps it.
    Freeze,
}

const HEAD_BYTES: usize = 9;

/// Passes bytes until either side ends, or an order does; whether it is to end
/// with a reset.
pub async fn pump<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
    mut inner: DuplexStream,
    mut orders: UnboundedReceiver<Order>,
    door: &Door,
) -> bool {
    let killed = door.killed();
    tokio::pin!(killed);
    let (mut from_us, mut from_them) = (vec![0; 16384], vec![0; 16384]);
    let mut out = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = &mut killed => return true,
            Some(order) = orders.recv() => match order {
                Order::Inject(bytes) => {
                    if socket.write_all(&bytes).await.is_err() || socket.flush().await.is_err() {
                        return false;
                    }
                }
                Order::Close => {
                    let _ = socket.shutdown().await;
                    while socket.read(&mut from_us).await.is_ok_and(|read| read > 0) {}
                    return false;
                }
                Order::Reset => return true,
                Order::Freeze => std::future::pending().await,
            },
            read = socket.read(&mut from_us) => match read {
                Ok(read) if read > 0 => {
                    if inner.write_all(&from_us[..read]).await.is_err() {
                        return false;
                    }
                }
                _ => return false,
            },
            read = inner.read(&mut from_them) => match read {
                Ok(read) if read > 0 => {
                    out.extend_from_slice(&from_them[..read]);
                    let whole = whole_frames(&out);
                    let written = socket.write_all(&out[..whole]).await;
                    if written.is_err() || socket.flush().await.is_err() {
                        return false;
                    }
                    out.drain(..whole);
                }
                _ => return false,
            },
        }
    }
}

/// How many of the bytes are whole frames.
fn whole_frames(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&[a, b, c]) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let length = (usize::from(a) << 16) | (usize::from(b) << 8) | usize::from(c);
        let end = at + HEAD_BYTES + length;
        if end > bytes.len() {
            break;
        }
        at = end;
    }
    at
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// A GOAWAY that lets every stream below `last` go on.
pub fn goaway(last: u32, reason: u32, words: &[u8]) -> Vec<u8> {
    let payload = [&last.to_be_bytes()[..], &reason.to_be_bytes(), words].concat();
    frame(7, 0, 0, &payload)
}

/// Every stream may go on, and no new one begin.
pub fn goodbye() -> Vec<u8> {
    goaway(0x7fff_ffff, 0, b"")
}
