//! Which cores this process may use, and keeping a thread on one of them.
//! Linux only; elsewhere there is nothing to choose, and it says so.

use anyhow::Result;

/// The cores that this thread may run on, by the system's numbers; empty where
/// the system does not say.
#[must_use]
#[cfg(target_os = "linux")]
pub fn allowed() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};

    let Ok(set) = sched_getaffinity(None) else {
        return Vec::new();
    };
    (0..CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .collect()
}

/// See the other one: here the system does not say.
#[must_use]
#[cfg(not(target_os = "linux"))]
pub fn allowed() -> Vec<usize> {
    Vec::new()
}

/// Keeps this thread, and those that it starts from now on, on one core.
///
/// # Errors
/// When the system does not let it.
#[cfg(target_os = "linux")]
pub fn pin(core: usize) -> Result<()> {
    use anyhow::{Context, ensure};
    use rustix::thread::{CpuSet, sched_setaffinity};

    ensure!(
        core < CpuSet::MAX_CPU,
        "there is no core {core} on this machine"
    );
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot keep to core {core}"))
}

/// See the other one: here it cannot be done.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn pin(core: usize) -> Result<()> {
    anyhow::bail!("threads cannot be kept on core {core} on this system")
}

/// Keeps this thread, and those that it starts from now on, on some cores.
///
/// # Errors
/// When the system does not let it.
#[cfg(target_os = "linux")]
pub fn keep_to(cores: &[usize]) -> Result<()> {
    use anyhow::Context;
    use rustix::thread::{CpuSet, sched_setaffinity};

    let mut set = CpuSet::new();
    for &core in cores.iter().filter(|core| **core < CpuSet::MAX_CPU) {
        set.set(core);
    }
    sched_setaffinity(None, &set).context("cannot keep to a part of the cores")
}

/// See the other one: here it cannot be done.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn keep_to(_: &[usize]) -> Result<()> {
    anyhow::bail!("threads cannot be kept on cores on this system")
}

#[cfg(test)]
mod tests {
    use super::{allowed, pin};

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_stays_where_it_is_put() {
        std::thread::spawn(|| {
            let last = *allowed().last().expect("it runs somewhere");
            pin(last).expect("allowed");
            assert_eq!(allowed(), [last]);
            assert!(pin(usize::MAX).is_err());
        })
        .join()
        .expect("done");
    }

    #[test]
    #[cfg(not(target_os = "linux"))]
    fn nothing_is_promised() {
        assert!(allowed().is_empty() && pin(0).is_err());
    }
}
