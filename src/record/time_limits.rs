//! How long a run waited for its server. A request that outlasts a limit fails
//! and counts as failed, so they belong to what was measured.

use serde::{Deserialize, Serialize};

/// The time limits of a run, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeLimits {
    /// For a connection to be there.
    pub connect_ns: u64,
    /// For a request's first token; for the whole answer where it comes in one
    /// piece.
    pub first_token_ns: u64,
    /// From one token to the next.
    pub between_tokens_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::super::{Host, RunHeader};

    #[test]
    fn older_records_have_neither_host_nor_limits() {
        let older = serde_json::to_string(&RunHeader::default()).expect("plain values");
        assert!(!older.contains("host") && !older.contains("time_limits"));
        let header: RunHeader = serde_json::from_str(&older).expect("readable");
        assert_eq!((header.host, header.time_limits), (None, None));
        let host: Host = serde_json::from_str(r#"{"cores":2,"cpu":"x"}"#).expect("readable");
        assert!(host.system.is_empty());
    }
}
