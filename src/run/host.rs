//! The machine that the client runs on, as far as the system tells.

use crate::record::Host;

/// Asks the system.
#[must_use]
pub fn host() -> Host {
    let cores = std::thread::available_parallelism();
    let facts = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    Host {
        cores: cores.map_or(0, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        cpu: model(&facts).unwrap_or_default().to_owned(),
    }
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
    use super::model;

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
