//! What can go wrong on a wire, sorted by what a user would do about it.
//! Knows no protocol: the clients choose the kind and write the sentence.

use std::fmt;

/// Why a request or a probe failed. The kinds are what failures are counted
/// by; the text is for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// No connection: refused, reset at once, unknown host, TLS failed.
    Connect,
    /// Somebody answers, but in another protocol than the backend speaks.
    Protocol,
    /// The key is missing or wrong (HTTP 401, 403; gRPC UNAUTHENTICATED).
    Auth,
    /// The server is up and does not have the model, or has it not ready.
    Model,
    /// The server understood and refused this request (400, 422, INVALID_ARGUMENT).
    Rejected,
    /// The server is overloaded and says so (429, 503, RESOURCE_EXHAUSTED).
    Overloaded,
    /// The server failed: 5xx, an engine error, an error inside the answer.
    Server,
    /// The answer ended before it was whole: connection closed, stream reset,
    /// no end mark.
    Cut,
    /// The answer is whole and makes no sense: broken JSON, tensors that are
    /// missing or of another shape, counts that shrink.
    Malformed,
    /// No first token in time. Given by the runner, never by a backend.
    TimeoutFirstToken,
    /// No further token in time. Given by the runner, never by a backend.
    TimeoutBetweenTokens,
    /// Stopped by the user before its end. Given by the runner.
    Cancelled,
}

impl ErrorKind {
    /// Every kind, in the order of the declaration.
    pub const ALL: [Self; 12] = [
        Self::Connect,
        Self::Protocol,
        Self::Auth,
        Self::Model,
        Self::Rejected,
        Self::Overloaded,
        Self::Server,
        Self::Cut,
        Self::Malformed,
        Self::TimeoutFirstToken,
        Self::TimeoutBetweenTokens,
        Self::Cancelled,
    ];

    /// The name in records and reports, such as `timeout_first_token`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Protocol => "protocol",
            Self::Auth => "auth",
            Self::Model => "model",
            Self::Rejected => "rejected",
            Self::Overloaded => "overloaded",
            Self::Server => "server",
            Self::Cut => "cut",
            Self::Malformed => "malformed",
            Self::TimeoutFirstToken => "timeout_first_token",
            Self::TimeoutBetweenTokens => "timeout_between_tokens",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A failure on the wire: a kind to count by and a sentence to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What it is counted as.
    pub kind: ErrorKind,
    /// What happened, where, and the server's own words, cut by [`excerpt`].
    pub message: String,
}

impl Error {
    /// An error of `kind` that reads `message`.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The most of a server's own words that an error repeats, in bytes.
const EXCERPT_BYTES: usize = 300;

/// A server's own words, fit to be repeated: at most 300 bytes, on one line,
/// without control characters. Some servers echo the whole prompt in an error
/// (LMDeploy 0.9 to 0.15), and a terminal must not obey them.
#[must_use]
pub fn excerpt(words: &str) -> String {
    let mut out = String::new();
    for c in words.trim().chars() {
        if out.len() + c.len_utf8() > EXCERPT_BYTES {
            out.push_str(" ...");
            break;
        }
        if !is_steering(c) {
            out.push(c);
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out
}

/// Control characters, and those that turn the direction of reading or begin a
/// line.
fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{ErrorKind, excerpt};

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn an_excerpt_is_short_and_tame() {
        assert_eq!(excerpt("  plain words \n"), "plain words");
        assert_eq!(excerpt("a\r\n\tb\x1b[31mc"), "a b [31mc");
        assert_eq!(excerpt("a\u{9b}2Jb\u{202e}c"), "a 2Jb c");
        let long = excerpt(&"é".repeat(1000));
        assert!(
            long.ends_with(" ...") && long.len() <= 304,
            "{}",
            long.len()
        );
    }
}
