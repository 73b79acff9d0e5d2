//! Processor time of the client's own threads, and the time they waited for a
//! processor, as the system counts both; and what the machine had of its own.

use std::collections::HashMap;

use super::CLIENT_THREAD;
use super::stolen::Cores;
use crate::record::RunEnd;

/// What one thread, or several together, had of the processors. A thread that
/// waits for a message is none of this; one that has its message and waits for
/// a core is as busy as one that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    /// Nanoseconds on a core.
    pub(super) cpu_ns: u64,
    /// Nanoseconds ready to run, without a core.
    pub(super) wait_ns: u64,
    /// Times that it got a core.
    pub(super) turns: u64,
}

impl Spent {
    /// Nanoseconds that were not idle.
    pub(super) fn busy_ns(self) -> u64 {
        self.cpu_ns.saturating_add(self.wait_ns)
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            wait_ns: self.wait_ns.saturating_sub(earlier.wait_ns),
            turns: self.turns.saturating_sub(earlier.turns),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_add(other.cpu_ns),
            wait_ns: self.wait_ns.saturating_add(other.wait_ns),
            turns: self.turns.saturating_add(other.turns),
        }
    }

    /// The line of a thread's `schedstat`: nanoseconds on a processor,
    /// nanoseconds waiting on a run queue, time slices (Linux,
    /// Documentation/scheduler/sched-stats.rst, "/proc/<pid>/schedstat").
    fn read(line: &str) -> Option<Self> {
        let mut numbers = line.split_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self {
            cpu_ns: next()?,
            wait_ns: next()?,
            turns: next()?,
        })
    }
}

/// What the client's threads had between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shares {
    /// All threads together.
    pub(super) all: Spent,
    /// The one that was idle for the least time.
    pub(super) busiest: Spent,
    /// What the machine's cores did meanwhile.
    pub(super) cores: Option<Cores>,
}

impl Shares {
    /// The end of a run as far as it is known here: everything else is unset.
    pub(super) fn end(shares: Option<Self>) -> RunEnd {
        let cores = shares.and_then(|shares| shares.cores);
        RunEnd {
            cores_busy_ticks: cores.map(|cores| cores.busy_ticks),
            cores_stolen_ticks: cores.map(|cores| cores.stolen_ticks),
            client_cpu_ns: shares.map(|shares| shares.all.cpu_ns),
            busiest_thread_cpu_ns: shares.map(|shares| shares.busiest.cpu_ns),
            client_wait_ns: shares.map(|shares| shares.all.wait_ns),
            busiest_thread_wait_ns: shares.map(|shares| shares.busiest.wait_ns),
            client_turns: shares.map(|shares| shares.all.turns),
            ..RunEnd::default()
        }
    }
}

/// What each client thread, and the machine, has had by one moment; empty where the
/// system does not tell (it is read from Linux' `/proc`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ThreadTimes {
    threads: HashMap<u64, Spent>,
    cores: Option<Cores>,
}

impl ThreadTimes {
    /// Asks the system.
    #[must_use]
    pub(super) fn now() -> Self {
        let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
            return Self::default();
        };
        let times = tasks.filter_map(|task| {
            let path = task.ok()?.path();
            let name = std::fs::read_to_string(path.join("comm")).ok()?;
            if name.trim_end() != CLIENT_THREAD {
                return None;
            }
            let stat = std::fs::read_to_string(path.join("schedstat")).ok()?;
            let id = path.file_name()?.to_str()?.parse().ok()?;
            Some((id, Spent::read(&stat)?))
        });
        Self {
            threads: times.collect(),
            cores: Cores::now(),
        }
    }

    /// What the threads that are there now have had since `earlier`, each.
    #[must_use]
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let spent = self.threads.iter().map(|(id, now)| {
            let before = earlier.threads.get(id).copied().unwrap_or_default();
            (*id, now.since(before))
        });
        let cores = self.cores.zip(earlier.cores);
        Self {
            threads: spent.collect(),
            cores: cores.map(|(now, before)| now.since(before)),
        }
    }

    /// Adds what each thread had in another stretch.
    pub(super) fn add(&mut self, other: &Self) {
        for (id, spent) in &other.threads {
            let sum = self.threads.entry(*id).or_default();
            *sum = sum.and(*spent);
        }
        self.cores = match (self.cores, other.cores) {
            (Some(sum), Some(more)) => Some(sum.and(more)),
            (sum, more) => sum.or(more),
        };
    }

    /// All of them together, and the busiest one; `None` where the system does
    /// not tell.
    #[must_use]
    pub(super) fn shares(&self) -> Option<Shares> {
        let mut threads = self.threads.values().copied();
        let first = threads.next()?;
        let first = Shares {
            all: first,
            busiest: first,
            cores: self.cores,
        };
        Some(threads.fold(first, |shares, one| {
            let busier = one.busy_ns() > shares.busiest.busy_ns();
            Shares {
                all: shares.all.and(one),
                busiest: if busier { one } else { shares.busiest },
                ..shares
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Cores, Shares, Spent, ThreadTimes};

    fn spent(cpu_ns: u64, wait_ns: u64, turns: u64) -> Spent {
        Spent {
            cpu_ns,
            wait_ns,
            turns,
        }
    }

    fn times(list: &[(u64, Spent)]) -> ThreadTimes {
        ThreadTimes {
            threads: list.iter().copied().collect(),
            cores: None,
        }
    }

    #[test]
    fn the_sum_and_the_busiest_thread_are_told() {
        let before = times(&[(1, spent(10, 0, 2)), (2, spent(60, 5, 3))]);
        let now = times(&[
            (1, spent(50, 1, 4)),
            (2, spent(70, 95, 5)),
            (3, spent(5, 0, 1)),
        ]);
        // The second thread ran least and waited longest.
        let expected = Shares {
            all: spent(55, 91, 5),
            busiest: spent(10, 90, 2),
            cores: None,
        };
        assert_eq!(now.since(&before).shares(), Some(expected));
    }

    #[test]
    fn stretches_add_up_by_thread() {
        // Another one is the busiest of each stretch than of both together.
        let mut sum = times(&[(1, spent(50, 0, 1)), (2, spent(60, 0, 1))]);
        sum.add(&times(&[(1, spent(40, 0, 2)), (2, spent(20, 5, 2))]));
        sum.add(&times(&[(3, spent(80, 0, 1))]));
        let shares = sum.shares().expect("threads");
        assert_eq!(shares.busiest, spent(90, 0, 3));
        assert_eq!(shares.all, spent(250, 5, 7));
    }

    #[test]
    fn what_the_host_took_goes_with_them() {
        let at = |busy_ticks, stolen_ticks| ThreadTimes {
            cores: Some(Cores {
                busy_ticks,
                stolen_ticks,
            }),
            ..times(&[(1, spent(1, 0, 1))])
        };
        let mut sum = at(150, 7).since(&at(100, 5));
        sum.add(&at(10, 1));
        let end = Shares::end(sum.shares());
        assert_eq!(
            (end.cores_busy_ticks, end.cores_stolen_ticks),
            (Some(60), Some(3))
        );
    }

    #[test]
    fn no_threads_is_no_answer() {
        assert_eq!(times(&[]).since(&times(&[])).shares(), None);
    }

    #[test]
    fn the_systems_line_is_read() {
        for (line, expected) in [
            ("0 60730 1\n", Some(spent(0, 60_730, 1))),
            ("12 3 4 extra", Some(spent(12, 3, 4))),
            ("12 3", None),
            ("", None),
            ("a b c", None),
            ("-1 2 3", None),
        ] {
            assert_eq!(Spent::read(line), expected, "{line:?}");
        }
    }
}
