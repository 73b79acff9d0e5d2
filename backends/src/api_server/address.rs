//! Where a server is: an address as people write it, and TLS for https. Opens
//! nothing.

use std::sync::Arc;

use reqwest::Url;

use crate::{Error, ErrorKind, excerpt};

fn connect(words: &str) -> Error {
    Error::new(ErrorKind::Connect, words)
}

/// `HOST:PORT` is http; a path behind it stays in front of every endpoint.
pub(super) fn base_url(address: &str) -> Result<Url, Error> {
    let text = address.trim();
    let text = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let bad = |why: &str| {
        connect(&format!(
            "`{}` is no address of an api_server ({why}); give HOST:PORT, with http:// or \
             https:// in front if wanted",
            excerpt(address)
        ))
    };
    let url = Url::parse(&text).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it speaks http or https only"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad("it names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(connect(
            "the address holds a user name or a password, which would show in records; give the \
             key by --api-key or OPENAI_API_KEY",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it holds a query"));
    }
    Ok(url)
}

/// TLS with the ring provider. The platform's roots take time to read, so only
/// an https address has them read.
pub(super) fn tls(wanted: bool) -> Result<rustls::ClientConfig, Error> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let failed = |error: rustls::Error| connect(&format!("cannot set up TLS: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let mut config = if wanted {
        builder
            .with_platform_verifier()
            .map_err(failed)?
            .with_no_client_auth()
    } else {
        builder
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::base_url;

    #[test]
    fn addresses_are_read() {
        for (address, url) in [
            ("127.0.0.1:23333", "http://127.0.0.1:23333/"),
            (" localhost:1 ", "http://localhost:1/"),
            ("[::1]:23333", "http://[::1]:23333/"),
            ("https://host/prefix/", "https://host/prefix/"),
        ] {
            assert_eq!(base_url(address).expect(address).as_str(), url);
        }
        for address in ["", "http://", "ftp://h:1", "h:port", "http://h:1/?q=1"] {
            let error = base_url(address).expect_err(address);
            assert!(error.message.contains("HOST:PORT"), "{}", error.message);
        }
        let secret = base_url("http://me:sekret@h:1").expect_err("a password");
        assert!(!secret.message.contains("sekret"), "{}", secret.message);
    }
}
