//! What Linux says of a process (`proc_pid_status(5)`, `proc_pid_fd(5)`).

use std::path::PathBuf;

/// What a process holds right now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    /// Resident memory, kB (units of 1,024 bytes).
    pub(crate) resident_kb: u64,
    /// The most so far.
    pub(crate) peak_kb: u64,
    /// Open file descriptors.
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

/// Looks at a process; `None`: it is gone.
pub(crate) fn held(process: u32) -> Option<Held> {
    let folder = PathBuf::from(format!("/proc/{process}"));
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let number = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Held {
        // A process that has ended has a status, but no memory.
        resident_kb: number("VmRSS:")?,
        peak_kb: number("VmHWM:")?,
        descriptors: u64::try_from(std::fs::read_dir(folder.join("fd")).ok()?.count()).ok()?,
        threads: number("Threads:")?,
    })
}
