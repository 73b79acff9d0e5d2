//! Time that a simulated server lets go by, to fractions of a millisecond. tokio's
//! timer rounds up to the next millisecond of the runtime's life: what a request
//! took before would decide how much too long it waits, and one server's waits
//! would be longer than another's. Stamps nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_timer::Delay;

use crate::Clock;

/// How much later than it should a wait ends on this machine, of late: the thread
/// that keeps the time sleeps a little too long, and has to wake whoever waits.
/// Tenths of a millisecond, which is more than some costs are.
static LATE_NS: AtomicU64 = AtomicU64::new(50_000);

/// Of how many waits the lateness is remembered.
const REMEMBERED: u64 = 16;

/// Lets `cost` go by, as exactly as the machine lets others wait on average: each
/// wait is cut by what the last ones were late. Nothing is nothing.
pub(crate) async fn spend(cost: Duration) {
    if cost.is_zero() {
        return;
    }
    let clock = Clock::start();
    let late = Duration::from_nanos(LATE_NS.load(Ordering::Relaxed));
    let asked = cost.saturating_sub(late);
    Delay::new(asked).await;
    let took = Duration::from_nanos(clock.now_ns());
    let late = took.saturating_sub(asked);
    remember(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
}

/// Waits until `due_ns` on the clock: never less, and some tens of microseconds
/// more.
pub(crate) async fn until(clock: Clock, due_ns: u64) {
    // What is due already would never let another task have a turn.
    tokio::task::coop::consume_budget().await;
    let mut now_ns = clock.now_ns();
    while now_ns < due_ns {
        Delay::new(Duration::from_nanos(due_ns - now_ns)).await;
        now_ns = clock.now_ns();
    }
}

/// A moving average. One that is lost to another thread is no harm.
fn remember(late_ns: u64) {
    let before = LATE_NS.load(Ordering::Relaxed);
    let after = before - before / REMEMBERED + late_ns / REMEMBERED;
    LATE_NS.store(after, Ordering::Relaxed);
}
