//! What the host of a virtual machine took of its cores, as Linux counts it. Who
//! waits for such a core waits unseen: the machine's own clock of waits stands still.

/// Time of all cores of this machine, in the system's ticks of 1/100 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cores {
    /// At work.
    pub(super) busy_ticks: u64,
    /// With work, while the host had the core for others ("steal").
    pub(super) stolen_ticks: u64,
}

impl Cores {
    /// Asks the system; `None` where it does not tell.
    pub(super) fn now() -> Option<Self> {
        Self::read(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    /// The first line of Linux' `/proc/stat` (proc_stat(5)): `cpu`, then ticks of
    /// user, nice, system, idle, iowait, irq, softirq, steal. What guests of this
    /// machine used is in user, too.
    fn read(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .map_while(|word| word.parse().ok())
            .collect();
        let [user, nice, system, _, _, irq, softirq, stolen_ticks, ..] = *ticks else {
            return None;
        };
        let busy = [nice, system, irq, softirq];
        Some(Self {
            busy_ticks: busy
                .iter()
                .fold(user, |sum, &part| sum.saturating_add(part)),
            stolen_ticks,
        })
    }

    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            busy_ticks: self.busy_ticks.saturating_sub(earlier.busy_ticks),
            stolen_ticks: self.stolen_ticks.saturating_sub(earlier.stolen_ticks),
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            busy_ticks: self.busy_ticks.saturating_add(other.busy_ticks),
            stolen_ticks: self.stolen_ticks.saturating_add(other.stolen_ticks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cores;

    #[test]
    fn the_systems_line_is_read() {
        let cores = |busy_ticks, stolen_ticks| {
            Some(Cores {
                busy_ticks,
                stolen_ticks,
            })
        };
        for (stat, expected) in [
            ("cpu  1 2 3 400 500 6 7 8 9 10\ncpu0 1 1", cores(19, 8)),
            ("cpu  1 2 3 400 500 6 7 8", cores(19, 8)),
            // Before Linux 2.6.11 there was no steal.
            ("cpu  1 2 3 400 500 6 7", None),
            ("cpu  1 2 x 400 500 6 7 8", None),
            ("cpu0 1 2 3 400 500 6 7 8", None),
            ("", None),
        ] {
            assert_eq!(Cores::read(stat), expected, "{stat}");
        }
    }

    #[test]
    fn stretches_are_told_apart_and_added_up() {
        let at = |busy_ticks, stolen_ticks| Cores {
            busy_ticks,
            stolen_ticks,
        };
        let one = at(150, 7).since(at(100, 5));
        assert_eq!(one.and(at(10, 1)), at(60, 3));
        // A counter of steal may run backwards when a machine is moved.
        assert_eq!(at(1, 1).since(at(2, 2)), at(0, 0));
    }
}
