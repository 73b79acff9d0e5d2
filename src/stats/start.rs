//! How a closed loop got off: many requests due at one moment, sent one after
//! the other.

use crate::record::Record;

/// The burst at a run's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Requests due at the run's first moment.
    pub requests: u64,
    /// From that moment until the last of them was sent, in nanoseconds.
    pub within_ns: u64,
}

/// The burst of a run, in which not fewer than two requests are due at once;
/// `None` where they start along a ramp, or there is only one.
pub(super) fn start(records: &[Record]) -> Option<Start> {
    let due_ns = records.iter().map(|record| record.scheduled_ns).min()?;
    let burst = records
        .iter()
        .filter(|record| record.scheduled_ns == due_ns);
    let (requests, last_ns) = burst.fold((0, 0), |(requests, last_ns), record| {
        (requests + 1, record.issued_ns.max(last_ns))
    });
    (requests > 1).then_some(Start {
        requests,
        within_ns: last_ns.saturating_sub(due_ns),
    })
}

#[cfg(test)]
mod tests {
    use super::{Start, start};
    use crate::record::Record;

    #[test]
    fn only_what_is_due_at_the_first_moment_counts() {
        let record = |scheduled_ns, issued_ns| Record {
            scheduled_ns,
            issued_ns,
            ..Record::default()
        };
        let burst = Start {
            requests: 3,
            within_ns: 40,
        };
        let table = [
            (vec![], None),
            (vec![record(5, 9)], None),
            (vec![record(5, 9), record(6, 9)], None),
            (
                vec![record(70, 99), record(5, 45), record(5, 6), record(5, 20)],
                Some(burst),
            ),
        ];
        for (records, expected) in table {
            assert_eq!(start(&records), expected, "{records:?}");
        }
    }
}
