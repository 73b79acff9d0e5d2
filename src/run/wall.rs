//! The date that a run carries. Beside the monotonic clock in
//! `backends/src/sink.rs` this is the only place that asks the system for the
//! time; nothing is ever computed with it.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// A date, taken once at a run's start.
#[derive(Clone, Copy, Debug)]
pub struct Wall {
    since_epoch_s: u64,
}

impl Wall {
    /// The date now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one date")]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            since_epoch_s: since.map_or(0, |since| since.as_secs()),
        }
    }

    /// UTC in RFC 3339, to the second: `2026-11-24T03:18:24Z`.
    #[must_use]
    pub fn utc(&self) -> String {
        let seconds = i64::try_from(self.since_epoch_s).unwrap_or_default();
        Timestamp::from_second(seconds)
            .unwrap_or_default()
            .to_string()
    }

    /// UTC fit for a file name: `20261124T031824Z`.
    #[must_use]
    pub fn stamp(&self) -> String {
        self.utc().replace(['-', ':'], "")
    }

    /// A first request id that runs started at other seconds, or by other
    /// processes, do not use: a Triton server refuses an id that is running.
    #[must_use]
    pub fn first_id(&self) -> u64 {
        let process = u64::from(std::process::id() & 0x3ff);
        1 + (((self.since_epoch_s & 0xff_ffff) << 10 | process) << 24)
    }
}

#[cfg(test)]
mod tests {
    use super::Wall;

    #[test]
    fn a_date_is_written_in_both_forms() {
        let wall = Wall {
            since_epoch_s: 1_795_490_304,
        };
        assert_eq!(wall.utc(), "2026-11-24T03:18:24Z");
        assert_eq!(wall.stamp(), "20261124T031824Z");
    }

    #[test]
    fn a_clock_that_steps_moves_dates_and_names_only() {
        // A step back by a year, to before 1970 (which is 0), and far ahead. All
        // durations, time limits and marks come from the monotonic clock; from
        // here come a date, a folder's name (a taken one gets a number) and ids.
        let before = Wall {
            since_epoch_s: 1_795_490_304,
        };
        for since_epoch_s in [1_763_954_304, 0, 4_102_444_800, u64::MAX] {
            let after = Wall { since_epoch_s };
            assert!(after.utc().ends_with('Z'), "{}", after.utc());
            assert!(
                !after.stamp().contains([':', '-', '/']),
                "{}",
                after.stamp()
            );
            assert_ne!(after.first_id() >> 24, before.first_id() >> 24);
        }
        // Taken once and handed on: the same for all arms, whatever the clock does.
        let copy = before;
        assert_eq!((copy.utc(), copy.stamp()), (before.utc(), before.stamp()));
    }

    #[test]
    fn ids_of_two_seconds_do_not_meet_within_16_million_requests() {
        let ids: Vec<u64> = [7, 8]
            .map(|since_epoch_s| Wall { since_epoch_s }.first_id())
            .into();
        assert!(ids[1] - ids[0] >= 1 << 24);
    }
}
