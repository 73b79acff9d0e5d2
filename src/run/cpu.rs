//! Processor time of the client's own threads, as the system counts it.

use std::collections::HashMap;

use super::CLIENT_THREAD;

/// Processor time of each client thread at one moment; empty where the system
/// does not tell (it is read from Linux' `/proc`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ThreadTimes(HashMap<u64, u64>);

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
            // First number: nanoseconds on a processor
            // (Linux, Documentation/scheduler/sched-stats.rst).
            let stat = std::fs::read_to_string(path.join("schedstat")).ok()?;
            let id = path.file_name()?.to_str()?.parse().ok()?;
            Some((id, stat.split(' ').next()?.parse().ok()?))
        });
        Self(times.collect())
    }

    /// Time since `earlier`, of all threads together and of the busiest one;
    /// `None` where the system does not tell.
    #[must_use]
    pub(super) fn since(&self, earlier: &Self) -> Option<(u64, u64)> {
        let spent = self.0.iter().map(|(id, now_ns)| {
            let before_ns = earlier.0.get(id).copied().unwrap_or_default();
            now_ns.saturating_sub(before_ns)
        });
        let (sum, max) = spent.fold((0, None), |(sum, max), ns| (sum + ns, max.max(Some(ns))));
        Some((sum, max?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::ThreadTimes;

    fn times(list: &[(u64, u64)]) -> ThreadTimes {
        ThreadTimes(list.iter().copied().collect::<HashMap<_, _>>())
    }

    #[test]
    fn the_sum_and_the_busiest_thread_are_told() {
        let spent = times(&[(1, 50), (2, 70), (3, 5)]).since(&times(&[(1, 10), (2, 60)]));
        assert_eq!(spent, Some((55, 40)));
    }

    #[test]
    fn no_threads_is_no_answer() {
        assert_eq!(times(&[]).since(&times(&[])), None);
    }
}
