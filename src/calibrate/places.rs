//! Which cores server and client of a calibration have.

use super::cores;

/// Where server and client run: on cores of their own where there are two.
pub(super) struct Places {
    /// The server's core.
    pub(super) server: Option<usize>,
    pub(super) words: String,
}

impl Places {
    /// Keeps this thread, and the client's that it starts, off the core that is
    /// chosen for the server.
    pub(super) fn take() -> Self {
        let allowed = cores::allowed();
        let Some((server, client)) = allowed.split_last().filter(|(_, rest)| !rest.is_empty())
        else {
            return Self {
                server: None,
                words: "server and client share the only core".to_owned(),
            };
        };
        match cores::keep_to(client) {
            Ok(()) => Self {
                server: Some(*server),
                words: format!(
                    "server a process of its own on core {server}, client on {}",
                    listed(client)
                ),
            },
            Err(error) => Self {
                server: None,
                words: format!("server and client wherever the system likes ({error:#})"),
            },
        }
    }
}

fn listed(cores: &[usize]) -> String {
    match cores {
        [one] => format!("core {one}"),
        [first, .., last] if last - first + 1 == cores.len() => {
            format!("cores {first} to {last}")
        }
        _ => format!("{} others", cores.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn cores_are_named() {
        for (cores, words) in [
            (&[3][..], "core 3"),
            (&[0, 1, 2], "cores 0 to 2"),
            (&[0, 5], "2 others"),
            (&[], "0 others"),
        ] {
            assert_eq!(listed(cores), words);
        }
    }
}
