//! The client's threads. Each runs a current-thread runtime of its own, with
//! its own client of the server and its own connections, so that a token that
//! arrives wakes nobody on another core and waits for no lock. Knows no plan.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use backends::Backend;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::CLIENT_THREAD;

/// Tasks that a client thread runs before it looks at its sockets again.
/// tokio's default is 61; in a burst of requests the answers to the first would
/// wait for 61 others to be sent.
const TASKS_BETWEEN_LOOKS: u32 = 16;

/// The threads of the client, at work until dropped.
#[derive(Debug)]
pub struct Crew {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    runtime: Handle,
    /// Ends the thread when dropped.
    hold: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Waits for the threads' ends: what runs there waits by timers of the runtime that
/// its client was made in, which must not go before.
impl Drop for Crew {
    fn drop(&mut self) {
        let (holds, threads): (Vec<_>, Vec<_>) = self
            .members
            .drain(..)
            .map(|member| (member.hold, member.thread))
            .unzip();
        drop(holds);
        for thread in threads {
            // Its panic was told when it came.
            let _ = thread.join();
        }
    }
}

impl Crew {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    /// When the system gives no thread or no runtime.
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
        let seat = |member: &Member| Ok(Seat::new(member.runtime.clone(), connect()?));
        self.members.iter().map(seat).collect()
    }
}

fn member() -> Result<Member> {
    let runtime = Builder::new_current_thread()
        // No timers: see `backends::Timers`.
        .enable_io()
        .event_interval(TASKS_BETWEEN_LOOKS)
        .build()
        .context("cannot start a client thread")?;
    let (hold, released) = oneshot::channel::<()>();
    let handle = runtime.handle().clone();
    let thread = std::thread::Builder::new()
        .name(CLIENT_THREAD.to_owned())
        .spawn(move || {
            // An error is the crew's end, which is all that is waited for.
            let _ = runtime.block_on(released);
            runtime.shutdown_background();
        })
        .context("cannot start a client thread")?;
    Ok(Member {
        runtime: handle,
        hold,
        thread,
    })
}

/// One thread's share in an arm: where its requests run, and its own client.
#[derive(Clone)]
pub struct Seat {
    pub(super) runtime: Handle,
    pub(super) backend: Arc<dyn Backend>,
}

impl Seat {
    /// A seat on a running runtime.
    #[must_use]
    pub fn new(runtime: Handle, backend: Arc<dyn Backend>) -> Self {
        Self { runtime, backend }
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}
