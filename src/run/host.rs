//! The machine that the client runs on, as far as the system tells.

use std::fs::read_to_string;

use crate::record::Host;

/// Asks the system.
#[must_use]
pub fn host() -> Host {
    let cores = std::thread::available_parallelism();
    let facts = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let online = read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    Host {
        cores: cores.map_or(0, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        online_cores: count(&online),
        cpu: model(&facts).unwrap_or_default().to_owned(),
        system: system(
            &read_to_string("/proc/sys/kernel/ostype").unwrap_or_default(),
            &read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default(),
            &read_to_string("/etc/os-release").unwrap_or_default(),
        ),
    }
}

/// `Linux 6.1.0, Debian GNU/Linux 12 (bookworm)`: the kernel, and what was built
/// on it as its file os-release says. The family's name alone where the system
/// tells neither.
fn system(kind: &str, kernel: &str, os_release: &str) -> String {
    let kernel = format!("{} {}", kind.trim(), kernel.trim());
    let pretty = os_release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = pretty.unwrap_or_default().trim().trim_matches(['"', '\'']);
    let parts = [kernel.trim(), name];
    let told: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    match told.is_empty() {
        true => std::env::consts::OS.to_owned(),
        false => told.join(", "),
    }
}

/// How many cores a list of Linux names: `0-3,8` are five. `None` for what is no
/// such list.
fn count(list: &str) -> Option<u32> {
    list.trim().split(',').try_fold(0_u32, |sum, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// The processor's name in Linux' `/proc/cpuinfo`: `model name` on x86,
/// `CPU part` (a number) on ARM, where there is no name.
fn model(cpuinfo: &str) -> Option<&str> {
    let value = |key: &str| {
        let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines.find_map(|(name, value)| (name.trim() == key).then_some(value.trim()))
    };
    value("model name").or_else(|| value("CPU part"))
}

#[cfg(test)]
mod tests {
    use super::{count, host, model, system};

    #[test]
    fn cores_are_counted() {
        for (list, expected) in [
            ("0\n", Some(1)),
            ("0-1\n", Some(2)),
            ("0-3,8-9,12\n", Some(7)),
            ("", None),
            ("all", None),
            ("3-1", None),
            ("0-4294967295", None),
            ("0-3000000000,0-3000000000", None),
        ] {
            assert_eq!(count(list), expected, "{list}");
        }
    }

    /// Under `taskset` a process has fewer cores, the machine has not.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_kept_process_is_on_the_same_machine() {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
        let free = host();
        let kept = std::thread::spawn(|| {
            let allowed = sched_getaffinity(None).expect("known");
            let first = (0..CpuSet::MAX_CPU).find(|&core| allowed.is_set(core));
            let mut one = CpuSet::new();
            one.set(first.expect("it runs somewhere"));
            sched_setaffinity(None, &one).expect("allowed");
            host()
        });
        let kept = kept.join().expect("done");
        assert_eq!(kept.cores, 1);
        assert!(kept.online_cores >= Some(free.cores), "{kept:?}");
        assert_eq!(
            (kept.online_cores, &kept.cpu),
            (free.online_cores, &free.cpu)
        );
    }

    #[test]
    fn the_system_is_named() {
        let debian = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=12\n";
        for (kind, kernel, release, expected) in [
            (
                "Linux\n",
                "6.1.0-18-amd64\n",
                debian,
                "Linux 6.1.0-18-amd64, Debian GNU/Linux 12 (bookworm)",
            ),
            ("Linux\n", "6.1.0\n", "ID=x\n", "Linux 6.1.0"),
            ("", "", "PRETTY_NAME='A B'\n", "A B"),
            ("", "", "", std::env::consts::OS),
        ] {
            assert_eq!(system(kind, kernel, release), expected);
        }
    }

    #[test]
    fn the_processor_is_named() {
        for (cpuinfo, expected) in [
            (
                "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: a b\n",
                Some("AMD EPYC"),
            ),
            ("processor\t: 0\nCPU part\t: 0xd0c\n", Some("0xd0c")),
            ("nothing of it\n", None),
            ("", None),
        ] {
            assert_eq!(model(cpuinfo), expected);
        }
    }
}
