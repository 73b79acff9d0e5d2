//! How a call or a connection ends before its time, in words.

use std::fmt;
use std::io;
use std::sync::Arc;

/// The code that a reset and a goodbye carry (RFC 9113, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reason(pub(crate) u32);

impl Reason {
    pub(crate) const NO_ERROR: Self = Self(0);
    pub(crate) const PROTOCOL_ERROR: Self = Self(1);
    pub(crate) const FLOW_CONTROL_ERROR: Self = Self(3);
    pub(crate) const FRAME_SIZE_ERROR: Self = Self(6);
    pub(crate) const CANCEL: Self = Self(8);
    pub(crate) const COMPRESSION_ERROR: Self = Self(9);
    pub(crate) const ENHANCE_YOUR_CALM: Self = Self(11);
}

/// Their names in a row (RFC 9113, 7).
const NAMES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = usize::try_from(self.0).ok().and_then(|at| NAMES.get(at));
        match name {
            Some(name) => f.write_str(name),
            None => write!(f, "error {:#x}", self.0),
        }
    }
}

/// A rule of HTTP/2 that the server broke, and what to tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) reason: Reason,
    pub(crate) words: &'static str,
}

impl Violation {
    pub(super) const fn new(reason: Reason, words: &'static str) -> Self {
        Self { reason, words }
    }

    pub(super) const fn protocol(words: &'static str) -> Self {
        Self::new(Reason::PROTOCOL_ERROR, words)
    }
}

/// The server's word that it takes no more calls.
#[derive(Clone, Debug)]
pub(crate) struct Goodbye {
    /// Calls above it were not begun.
    pub(super) last: u32,
    pub(super) reason: Reason,
    /// The server's own words, cut.
    pub(super) words: Arc<str>,
}

impl fmt::Display for Goodbye {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.words.is_empty() {
            write!(f, "GOAWAY with {}", self.reason)
        } else {
            write!(f, "GOAWAY with {}: {}", self.reason, self.words)
        }
    }
}

/// Why a call ended before its time.
#[derive(Clone, Debug)]
pub(crate) enum Error {
    /// The connection broke.
    Broken(Arc<io::Error>),
    /// The connection broke behind a goodbye.
    BrokenBehind(Goodbye, Arc<io::Error>),
    /// The server did not begin the call, as it takes no more.
    Unbegun(Goodbye),
    /// The server reset the call.
    Reset(Reason),
    /// What the server sent is no HTTP/2.
    Violated(Violation),
    /// The connection has had as many calls as it can.
    Spent,
    /// Whoever drove the connection is gone.
    Undriven,
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Broken(Arc::new(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(_) => f.write_str("the connection broke"),
            Self::BrokenBehind(goodbye, _) => {
                write!(f, "the connection broke; the server had said: {goodbye}")
            }
            Self::Unbegun(goodbye) => write!(f, "the server takes no more calls: {goodbye}"),
            Self::Reset(reason) => write!(f, "the server reset the call: {reason}"),
            Self::Violated(violation) => {
                let Violation { reason, words } = violation;
                write!(f, "the server's HTTP/2 is wrong: {words} ({reason})")
            }
            Self::Spent => f.write_str("the connection has no numbers left for calls"),
            Self::Undriven => f.write_str("the connection was given up"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Broken(error) | Self::BrokenBehind(_, error) => Some(&**error),
            _ => None,
        }
    }
}

impl Error {
    /// The same where nobody knows HTTP/2.
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Broken(error) => io::Error::new(error.kind(), Cause(error)),
            error => io::Error::other(error),
        }
    }
}

/// A failure of the connection, which is each of its calls'.
#[derive(Debug)]
struct Cause(Arc<io::Error>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.get_ref().map(|inner| inner as _)
    }
}
