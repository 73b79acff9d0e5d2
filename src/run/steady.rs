//! From when to when every slot of a block was busy, found out by the slots
//! themselves while it goes. Knows moments, no metric.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the slots of one block have seen. Written once per request.
#[derive(Debug)]
pub(super) struct Steady {
    /// When the first of the block's own requests was issued.
    own_from_ns: AtomicU64,
    /// When the last request of the lead-in was issued.
    led_in_ns: AtomicU64,
    /// When the first slot found no further request.
    idle_from_ns: AtomicU64,
    /// The block's own requests that came to an end by themselves.
    through: AtomicU64,
}

impl Default for Steady {
    fn default() -> Self {
        Self {
            own_from_ns: AtomicU64::new(u64::MAX),
            led_in_ns: AtomicU64::new(0),
            idle_from_ns: AtomicU64::new(u64::MAX),
            through: AtomicU64::new(0),
        }
    }
}

impl Steady {
    /// A request of the lead-in was issued.
    pub(super) fn led_in(&self, issued_ns: u64) {
        self.led_in_ns.fetch_max(issued_ns, Ordering::Relaxed);
    }

    /// One of the block's own requests was issued; whether it came to an end by
    /// itself and was not cut by the user.
    pub(super) fn own(&self, issued_ns: u64, through: bool) {
        self.own_from_ns.fetch_min(issued_ns, Ordering::Relaxed);
        self.through
            .fetch_add(u64::from(through), Ordering::Relaxed);
    }

    /// A slot has nothing more to do.
    pub(super) fn idle(&self, from_ns: u64) {
        self.idle_from_ns.fetch_min(from_ns, Ordering::Relaxed);
    }

    /// The block's own requests that came to an end by themselves.
    pub(super) fn through(&self) -> u64 {
        self.through.load(Ordering::Relaxed)
    }

    /// From when to when all slots were busy with the block; nothing, at
    /// `end_ns`, where there was no such time.
    pub(super) fn window_ns(&self, end_ns: u64) -> (u64, u64) {
        let own_from_ns = self.own_from_ns.load(Ordering::Relaxed);
        let led_in_ns = self.led_in_ns.load(Ordering::Relaxed);
        let to_ns = self.idle_from_ns.load(Ordering::Relaxed).min(end_ns);
        (own_from_ns.max(led_in_ns).min(to_ns), to_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::Steady;

    #[test]
    fn the_window_is_where_nobody_was_idle() {
        let steady = Steady::default();
        assert_eq!(steady.window_ns(90), (90, 90), "nothing was sent");
        steady.led_in(10);
        steady.led_in(12);
        steady.own(30, true);
        steady.own(25, true);
        steady.own(60, false);
        steady.idle(80);
        steady.idle(70);
        assert_eq!(steady.window_ns(90), (25, 70));
        assert_eq!(steady.through(), 2);
        // A slot that came late, along a ramp.
        steady.led_in(40);
        assert_eq!(steady.window_ns(90), (40, 70));
        steady.led_in(75);
        assert_eq!(steady.window_ns(90), (70, 70), "never turned round");
    }
}
