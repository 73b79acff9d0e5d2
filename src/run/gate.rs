//! The start of a run on one client thread: its slots wait here, requests in
//! hand and connections open, and leave one after the other in the order in which
//! they came.

use std::sync::OnceLock;

use backends::Clock;
use tokio::sync::Notify;

/// How much earlier than due a wait by timer ends: tokio's timers are a
/// millisecond coarse.
const TIMER_NS: u64 = 2_000_000;

/// Opened once; lets one through at a time.
#[derive(Debug, Default)]
pub(super) struct Gate {
    start_ns: OnceLock<u64>,
    opened: Notify,
}

/// The turn of one who is in the gate: the next one's comes when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Gate);

impl Gate {
    /// Opens it for a run that starts at `start_ns`.
    pub(super) fn open(&self, start_ns: u64) {
        // A second opening would be a bug without consequence: the first holds.
        let _ = self.start_ns.set(start_ns);
        self.opened.notify_one();
    }

    /// Waits for one's turn; the run's start. Whoever keeps the turn until its
    /// request is out lets that request reach the socket before the next one is
    /// sent. On a connection that many share, all would else be handed over
    /// before the first is written, and their waiting would look like the
    /// server's.
    pub(super) async fn turn(&self) -> (u64, Turn<'_>) {
        self.opened.notified().await;
        let turn = Turn(self);
        (self.start_ns.get().copied().unwrap_or_default(), turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.opened.notify_one();
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
    async fn all_leave_one_after_the_other_in_the_order_in_which_they_came() {
        let (gate, left) = (Arc::new(Gate::default()), Arc::new(Mutex::new(Vec::new())));
        let waiting: Vec<_> = (0..50)
            .map(|number| {
                let (gate, left) = (Arc::clone(&gate), Arc::clone(&left));
                tokio::spawn(async move {
                    let (start_ns, turn) = gate.turn().await;
                    left.lock().expect("whole").push((number, start_ns));
                    // Nobody else may come in between.
                    tokio::task::yield_now().await;
                    left.lock().expect("whole").push((number, start_ns));
                    drop(turn);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        gate.open(7);
        for task in waiting {
            task.await.expect("ended");
        }
        let expected: Vec<_> = (0..50).flat_map(|number| [(number, 7); 2]).collect();
        assert_eq!(*left.lock().expect("whole"), expected);
    }

    #[tokio::test]
    async fn whoever_gives_up_in_the_gate_lets_the_next_one_in() {
        let gate = Gate::default();
        gate.open(7);
        drop(gate.turn().await);
        assert_eq!(gate.turn().await.0, 7);
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
