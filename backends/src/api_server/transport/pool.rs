//! The connections of one client: opened once, handed to one request at a
//! time, taken back at the end of its answer. Nothing is opened, closed or sent
//! again behind a request's back.
//!
//! A request in flight holds its connection itself, so as many are open as
//! requests were ever in flight at once. Whichever was idle longest goes out
//! first: so all of them stay in use, and none nears the server's limit unseen.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::OnceCell;

use super::connection::{Connection, Socket};
use crate::event_loop::Tcp;
use crate::{Clock, Timers, tls};

/// Where connections go and how they are opened.
pub(super) struct Dial {
    pub(super) host: String,
    pub(super) port: u16,
    /// With https.
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    pub(super) within: Duration,
    pub(super) timers: Timers,
}

/// Why a connection could not be opened.
pub(super) struct Unopened {
    pub(super) why: String,
    /// Somebody is there; it is TLS that failed, and `why` has the cure.
    pub(super) by_tls: bool,
}

impl From<String> for Unopened {
    fn from(why: String) -> Self {
        let by_tls = false;
        Self { why, by_tls }
    }
}

impl From<io::Error> for Unopened {
    fn from(error: io::Error) -> Self {
        match tls::refusal(&error) {
            Some(why) => Self { why, by_tls: true },
            None => error.to_string().into(),
        }
    }
}

/// Connections to one server.
pub(super) struct Pool {
    dial: Dial,
    /// Looked up once, so that thousands of connections do not ask a thousand
    /// times; the one that answered last is tried first.
    addresses: OnceCell<Vec<SocketAddr>>,
    best: AtomicUsize,
    idle_max_ns: u64,
    clock: Clock,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The longest idle in front.
    idle: VecDeque<Connection>,
    /// Set aside for a slot's next request.
    ready: HashMap<u32, Connection>,
}

impl Pool {
    /// Opens nothing yet. `idle_max`: how long a connection may be idle and
    /// still be used.
    pub(super) fn new(dial: Dial, idle_max: Duration) -> Self {
        Self {
            dial,
            addresses: OnceCell::new(),
            best: AtomicUsize::new(0),
            idle_max_ns: u64::try_from(idle_max.as_nanos()).unwrap_or(u64::MAX),
            clock: Clock::start(),
            kept: Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that was open and is still usable, if there is one. Those
    /// that are not are closed on the way.
    pub(super) fn idle(&self) -> Option<Connection> {
        loop {
            // a statement of its own: closing one needs no lock
            let connection = self.kept().idle.pop_front()?;
            if let Some(connection) = self.usable(connection) {
                return Some(connection);
            }
        }
    }

    /// The connection that was set aside for `slot`, if it is still usable.
    pub(super) fn ready(&self, slot: u32) -> Option<Connection> {
        let connection = self.kept().ready.remove(&slot)?;
        self.usable(connection)
    }

    fn usable(&self, mut connection: Connection) -> Option<Connection> {
        let idle_ns = self.clock.now_ns().saturating_sub(connection.idle_since_ns);
        (idle_ns < self.idle_max_ns && connection.is_usable()).then_some(connection)
    }

    /// Takes a connection back, if it can be used again.
    pub(super) fn put_back(&self, mut connection: Connection) {
        if connection.is_usable() {
            connection.idle_since_ns = self.clock.now_ns();
            self.kept().idle.push_back(connection);
        }
    }

    /// Sees to it that a usable connection waits for `slot`.
    ///
    /// # Errors
    /// When one has to be opened and cannot be.
    pub(super) async fn make_ready(&self, slot: u32) -> Result<(), Unopened> {
        // Whoever yields comes back after the sockets were asked what is new: a
        // close that has arrived is seen.
        tokio::task::yield_now().await;
        let connection = match self.ready(slot).or_else(|| self.idle()) {
            Some(connection) => connection,
            None => self.open().await?,
        };
        self.kept().ready.insert(slot, connection);
        Ok(())
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn open(&self) -> Result<Connection, Unopened> {
        let opened = self
            .dial
            .timers
            .timeout(self.dial.within, self.socket())
            .await;
        let socket = opened.map_err(|_| {
            let seconds = self.dial.within.as_secs_f64();
            format!("no connection within {seconds} s")
        })??;
        Ok(Connection::over(socket, self.clock.now_ns()))
    }

    async fn socket(&self) -> Result<Socket, Unopened> {
        let (host, port) = (self.dial.host.as_str(), self.dial.port);
        let look = || async {
            let found: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
            Ok(found)
        };
        let found = self.addresses.get_or_try_init(look).await;
        let addresses = found.map_err(|error: io::Error| error.to_string())?;
        let socket = self.tcp(addresses).await?;
        let Some(config) = &self.dial.tls else {
            return Ok(Socket::Plain(socket));
        };
        let socket = tls::secured(config, host, socket).await?;
        Ok(Socket::Tls(Box::new(socket)))
    }

    /// Tries one address after the other.
    async fn tcp(&self, addresses: &[SocketAddr]) -> Result<Tcp, String> {
        let best = self.best.load(Ordering::Relaxed);
        let mut why = "the host name has no address".to_owned();
        for turn in 0..addresses.len() {
            let at = (best + turn) % addresses.len();
            match Tcp::connect(addresses[at]).await {
                Ok(socket) => {
                    self.best.store(at, Ordering::Relaxed);
                    return Ok(socket);
                }
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }
}
