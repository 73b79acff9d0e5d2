//! Waits with an end, for code that runs where there are no timers. Who keeps
//! timers reads a clock and looks through them whenever it goes to sleep and
//! wakes, which is for every token; the client's threads have none, and wait by
//! those of the runtime in which their client was made.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::{Sleep, Timeout};

/// The timers of one runtime, to be used from any other.
#[derive(Clone, Debug)]
pub struct Timers(Option<Handle>);

impl Timers {
    /// Those of the runtime that this is called in; outside of any, those of
    /// whoever waits.
    #[must_use]
    pub fn here() -> Self {
        Self(Handle::try_current().ok())
    }

    /// Waits for `work`, but no longer than that.
    pub fn timeout<F: Future>(&self, within: Duration, work: F) -> Timeout<F> {
        let _there = self.0.as_ref().map(Handle::enter);
        tokio::time::timeout(within, work)
    }

    /// Waits for so long.
    pub fn sleep(&self, long: Duration) -> Sleep {
        let _there = self.0.as_ref().map(Handle::enter);
        tokio::time::sleep(long)
    }

    /// Waits for a moment; tokio's timers are a millisecond coarse.
    pub fn sleep_until(&self, due: Instant) -> Sleep {
        let _there = self.0.as_ref().map(Handle::enter);
        tokio::time::sleep_until(due.into())
    }

    /// Does `work` where the timers are, because it has waits of its own.
    pub(crate) async fn there<F>(&self, work: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let Some(there) = &self.0 else {
            return work.await;
        };
        match there.spawn(work).await {
            Ok(output) => output,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and with it the program.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::Timers;
    use crate::Clock;

    /// As a client's thread does it.
    fn without_timers<T: Send + 'static>(
        work: impl Future<Output = T> + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.expect("a runtime").block_on(work)
        })
    }

    async fn joined<T: Send + 'static>(thread: std::thread::JoinHandle<T>) -> T {
        let joined = tokio::task::spawn_blocking(|| thread.join());
        joined.await.expect("joined").expect("no panic")
    }

    #[tokio::test]
    async fn a_thread_without_timers_can_wait() {
        let timers = Timers::here();
        let thread = without_timers(async move {
            let short = Duration::from_millis(5);
            let cut = timers.timeout(short, pending::<()>()).await.is_err();
            let clock = Clock::start();
            let due_ns = clock.now_ns() + 5_000_000;
            timers.sleep_until(clock.instant_at(due_ns)).await;
            let there = async move { tokio::time::sleep(short).await };
            timers.there(there).await;
            (cut, timers.timeout(short, async { 7 }).await.ok())
        });
        assert_eq!(joined(thread).await, (true, Some(7)));
    }
}
