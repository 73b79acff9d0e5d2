//! Whether the way to a server was secret, and who vouched for it.

use serde::{Deserialize, Serialize};

/// How connections were encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// Whose word on the server's certificate counted: `system`, `given` by the
    /// user, or `nobody`: then it was not checked.
    pub trusted: String,
    /// The client had a certificate of its own.
    pub client_certificate: bool,
}

impl Encryption {
    /// Whether the server's certificate was checked.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.trusted != "nobody"
    }
}
