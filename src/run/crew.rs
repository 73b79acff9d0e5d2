//! The client's threads. Each runs an event loop of its own, with its own client
//! of the server and its own connections, so that a token that arrives wakes
//! nobody on another core and waits for no lock. Knows no plan.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use backends::{Backend, EventLoop, Spawner};

use super::CLIENT_THREAD;

/// The threads of the client, at work until dropped.
#[derive(Debug)]
pub struct Crew {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    spawner: Spawner,
    thread: JoinHandle<io::Result<()>>,
}

/// Waits for the threads' ends: what runs there waits by timers of the runtime that
/// its client was made in, which must not go before.
impl Drop for Crew {
    fn drop(&mut self) {
        self.members.iter().for_each(|member| member.spawner.end());
        for member in self.members.drain(..) {
            // Whoever waits for a task of a thread that fails learns that it is gone.
            let _ = member.thread.join();
        }
    }
}

impl Crew {
    /// Starts `threads` threads, at least one. To be called in a runtime: what is no
    /// affair of a token's (names, time limits) is done there.
    ///
    /// # Errors
    /// When the system gives no thread or no descriptors.
    pub fn start(threads: usize) -> Result<Self> {
        let members = (0..threads.max(1)).map(|_| member());
        Ok(Self {
            members: members.collect::<Result<_>>()?,
        })
    }

    /// A seat on each thread, with a client of its own that `connect` makes. To be
    /// called in a runtime with timers: the threads have none, and a client waits by
    /// those of where it was made.
    ///
    /// # Errors
    /// What `connect` has to say.
    pub fn seats<E>(
        &self,
        connect: impl Fn() -> std::result::Result<Arc<dyn Backend>, E>,
    ) -> std::result::Result<Vec<Seat>, E> {
        let seat = |member: &Member| Ok(Seat::new(member.spawner.clone(), connect()?));
        self.members.iter().map(seat).collect()
    }
}

fn member() -> Result<Member> {
    let events = EventLoop::new().context("cannot start a client thread")?;
    let spawner = events.spawner();
    let thread = std::thread::Builder::new()
        .name(CLIENT_THREAD.to_owned())
        .spawn(move || events.run())
        .context("cannot start a client thread")?;
    Ok(Member { spawner, thread })
}

/// One thread's share in an arm: where its requests run, and its own client.
#[derive(Clone)]
pub struct Seat {
    pub(super) thread: Spawner,
    pub(super) backend: Arc<dyn Backend>,
}

impl Seat {
    /// A seat on a thread that runs an event loop or a tokio runtime.
    #[must_use]
    pub fn new(thread: impl Into<Spawner>, backend: Arc<dyn Backend>) -> Self {
        let thread = thread.into();
        Self { thread, backend }
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}
