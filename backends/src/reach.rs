//! Why a server cannot be reached, and what to do about it. Knows the words of
//! the system and of std, which are all that is left when a library hands an
//! error on; no protocol.

/// What std says in front of the resolver's own words.
const UNKNOWN_NAME: &str = "failed to lookup address information";

/// `EADDRNOTAVAIL` of Linux, of the BSDs and macOS, and of Windows.
const NO_LOCAL_PORT: &[u32] = &[99, 49, 10_049];

/// `EMFILE`, `ENFILE`, and the first one's name on Windows.
const NO_DESCRIPTOR: &[u32] = &[24, 23, 10_024];

/// What to do about a connection that could not be opened.
#[cold]
pub(crate) fn cure(why: &str) -> &'static str {
    // std's way of naming an error of the system.
    let is = |numbers: &[u32]| {
        let mut names = numbers.iter().map(|number| format!("(os error {number})"));
        names.any(|name| why.contains(&name))
    };
    if why.contains(UNKNOWN_NAME) {
        "the name of the host is not known here: check its spelling, this machine's DNS and \
         /etc/hosts, or give an IP address"
    } else if is(NO_LOCAL_PORT) {
        "this machine has no local port left for it: ask fewer requests, lower --concurrency, or \
         widen net.ipv4.ip_local_port_range"
    } else if is(NO_DESCRIPTOR) {
        "this process has no file descriptor left for it: lower --concurrency, or raise the limit \
         (ulimit -n)"
    } else {
        "is the server running there?"
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::cure;

    #[test]
    #[cfg(unix)]
    fn what_the_system_lacks_is_named() {
        let none = if cfg!(target_os = "linux") { 99 } else { 49 };
        for (number, words) in [
            (none, "ip_local_port_range"),
            (24, "ulimit -n"),
            (23, "ulimit -n"),
            (111, "is the server running"),
        ] {
            let why = io::Error::from_raw_os_error(number).to_string();
            assert!(cure(&why).contains(words), "{why}: {}", cure(&why));
        }
    }

    #[tokio::test]
    async fn a_name_that_nobody_knows_is_named() {
        // RFC 6761: no such name will ever be.
        let error = tokio::net::lookup_host("nowhere.invalid:80").await;
        let why = error
            .map(drop)
            .expect_err("there is no such name")
            .to_string();
        assert!(cure(&why).contains("name of the host"), "{why}");
    }
}
