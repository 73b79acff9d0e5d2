//! The system's limit on open files, which is one on connections, too.

use anyhow::{Result, bail};

/// Open files beside the connections of the slots: records, pipes, epoll, the
/// connections of probes.
const ASIDE: u64 = 64;

/// More than Linux gives to a process unless its administrator says otherwise.
const MOST: u64 = 1 << 20;

/// Makes room for `connections` open connections: raises the process' own limit
/// where the system lets it.
///
/// # Errors
/// When the system does not let it have that many.
pub fn make_room(connections: u64) -> Result<()> {
    let wanted = connections.saturating_add(ASIDE);
    let Some(most) = raise(wanted) else {
        return Ok(());
    };
    if most < wanted {
        bail!(
            "{connections} connections need {wanted} open files, and the system allows this \
             process {most}; lower --concurrency, or raise the limit (ulimit -n {wanted})"
        );
    }
    Ok(())
}

/// Makes room for as many as the system allows, for a server that does not know
/// how many will come.
pub fn make_all_room() {
    // What is not allowed is missed when it is needed, not before.
    let _ = raise(MOST);
}

/// The limit, raised to `wanted` if need be and as far as may be; `None`: none.
#[cfg(unix)]
fn raise(wanted: u64) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current?;
    if current >= wanted {
        return Some(current);
    }
    let raised = limit.maximum.map_or(wanted, |most| most.min(wanted));
    let asked = Rlimit {
        current: Some(raised),
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, asked) {
        Ok(()) => Some(raised),
        Err(_) => Some(current),
    }
}

#[cfg(not(unix))]
fn raise(_: u64) -> Option<u64> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::make_room;

    #[test]
    fn what_the_system_does_not_allow_is_said() {
        make_room(8).expect("a handful");
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        if let Some(most) = limit.maximum {
            let error = make_room(most).expect_err("more than all").to_string();
            assert!(
                error.contains("ulimit") && error.contains("--concurrency"),
                "{error}"
            );
        }
    }
}
