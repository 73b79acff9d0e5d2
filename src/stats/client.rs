//! What the measuring side itself did: how much was in flight, and what it
//! cost the client's processor.

use crate::record::{Record, RunEnd};

/// The client's own share in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Client {
    /// Most requests in flight at once, failed ones included.
    pub in_flight_peak: u64,
    /// Processor time of all threads over the run's span, in percent of one
    /// core (may exceed 100).
    pub cpu_percent: Option<f64>,
    /// The same of the busiest thread.
    pub busiest_thread_percent: Option<f64>,
}

pub(super) fn client(records: &[Record], end: Option<&RunEnd>) -> Client {
    let percent = |cpu_ns: Option<u64>| {
        let end = end.filter(|end| end.span_ns > 0)?;
        Some(cpu_ns? as f64 / end.span_ns as f64 * 100.0)
    };
    Client {
        in_flight_peak: in_flight_peak(records),
        cpu_percent: percent(end.and_then(|end| end.client_cpu_ns)),
        busiest_thread_percent: percent(end.and_then(|end| end.busiest_thread_cpu_ns)),
    }
}

/// Largest number of overlapping intervals from issue to end. One that ends
/// the nanosecond in which another begins does not overlap it: its slot was
/// free.
fn in_flight_peak(records: &[Record]) -> u64 {
    let mut starts: Vec<u64> = records.iter().map(|record| record.issued_ns).collect();
    let mut ends: Vec<u64> = records
        .iter()
        .map(|record| record.end_ns.max(record.issued_ns.saturating_add(1)))
        .collect();
    starts.sort_unstable();
    ends.sort_unstable();
    let (mut ended, mut peak) = (0, 0);
    for (begun, start) in starts.iter().enumerate() {
        while ends.get(ended).is_some_and(|end| end <= start) {
            ended += 1;
        }
        peak = peak.max((begun + 1).saturating_sub(ended));
    }
    u64::try_from(peak).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::in_flight_peak;
    use crate::record::Record;

    fn records(intervals: &[(u64, u64)]) -> Vec<Record> {
        intervals
            .iter()
            .map(|&(issued_ns, end_ns)| Record {
                issued_ns,
                end_ns,
                ..Record::default()
            })
            .collect()
    }

    #[test]
    fn overlaps_by_hand() {
        let table: &[(&[(u64, u64)], u64)] = &[
            (&[], 0),
            (&[(5, 9)], 1),
            (&[(0, 10), (10, 20)], 1),
            (&[(0, 11), (10, 20)], 2),
            (&[(0, 100), (1, 2), (3, 4), (5, 6)], 2),
            (&[(0, 100), (1, 50), (2, 30), (40, 60)], 3),
            (&[(7, 7), (7, 7)], 2),
            // An end before its beginning and the clock's last moment: no panic.
            (&[(9, 3), (u64::MAX, 0), (u64::MAX, u64::MAX)], 1),
        ];
        for (intervals, expected) in table {
            assert_eq!(
                in_flight_peak(&records(intervals)),
                *expected,
                "{intervals:?}"
            );
        }
    }
}
