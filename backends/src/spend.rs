//! Costs that a simulated server has on purpose, right on average. Stamps
//! nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Clock;

/// How much later than it should a wait ends on this machine, of late: a thread
/// has to be started or woken, sleeps a little too long, and has to wake whoever
/// waits. Tenths of a millisecond, which is more than some costs are.
static LATE_NS: AtomicU64 = AtomicU64::new(50_000);

/// Of how many waits the lateness is remembered.
const REMEMBERED: u64 = 16;

/// Lets `cost` go by, as exactly as the machine lets others wait on average: each
/// wait is cut by what the last ones were late. The runtime's own timer rounds up
/// to a millisecond. Nothing is nothing.
pub(crate) async fn spend(cost: Duration) {
    if cost.is_zero() {
        return;
    }
    let clock = Clock::start();
    let late = Duration::from_nanos(LATE_NS.load(Ordering::Relaxed));
    let asked = cost.saturating_sub(late);
    // A runtime that shuts down ends the wait, and with it whoever waits.
    let _ = tokio::task::spawn_blocking(move || std::thread::sleep(asked)).await;
    let took = Duration::from_nanos(clock.now_ns());
    let late = took.saturating_sub(asked);
    remember(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
}

/// A moving average. One that is lost to another thread is no harm.
fn remember(late_ns: u64) {
    let before = LATE_NS.load(Ordering::Relaxed);
    let after = before - before / REMEMBERED + late_ns / REMEMBERED;
    LATE_NS.store(after, Ordering::Relaxed);
}
