//! Costs that a simulated server has on purpose, to a tenth of a millisecond.
//! Knows no clock: it waits, and reads nothing.

use std::time::Duration;

/// Lets `cost` go by. The runtime's own timer rounds up to a millisecond, which
/// is more than some costs are; a thread that sleeps is late by some tens of
/// microseconds. Nothing is nothing.
pub(crate) async fn spend(cost: Duration) {
    if !cost.is_zero() {
        // A runtime that shuts down ends the wait, and with it whoever waits.
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(cost)).await;
    }
}
