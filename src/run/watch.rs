//! Looks after the client while a run goes: says once when it falls behind, so
//! that nobody has to wait for the end to learn that the figures will not
//! count. Stands beside the hot path: it reads what the system counts anyway,
//! and two counters of the slots.

use std::time::Duration;

use backends::Clock;

use super::Progress;
use super::cpu::{Shares, ThreadTimes};
use super::progress::Slips;
use crate::record::WAITING_BYTES_MAX;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks in a row that have to find threads busy: a start burst is over sooner.
const LOOKS_IN_A_ROW: u32 = 2;

/// Most of the time that a thread may be busy, in percent.
const MOST_BUSY: u64 = 80;

/// Most of the time that a thread may wait for a core, in percent.
const MOST_WAITING: u64 = 10;

/// Largest share of the time in which it has something to do that a thread may
/// wait for a core, and the least wait that is worth a word, both in percent.
const MOST_WAITING_OF_BUSY: u64 = 33;
const LEAST_WAITING: u64 = 1;

/// Requests that have to be over before slips are judged.
const ENOUGH: u64 = 20;

/// The watch over one run; ends when dropped.
#[derive(Debug)]
pub(super) struct Watch(tokio::task::JoinHandle<()>);

impl Watch {
    /// Watches the client's threads and the slots that write `progress`; `warn`
    /// gets what is to be said, at most once. `embedded`: servers run in this
    /// process, too. Must be called within a tokio runtime, not one of the client's
    /// own.
    pub(super) fn start(clock: Clock, progress: &Progress, embedded: bool, warn: fn(&str)) -> Self {
        let progress = progress.clone();
        Self(tokio::spawn(async move {
            warn(&fallen_behind(clock, &progress, embedded).await);
        }))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns when the client has fallen behind, with what was seen and what to do.
async fn fallen_behind(clock: Clock, progress: &Progress, embedded: bool) -> String {
    let mut busy_looks = 0;
    let (mut before, mut before_ns) = (ThreadTimes::now(), clock.now_ns());
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (now, now_ns) = (ThreadTimes::now(), clock.now_ns());
        let shares = now.since(&before).shares();
        let span_ns = now_ns.saturating_sub(before_ns);
        let busy = shares.and_then(|shares| busy(shares, span_ns, embedded));
        (before, before_ns) = (now, now_ns);
        busy_looks = if busy.is_some() { busy_looks + 1 } else { 0 };
        let seen = disk(progress)
            .or_else(|| busy.filter(|_| busy_looks >= LOOKS_IN_A_ROW))
            .or_else(|| too_late(progress.slips()));
        if let Some(seen) = seen {
            return seen;
        }
    }
}

/// What is to be said of a disk that does not follow.
fn disk(progress: &Progress) -> Option<String> {
    progress.has_waited_for_disk().then(|| {
        format!(
            "the disk does not follow: {} MB of records wait for it, and requests wait with them; \
             choose a folder on a faster disk with --records, or the run will not count (rule 4)",
            WAITING_BYTES_MAX >> 20
        )
    })
}

/// What is to be said of threads that had so much of `span_ns`.
fn busy(shares: Shares, span_ns: u64, embedded: bool) -> Option<String> {
    let percent = |ns: u64| ns.saturating_mul(100) / span_ns.max(1);
    let (busy, waiting) = (
        percent(shares.busiest.busy_ns()),
        percent(shares.busiest.wait_ns),
    );
    let shared = waiting >= LEAST_WAITING && waiting * 100 > busy * MOST_WAITING_OF_BUSY;
    if (shared && !embedded) || waiting > MOST_WAITING {
        return Some(format!(
            "the client falls behind: something else runs on its cores, and its busiest thread \
             waited for one for {waiting} % of the last second; end that, or take a client machine \
             of its own, or the run will not count (rule 4)"
        ));
    }
    (busy > MOST_BUSY).then(|| {
        format!(
            "the client falls behind: its busiest thread was busy for {busy} % of the last second; \
             give more --client-threads, take a faster client machine, or lower --concurrency, or \
             the run will not count (rule 4)"
        )
    })
}

/// What is to be said of delays before requests.
fn too_late(slips: Slips) -> Option<String> {
    let late = slips.p99_ns.saturating_mul(100) > slips.mean_ns;
    (slips.requests >= ENOUGH && late).then(|| {
        format!(
            "the client falls behind: one in a hundred requests goes out {:.1} ms late or more, \
             above 1 % of the {:.1} ms that a request takes; take a client machine with idle \
             cores, or lower --concurrency, or the run will not count (rule 4)",
            slips.p99_ns as f64 / 1e6,
            slips.mean_ns as f64 / 1e6
        )
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use backends::Clock;

    use super::super::cpu::{Shares, Spent};
    use super::{Progress, Slips, Watch, busy, disk, too_late};

    #[test]
    fn what_threads_had_is_judged() {
        // (milliseconds on a core, waiting, of a second; what is said)
        for (cpu, wait, words) in [
            (100, 0, None),
            (800, 0, None),
            (820, 0, Some("busy for 82 %")),
            (750, 90, Some("busy for 84 %")),
            (10, 300, Some("waited for one for 30 %")),
            (50, 20, None),
            (20, 15, Some("waited for one for 1 %")),
            (5, 9, None),
        ] {
            let busiest = Spent {
                cpu_ns: cpu * 1_000_000,
                wait_ns: wait * 1_000_000,
                turns: 1,
            };
            let shares = Shares {
                all: busiest,
                busiest,
                cores: None,
            };
            let said = busy(shares, 1_000_000_000, false);
            assert_eq!(said.is_some(), words.is_some(), "{cpu} {wait}: {said:?}");
            assert!(said.unwrap_or_default().contains(words.unwrap_or_default()));
            // A span of nothing is no division by zero.
            let _ = busy(shares, 0, false);
        }
    }

    #[test]
    fn late_requests_are_judged_against_what_they_take() {
        for (requests, mean_ns, p99_ns, says) in [
            (0, 0, 0, false),
            (10, 1_000, 1_000, false),
            (20, 1_000, 10, false),
            (20, 1_000, 11, true),
        ] {
            let slips = Slips {
                requests,
                mean_ns,
                p99_ns,
            };
            assert_eq!(too_late(slips).is_some(), says, "{slips:?}");
        }
    }

    #[test]
    fn a_disk_that_does_not_follow_is_said() {
        let progress = Progress::default();
        assert_eq!(disk(&progress), None);
        progress.waits_for_disk();
        let said = disk(&progress).unwrap_or_default();
        assert!(said.contains("--records"), "{said}");
    }

    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

    #[tokio::test(start_paused = true)]
    async fn it_speaks_once() {
        let progress = Progress::default();
        let watch = Watch::start(Clock::start(), &progress, false, |words| {
            SAID.lock().expect("whole").push(words.to_owned());
        });
        for _ in 0..30 {
            progress.finished(true, 1);
            progress.went_out(5_000_000, 100_000_000);
        }
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        drop(watch);
        let said = SAID.lock().expect("whole");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("4.1 ms late or more"), "{said:?}");
    }
}
