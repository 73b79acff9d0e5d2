//! What a client's thread does all day: run tasks, and wait for their sockets.
//! Knows no protocol.
//!
//! For a token that arrives alone the way from the socket to its task is most of
//! what the client adds, as the machine finds it in no cache. So it is short
//! here: the system's event, the socket's task, the read. A runtime for all
//! purposes, with its timers, queues and budgets, takes more than twice as many
//! cache lines (`docs/performance.md`).
//!
//! Each thread's tasks and sockets are its own, so nothing here waits for
//! another thread's lock. A task may be woken from anywhere. What is no affair of
//! a token's (timers, look-ups of names, threads that may block) is tokio's: the
//! thread stands in the runtime in which the loop was made.

mod sockets;
mod tasks;
mod tcp;

#[cfg(test)]
mod tests;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mio::{Events, Token};
use slab::Slab;
use tokio::runtime::Handle;

use self::tasks::{Entered, Entry, Here, Remote};

pub(crate) use self::tasks::spawn;
pub use self::tasks::{Gone, Spawner, Task};
pub(crate) use self::tcp::Tcp;

/// The most events that are taken at once; what is left comes with the next look.
const EVENTS: usize = 256;

/// Tasks that run before the sockets are looked at again. In a burst of requests
/// the answers to the first would otherwise wait for all others to be sent.
const TASKS_BETWEEN_LOOKS: usize = 16;

/// The event that is no socket's: somebody on another thread wants something.
const CALL: Token = Token(usize::MAX);

/// A thread's tasks and sockets, to be run there.
#[derive(Debug)]
pub struct EventLoop {
    poll: mio::Poll,
    remote: Arc<Remote>,
    runtime: Option<Handle>,
}

impl EventLoop {
    /// A loop that runs nothing yet. Its tasks find the tokio runtime that this is
    /// called in, if there is one.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let caller = mio::Waker::new(poll.registry(), CALL)?;
        let remote = Remote::new(poll.registry().try_clone()?, caller);
        Ok(Self {
            poll,
            remote: Arc::new(remote),
            runtime: Handle::try_current().ok(),
        })
    }

    /// What gives it tasks, from any thread, and ends it.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        Spawner::of_loop(Arc::clone(&self.remote))
    }

    /// Runs tasks until [`Spawner::end`]; those that have not ended then are
    /// dropped.
    ///
    /// # Errors
    /// When the system cannot be asked for events, which no running system does.
    pub fn run(self) -> io::Result<()> {
        let _runtime = self.runtime.as_ref().map(Handle::enter);
        let mut rounds = Rounds {
            poll: self.poll,
            tasks: Slab::new(),
            events: Events::with_capacity(EVENTS),
            here: Here::enter(&self.remote),
            remote: self.remote,
        };
        let outcome = rounds.run();
        rounds.remote.close();
        outcome
    }
}

/// The loop at work.
struct Rounds {
    poll: mio::Poll,
    remote: Arc<Remote>,
    tasks: Slab<Entry>,
    events: Events,
    /// Dropped behind the tasks, which may wake each other at their ends.
    here: Entered,
}

impl Rounds {
    fn run(&mut self) -> io::Result<()> {
        while !self.remote.is_over() {
            self.run_tasks();
            // Its end may have come together with other news.
            let over = self.remote.is_over();
            let busy = self.here.has_ready() || self.remote.expects_news() || over;
            self.look(busy.then_some(Duration::ZERO))?;
            self.here.resume_those_that_gave_way();
        }
        Ok(())
    }

    /// Begins what was spawned and notes what was woken from elsewhere: the first
    /// of them.
    #[inline]
    fn take_news(&mut self) -> Option<usize> {
        self.remote.has_news().then(|| self.begin_new())?;
        self.here.pop()
    }

    #[cold]
    fn begin_new(&mut self) {
        for future in self.remote.spawned() {
            let slot = self.tasks.vacant_entry();
            let entry = Entry::new(slot.key(), future, &self.remote);
            self.here.push(slot.key());
            slot.insert(entry);
        }
        for key in self.remote.woken() {
            self.here.push(key);
        }
    }

    /// Runs those that are ready, and those that they wake, up to a bound.
    fn run_tasks(&mut self) {
        for _ in 0..TASKS_BETWEEN_LOOKS {
            let Some(key) = self.here.pop().or_else(|| self.take_news()) else {
                return;
            };
            // One that has ended may have been woken before.
            let Some(entry) = self.tasks.get_mut(key) else {
                continue;
            };
            let (waker, future) = entry.begin();
            let cx = &mut Context::from_waker(waker);
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
            self.here.end_of_turn();
            match polled {
                Ok(Poll::Pending) => {}
                // A panic was told when it came, and whoever waits for the task
                // learns that it is gone.
                Ok(Poll::Ready(())) | Err(_) => drop(self.tasks.remove(key)),
            }
        }
    }

    /// Asks the system what the sockets have, and wakes their tasks.
    fn look(&mut self, no_longer_than: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, no_longer_than) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let sockets = self.remote.sockets();
        for event in &self.events {
            if event.token() != CALL {
                sockets.tell(event);
            }
        }
        Ok(())
    }
}
