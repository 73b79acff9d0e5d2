//! Where the requests of one client thread leave: closed until the run starts,
//! then open to one after the other in the order in which they came.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use backends::{Clock, Timers};
use pin_project_lite::pin_project;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How much earlier than due a wait by timer ends: tokio's timers are a
/// millisecond coarse.
const TIMER_NS: u64 = 2_000_000;

/// Opened once; lets one through at a time.
///
/// Many requests are due at one moment at a run's start, and whenever a batching
/// engine ends several answers with one step. On a connection that they share,
/// all of them would be handed over before the first is written, and that wait
/// would look like the server's. So whoever sends keeps its turn until its
/// request is on its way; the wait of the others is slip, as it should be.
#[derive(Debug)]
pub(super) struct Gate {
    start_ns: OnceLock<u64>,
    turns: Semaphore,
}

/// The turn to send; the next one's comes when it is dropped.
pub(super) type Turn<'a> = Option<SemaphorePermit<'a>>;

impl Default for Gate {
    fn default() -> Self {
        Self {
            start_ns: OnceLock::new(),
            turns: Semaphore::new(0),
        }
    }
}

impl Gate {
    /// Opens it for a run that starts at `start_ns`.
    pub(super) fn open(&self, start_ns: u64) {
        if self.start_ns.set(start_ns).is_ok() {
            self.turns.add_permits(1);
        }
    }

    /// Waits for one's turn.
    pub(super) async fn turn(&self) -> Turn<'_> {
        // It is never closed: the turn is always there.
        self.turns.acquire().await.ok()
    }

    /// The run's start; 0 before it.
    pub(super) fn start_ns(&self) -> u64 {
        self.start_ns.get().copied().unwrap_or_default()
    }
}

/// Waits for a moment, to the microsecond: by timer up to shortly before, then
/// by giving way to others.
pub(super) async fn until(clock: Clock, timers: &Timers, due_ns: u64) {
    let by_timer = clock.instant_at(due_ns.saturating_sub(TIMER_NS));
    if clock.now_ns() + TIMER_NS < due_ns {
        timers.sleep_until(by_timer).await;
    }
    while clock.now_ns() < due_ns {
        tokio::task::yield_now().await;
    }
}

/// Looks at the thread's other tasks and its sockets after which what `work`
/// has begun is taken to be under way.
const LOOKS: u32 = 2;

/// Does `act` when `work` has begun, and all tasks that it woke have had their
/// turn, too: a call over a shared connection goes through several before it is
/// written.
pub(super) fn once_begun<W: Future, A: FnOnce()>(work: W, act: A) -> OnceBegun<W, A> {
    OnceBegun {
        work,
        act: Some(act),
        looks: 0,
    }
}

pin_project! {
    /// Work, and what is to be done when it has begun. Flat on purpose: tokens come
    /// this way.
    pub(super) struct OnceBegun<W, A> {
        #[pin]
        work: W,
        act: Option<A>,
        looks: u32,
    }
}

impl<W: Future, A: FnOnce()> Future for OnceBegun<W, A> {
    type Output = W::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<W::Output> {
        let this = self.project();
        if *this.looks == LOOKS {
            this.act.take().into_iter().for_each(|act| act());
        }
        let polled = this.work.poll(cx);
        if this.act.is_none() {
            return polled;
        }
        if polled.is_ready() {
            this.act.take().into_iter().for_each(|act| act());
        } else {
            *this.looks += 1;
            // It comes back after the next look at the sockets, when those that are
            // ready now have run.
            cx.waker().wake_by_ref();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use backends::{Clock, Timers};

    use super::{Gate, once_begun, until};

    #[tokio::test]
    async fn all_leave_one_after_the_other_in_the_order_in_which_they_came() {
        let (gate, left) = (Arc::new(Gate::default()), Arc::new(Mutex::new(Vec::new())));
        let waiting: Vec<_> = (0..50)
            .map(|number| {
                let (gate, left) = (Arc::clone(&gate), Arc::clone(&left));
                tokio::spawn(async move {
                    let turn = gate.turn().await;
                    let start_ns = gate.start_ns();
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
        assert!(gate.turn().await.is_some());
    }

    #[tokio::test]
    async fn nobody_leaves_before_the_moment() {
        let clock = Clock::start();
        for due_ns in [0, clock.now_ns() + 50_000, clock.now_ns() + 3_500_000] {
            until(clock, &Timers::here(), due_ns).await;
            assert!(clock.now_ns() >= due_ns);
        }
    }

    #[tokio::test]
    async fn the_act_comes_after_what_the_work_woke() {
        let seen = std::cell::RefCell::new(Vec::new());
        let (hand, taken) = tokio::sync::oneshot::channel();
        let (reply, replied) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            taken.await.expect("handed over");
            tokio::spawn(async move { reply.send(()) });
        });
        let work = async {
            seen.borrow_mut().push("begun");
            hand.send(()).expect("awaited");
            replied.await.expect("sent");
            seen.borrow_mut().push("replied");
            tokio::time::sleep(Duration::from_millis(1)).await;
            seen.borrow_mut().push("rest");
        };
        once_begun(work, || seen.borrow_mut().push("act")).await;
        once_begun(ready(()), || seen.borrow_mut().push("at once")).await;
        let expected = ["begun", "replied", "act", "rest", "at once"];
        assert_eq!(*seen.borrow(), expected);
    }
}
