//! What the measuring side itself did: how much was in flight, and what it
//! cost the client's processor.

use crate::record::{Record, Run, RunEnd};

/// Most that the host of a virtual machine may take of the time in which its cores
/// have work, in percent. The client's floor on a machine of two cores was 0.24 ms
/// where the host took nothing, 0.31 where it took 18 %, 0.64 where it took 40 %.
pub(super) const MOST_TAKEN_PERCENT: f64 = 5.0;

/// The client's own share in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Client {
    /// Most requests in flight at once, failed ones included.
    pub in_flight_peak: u64,
    /// Processor time of all threads over the run's span, in percent of one
    /// core (may exceed 100).
    pub cpu_percent: Option<f64>,
    /// How long the busiest thread was not idle: on a core, or ready and waiting
    /// for one. In percent of the run's span.
    pub busiest_thread_percent: Option<f64>,
    /// The part of it in which the thread waited for a core.
    pub busiest_thread_wait_percent: Option<f64>,
    /// What the host of a virtual machine took of the time in which its cores had
    /// work, in percent. `None` where the system does not tell.
    pub host_took_percent: Option<f64>,
    /// Mean wait for a core each time that a client thread was to run, in
    /// nanoseconds: so much later than need be the client sees a message.
    pub wait_per_turn_ns: Option<f64>,
}

impl Client {
    /// Whether the host took so much of the cores that times are late by it.
    #[must_use]
    pub fn is_disturbed_by_host(&self) -> bool {
        self.host_took_percent > Some(MOST_TAKEN_PERCENT)
    }
}

/// The client's part in `run`. Where it has blocks, requests that lead in are in
/// flight like any other.
pub(super) fn client(run: &Run) -> Client {
    let all: Vec<&Record> = run.records.iter().chain(&run.lead_in).collect();
    client_of(&all, run.end.as_ref())
}

fn client_of(records: &[&Record], end: Option<&RunEnd>) -> Client {
    let percent = |cpu_ns: Option<u64>| {
        let end = end.filter(|end| end.span_ns > 0)?;
        Some(cpu_ns? as f64 / end.span_ns as f64 * 100.0)
    };
    let busiest_cpu_ns = end.and_then(|end| end.busiest_thread_cpu_ns);
    // Older records have no waits.
    let busiest_wait_ns = end.and_then(|end| end.busiest_thread_wait_ns);
    let busy_ns = busiest_cpu_ns.map(|ns| ns.saturating_add(busiest_wait_ns.unwrap_or(0)));
    let waits = end.and_then(|end| Some((end.client_wait_ns?, end.client_turns?)));
    Client {
        in_flight_peak: in_flight_peak(records),
        cpu_percent: percent(end.and_then(|end| end.client_cpu_ns)),
        busiest_thread_percent: percent(busy_ns),
        busiest_thread_wait_percent: percent(busiest_wait_ns),
        host_took_percent: end
            .and_then(|end| host_took(end.cores_busy_ticks?, end.cores_stolen_ticks?)),
        wait_per_turn_ns: waits
            .filter(|(_, turns)| *turns > 0)
            .map(|(wait_ns, turns)| wait_ns as f64 / turns as f64),
    }
}

/// The least that counts as taken, in ticks of 1/100 s: a single one is no figure.
const LEAST_TICKS: u64 = 2;

/// What the host took of the time in which the cores had work, in percent; `None`
/// where they had none.
pub(super) fn host_took(busy_ticks: u64, stolen_ticks: u64) -> Option<f64> {
    let wanted = busy_ticks.saturating_add(stolen_ticks);
    let stolen = if stolen_ticks < LEAST_TICKS {
        0
    } else {
        stolen_ticks
    };
    (wanted > 0).then(|| stolen as f64 / wanted as f64 * 100.0)
}

/// Largest number of overlapping intervals from issue to end. One that ends
/// the nanosecond in which another begins does not overlap it: its slot was
/// free.
fn in_flight_peak(records: &[&Record]) -> u64 {
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
    use super::{client_of, in_flight_peak};
    use crate::record::{Record, RunEnd};

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
    fn a_thread_that_waits_for_a_core_is_busy() {
        let mut end = RunEnd {
            span_ns: 1_000,
            client_cpu_ns: Some(300),
            busiest_thread_cpu_ns: Some(200),
            ..RunEnd::default()
        };
        let older = client_of(&[], Some(&end));
        assert_eq!(older.busiest_thread_percent, Some(20.0));
        assert_eq!(older.busiest_thread_wait_percent, None);
        assert_eq!(older.wait_per_turn_ns, None);
        end.client_wait_ns = Some(800);
        end.busiest_thread_wait_ns = Some(700);
        end.client_turns = Some(4);
        let found = client_of(&[], Some(&end));
        assert_eq!(found.cpu_percent, Some(30.0));
        assert_eq!(found.busiest_thread_percent, Some(90.0));
        assert_eq!(found.host_took_percent, None);
        assert_eq!(found.busiest_thread_wait_percent, Some(70.0));
        assert_eq!(found.wait_per_turn_ns, Some(200.0));
        end.client_turns = Some(0);
        assert_eq!(client_of(&[], Some(&end)).wait_per_turn_ns, None);
    }

    #[test]
    fn what_the_host_took_is_a_share_of_what_was_wanted() {
        let mut end = RunEnd {
            cores_busy_ticks: Some(300),
            ..RunEnd::default()
        };
        let taken = |end: &RunEnd| client_of(&[], Some(end)).host_took_percent;
        assert_eq!(taken(&end), None);
        for (stolen_ticks, percent, disturbed) in [(0, 0.0, false), (100, 25.0, true)] {
            end.cores_stolen_ticks = Some(stolen_ticks);
            assert_eq!(taken(&end), Some(percent));
            let client = client_of(&[], Some(&end));
            assert_eq!(client.is_disturbed_by_host(), disturbed);
        }
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
                in_flight_peak(&records(intervals).iter().collect::<Vec<_>>()),
                *expected,
                "{intervals:?}"
            );
        }
    }
}
