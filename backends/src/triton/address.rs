//! Where a Triton server is, as people write it. Knows no wire.

use crate::{Error, ErrorKind, excerpt};

/// A checked address: a base URI for tonic, and the pair for a plain socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub(super) uri: String,
    /// `HOST:PORT`, for the question who else answers there.
    pub(super) authority: String,
    /// Whether the connection is encrypted.
    pub(super) tls: bool,
}

impl Address {
    /// Reads `HOST:PORT`, `http://HOST:PORT` or `https://HOST:PORT`.
    ///
    /// LMDeploy's guide writes `0.0.0.0:33337`, which not every system can
    /// connect to: it becomes the loopback address.
    ///
    /// # Errors
    /// [`ErrorKind::Connect`], with what is wrong with the text.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |what: &str| {
            Error::new(
                ErrorKind::Connect,
                format!(
                    "`{}` {what}; write HOST:PORT, http://HOST:PORT or https://HOST:PORT \
                     (Triton's gRPC port is 8001 by default, LMDeploy's 33337)",
                    shown(text)
                ),
            )
        };
        let trimmed = text.trim();
        let (tls, rest) = match trimmed.split_once("://") {
            None => (false, trimmed),
            Some(("http" | "grpc", rest)) => (false, rest),
            Some(("https" | "grpcs", rest)) => (true, rest),
            Some(_) => return Err(refuse("has an unknown scheme")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) || authority.contains(char::is_whitespace) {
            return Err(refuse("is not a host and a port alone"));
        }
        let (host, port) = authority
            .rsplit_once(':')
            .filter(|(host, _)| !host.ends_with(':'))
            .ok_or_else(|| refuse("has no port"))?;
        if host.is_empty()
            || (host.contains(':') && !(host.starts_with('[') && host.ends_with(']')))
        {
            return Err(refuse(
                "has no usable host (an IPv6 address goes into brackets)",
            ));
        }
        let port = port
            .parse::<u16>()
            .ok()
            .filter(|&port| port > 0)
            .ok_or_else(|| refuse("has no usable port"))?;
        let host = match host {
            "0.0.0.0" => "127.0.0.1",
            "[::]" => "[::1]",
            other => other,
        };
        let scheme = if tls { "https" } else { "http" };
        Ok(Self {
            uri: format!("{scheme}://{host}:{port}"),
            authority: format!("{host}:{port}"),
            tls,
        })
    }
}

/// An address that was refused, without what may be secret in it: whatever
/// stands before an `@`, and a query.
fn shown(text: &str) -> String {
    let text = text.trim();
    let (scheme, rest) = match text.split_once("://") {
        // A password may hold anything; a scheme holds letters.
        Some((scheme, rest)) if scheme.chars().all(char::is_alphanumeric) => {
            (format!("{scheme}://"), rest)
        }
        _ => (String::new(), text),
    };
    let ends = ['?', '#'];
    let rest = match rest.rsplit_once('@') {
        // Whether the `@` belongs to the query is not to be known: show neither.
        Some((before, _)) if before.contains(ends) => "...".to_owned(),
        Some((_, host)) => format!("...@{host}"),
        None => rest.to_owned(),
    };
    let rest = match rest.split_once(ends) {
        Some((place, _)) => format!("{place}?..."),
        None => rest,
    };
    excerpt(&format!("{scheme}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::Address;
    use crate::ErrorKind;

    #[test]
    fn the_usual_forms_are_read() {
        for (text, uri) in [
            ("0.0.0.0:33337", "http://127.0.0.1:33337"),
            ("http://gpu7:8001", "http://gpu7:8001"),
            (" grpc://gpu7:8001/ ", "http://gpu7:8001"),
            ("https://gpu7.example:443/", "https://gpu7.example:443"),
            ("[::]:8001", "http://[::1]:8001"),
            ("[fe80::1]:8001", "http://[fe80::1]:8001"),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!(address.uri, uri, "{text}");
            assert_eq!(address.tls, uri.starts_with("https"));
            assert!(uri.ends_with(&address.authority));
        }
    }

    #[test]
    fn secrets_in_an_address_are_not_repeated() {
        for (text, shown) in [
            ("http://me:secret@gpu7:8001", "`http://...@gpu7:8001`"),
            ("me:secret@gpu7", "`...@gpu7`"),
            ("me:se://secret@gpu7:1", "`...@gpu7:1`"),
            ("http://me:se@cret@gpu7:1", "`http://...@gpu7:1`"),
            ("http://me:se?cret@gpu7:1", "`http://...`"),
            ("gpu7:8001?key=secret", "`gpu7:8001?...`"),
            ("http://gpu7/?a=se@cret", "`http://...`"),
            ("gpu7:8001/#secret", "`gpu7:8001/?...`"),
        ] {
            let error = Address::parse(text).expect_err(text);
            assert!(error.message.contains(shown), "{error}");
            for word in ["secret", "se@", "cret", "me:"] {
                assert!(!error.message.contains(word), "{error}");
            }
        }
    }

    #[test]
    fn what_is_no_address_is_refused_in_words() {
        for text in [
            "",
            ":",
            "gpu7",
            "gpu7:",
            ":8001",
            "gpu7:0",
            "gpu7:70000",
            "gpu7:http",
            "ftp://gpu7:8001",
            "http://gpu7:8001/v1",
            "fe80::1:8001",
            "me@gpu7:8001",
            "a b:1",
        ] {
            let error = Address::parse(text).expect_err(text);
            assert_eq!(error.kind, ErrorKind::Connect);
            assert!(error.message.contains("33337"), "{error}");
        }
    }
}
