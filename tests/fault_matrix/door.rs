//! The front of a fault proxy: its listener, what is dealt to connections that
//! come in while it plays up, and the book of what passed through. Knows no
//! protocol above TCP.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;

/// What becomes of a connection before a single request on it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dealt {
    /// Nobody listens for a while.
    Refused,
    /// All open connections are reset, and then nobody listens for a while.
    Restart,
    /// Accepted and reset.
    Reset,
    /// Accepted, and then silence.
    Silence,
    /// Whatever comes is answered with these bytes, and the connection closed.
    Bytes(&'static [u8]),
}

/// The alert of a TLS server that was spoken to in plain text: fatal, protocol
/// version.
pub const TLS_ALERT: &[u8] = b"\x15\x03\x01\x00\x02\x02\x46";

/// What an HTTP/1 server answers to what it cannot read (uvicorn's words).
pub const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; \
charset=utf-8\r\nconnection: close\r\n\r\nInvalid HTTP request received.";

/// What passed through a proxy.
#[derive(Debug, Default)]
pub struct Book {
    /// Ids of the requests that arrived, in order.
    pub asked: Mutex<Vec<u64>>,
    /// Of them those that got a fault, and which of the row's cases.
    pub hits: Mutex<Vec<(usize, u64)>>,
    arrivals: AtomicUsize,
}

/// Which arrivals get which case.
#[derive(Clone, Debug, Default)]
pub struct Aim(pub Vec<(usize, usize)>);

impl Book {
    /// Notes that a request has arrived; the case that it gets, if any.
    pub fn arrived(&self, id: u64, aim: &Aim) -> Option<usize> {
        let number = 1 + self.arrivals.fetch_add(1, Ordering::SeqCst);
        self.asked.lock().unwrap().push(id);
        let case = aim.0.iter().find(|(at, _)| *at == number)?.1;
        self.hits.lock().unwrap().push((case, id));
        Some(case)
    }
}

/// The listener, and what it deals.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    /// Connections that are still to be dealt something, and what.
    armed: Mutex<Option<(Dealt, usize)>>,
    shut: Notify,
    /// For how long nobody listens then.
    shut_for: Duration,
    /// How often all connections were reset.
    kills: tokio::sync::watch::Sender<u32>,
}

impl Door {
    pub async fn open(shut_for: Duration) -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = Self {
            address: listener.local_addr().unwrap(),
            armed: Mutex::default(),
            shut: Notify::new(),
            shut_for,
            kills: tokio::sync::watch::Sender::new(0),
        };
        (door, listener)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on `connections` of them get this.
    pub fn arm(&self, dealt: Dealt, connections: usize) {
        match dealt {
            Dealt::Refused => self.shut.notify_one(),
            Dealt::Restart => {
                self.shut.notify_one();
                self.kills.send_modify(|kills| *kills += 1);
            }
            other => {
                let mut armed = self.armed.lock().unwrap();
                let left = armed.map_or(0, |(_, left)| left);
                *armed = Some((other, left.saturating_add(connections)));
            }
        }
    }

    /// Waits until all connections are to be reset.
    pub async fn killed(&self) {
        let mut kills = self.kills.subscribe();
        let _ = kills.changed().await;
    }

    /// The next connection that is to be served.
    pub async fn next(&self, listener: &mut Option<TcpListener>) -> TcpStream {
        loop {
            let open = match listener {
                Some(open) => open,
                None => {
                    tokio::time::sleep(self.shut_for).await;
                    let socket = TcpSocket::new_v4().unwrap();
                    socket.set_reuseaddr(true).unwrap();
                    socket.bind(self.address).unwrap();
                    listener.insert(socket.listen(1024).unwrap())
                }
            };
            let came = tokio::select! {
                biased;
                () = self.shut.notified() => None,
                came = open.accept() => Some(came.unwrap().0),
            };
            let Some(socket) = came else {
                *listener = None;
                continue;
            };
            socket.set_nodelay(true).unwrap();
            match self.dealt() {
                Some(dealt) => drop(tokio::spawn(deal(socket, dealt))),
                None => return socket,
            }
        }
    }

    fn dealt(&self) -> Option<Dealt> {
        let mut armed = self.armed.lock().unwrap();
        let (dealt, left) = armed.as_mut().filter(|(_, left)| *left > 0)?;
        *left -= 1;
        Some(*dealt)
    }
}

async fn deal(mut socket: TcpStream, dealt: Dealt) {
    let mut heard = [0; 4096];
    match dealt {
        Dealt::Bytes(bytes) => {
            let _ = socket.read(&mut heard).await;
            let _ = socket.write_all(bytes).await;
            let _ = socket.shutdown().await;
            // Closed with bytes unread, it would be a reset.
            let rest = async { while socket.read(&mut heard).await.is_ok_and(|n| n > 0) {} };
            let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
        }
        Dealt::Silence => while socket.read(&mut heard).await.is_ok_and(|n| n > 0) {},
        Dealt::Reset | Dealt::Refused | Dealt::Restart => reset(&socket),
    }
}

/// Has the connection end with a reset when it is dropped.
pub fn reset(socket: &TcpStream) {
    let _ = socket.set_zero_linger();
}
