//! What a failure of TLS means and what to do about it. Knows no wire.

use std::error::Error as StdError;
use std::io;

use rustls::{CertificateError, Error};

/// How rustls begins what a server said before it hung up. A server that wants a
/// certificate says so only when TLS stands on the client's side (TLS 1.3), and by
/// then the words are all that is left of the error.
const ALERT: &str = "received fatal alert: ";

/// What tokio-rustls says when the other side hangs up instead of answering.
const HUNG_UP: &str = "tls handshake eof";

/// In words, what of TLS stands behind an error: the cure first, as what follows
/// may be cut. `None`: nothing of TLS does.
pub(crate) fn refusal(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let within = innermost(error);
        if let Some(error) = within.downcast_ref::<Error>() {
            return Some(format!("{} ({error})", meaning(error)));
        }
        let words = within.to_string();
        if let Some(meaning) = of_words(&words) {
            return Some(format!("{meaning} ({words})"));
        }
        next = error.source();
    }
    None
}

/// What an I/O error was made of, through all that were made of each other: their
/// sources leave that out.
fn innermost<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    let mut error = error;
    while let Some(within) = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        error = within;
    }
    error
}

/// The same where words are all that there is.
pub(crate) fn of_words(words: &str) -> Option<&'static str> {
    if words.contains(HUNG_UP) {
        return Some(
            "it hung up while TLS was set up; if it does not speak TLS, write http:// in front \
             of the address",
        );
    }
    let (_, alert) = words.split_once(ALERT)?;
    let end = alert.find(|letter: char| !letter.is_ascii_alphanumeric());
    Some(of_alert(&alert[..end.unwrap_or(alert.len())]))
}

fn meaning(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::InvalidMessage(_) => {
            "what answers there does not speak TLS; write http:// in front of the address"
        }
        Error::PeerIncompatible(_) => "it speaks no TLS that is known here (1.2 and 1.3 are)",
        Error::NoApplicationProtocol => OTHER_PROTOCOL,
        error => of_words(&error.to_string()).unwrap_or("TLS failed"),
    }
}

const OTHER_PROTOCOL: &str = "it speaks TLS and another protocol than this backend; give the \
                              port of the other kind of server, or another --backend";

fn of_certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is not from an authority that is trusted here; give that authority's \
             certificate with --tls-ca"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; have it renewed, or look at this machine's clock"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; look at the clocks of both machines"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name; give the address by a name that it is for"
        }
        CertificateError::Revoked => "its certificate was revoked; have it replaced",
        CertificateError::Other(_) => {
            "its certificate cannot be used; if it vouches for itself and is the right one, give \
             it with --tls-ca"
        }
        _ => "its certificate cannot be used",
    }
}

/// What the server means, by the alert's name in rustls.
fn of_alert(name: &str) -> &'static str {
    match name {
        "CertificateRequired" => {
            "it wants a certificate of the client; give one with --tls-cert and --tls-key"
        }
        "BadCertificate"
        | "UnsupportedCertificate"
        | "CertificateRevoked"
        | "CertificateExpired"
        | "CertificateUnknown"
        | "UnknownCA"
        | "AccessDenied"
        | "DecryptError" => {
            "it refuses the client's certificate; give one of an authority that it trusts with \
             --tls-cert and --tls-key"
        }
        "HandshakeFailure" => {
            "it agrees to no way of encrypting, or wants a certificate of the client (--tls-cert, \
             --tls-key)"
        }
        "NoApplicationProtocol" => OTHER_PROTOCOL,
        "ProtocolVersion" | "InsufficientSecurity" => {
            "it speaks no TLS that is known here (1.2 and 1.3 are)"
        }
        "UnrecognisedName" => "it does not know the name of the host in the address",
        _ => "it broke TLS off",
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::{CertificateError, Error};

    use super::refusal;

    #[test]
    fn it_is_found_however_deep_it_lies() {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let inner = io::Error::new(io::ErrorKind::InvalidData, unknown);
        let outer = io::Error::other(io::Error::other(inner));
        let words = refusal(&outer).expect("found");
        assert!(words.contains("--tls-ca"), "{words}");
        for (error, part) in [
            (
                io::Error::other("connection error: received fatal alert: CertificateRequired"),
                Some("--tls-cert"),
            ),
            (
                io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof"),
                Some("http://"),
            ),
            (io::Error::from(io::ErrorKind::ConnectionRefused), None),
            (io::Error::other("boom"), None),
        ] {
            let words = refusal(&error);
            assert_eq!(words.is_some(), part.is_some(), "{words:?}");
            let words = words.unwrap_or_default();
            assert!(words.contains(part.unwrap_or_default()), "{words}");
        }
    }
}
