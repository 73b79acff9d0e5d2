//! The start of a run on one client thread: its slots wait here, requests in
//! hand and connections open, and leave in the order in which they came.

use std::sync::OnceLock;

use backends::Clock;
use tokio::sync::Notify;

/// How much earlier than due a wait by timer ends: tokio's timers are a
/// millisecond coarse.
const TIMER_NS: u64 = 2_000_000;

/// Opened once.
#[derive(Debug, Default)]
pub(super) struct Gate {
    start_ns: OnceLock<u64>,
    opened: Notify,
}

impl Gate {
    /// Opens it for a run that starts at `start_ns`.
    pub(super) fn open(&self, start_ns: u64) {
        // A second opening would be a bug without consequence: the first holds.
        let _ = self.start_ns.set(start_ns);
        self.opened.notify_waiters();
    }

    /// Waits until it is open; the run's start.
    pub(super) async fn passed(&self) -> u64 {
        loop {
            let opened = self.opened.notified();
            if let Some(start_ns) = self.start_ns.get() {
                return *start_ns;
            }
            opened.await;
        }
    }
}

/// Waits for a moment, to the microsecond: by timer up to shortly before, then
/// by giving way to others.
pub(super) async fn until(clock: Clock, due_ns: u64) {
    let by_timer = clock.instant_at(due_ns.saturating_sub(TIMER_NS));
    if clock.now_ns() + TIMER_NS < due_ns {
        tokio::time::sleep_until(by_timer.into()).await;
    }
    while clock.now_ns() < due_ns {
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use backends::Clock;

    use super::{Gate, until};

    #[tokio::test]
    async fn all_leave_in_the_order_in_which_they_came() {
        let (gate, left) = (Arc::new(Gate::default()), Arc::new(Mutex::new(Vec::new())));
        let waiting: Vec<_> = (0..50)
            .map(|number| {
                let (gate, left) = (Arc::clone(&gate), Arc::clone(&left));
                tokio::spawn(async move {
                    let start_ns = gate.passed().await;
                    left.lock().expect("whole").push((number, start_ns));
                })
            })
            .collect();
        tokio::task::yield_now().await;
        gate.open(7);
        for task in waiting {
            task.await.expect("ended");
        }
        let expected: Vec<_> = (0..50).map(|number| (number, 7)).collect();
        assert_eq!(*left.lock().expect("whole"), expected);
        assert_eq!(gate.passed().await, 7, "whoever comes late walks through");
    }

    #[tokio::test]
    async fn nobody_leaves_before_the_moment() {
        let clock = Clock::start();
        for due_ns in [0, clock.now_ns() + 50_000, clock.now_ns() + 3_500_000] {
            until(clock, due_ns).await;
            assert!(clock.now_ns() >= due_ns);
        }
    }
}
