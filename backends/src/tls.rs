//! TLS as every client here speaks it: rustls with ring, and the platform's
//! own verdict on certificates. Knows no protocol above.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use crate::{Error, ErrorKind};

/// Settings that offer `protocol` (ALPN). The platform's roots take time to
/// read: where none are `wanted`, as nothing will be encrypted, nobody is trusted.
///
/// # Errors
/// When the platform's roots cannot be read.
pub(crate) fn config(wanted: bool, protocol: &[u8]) -> Result<ClientConfig, Error> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let failed = |error: rustls::Error| {
        Error::new(ErrorKind::Connect, format!("cannot set up TLS: {error}"))
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let mut config = if wanted {
        builder
            .with_platform_verifier()
            .map_err(failed)?
            .with_no_client_auth()
    } else {
        builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

/// What to do about a failed handshake, where rustls' words (0.23; they are the
/// only sign that comes through all the layers above) do not say it.
pub(crate) fn advice(words: &str) -> Option<&'static str> {
    words.contains("InvalidContentType").then_some(
        "it does not speak TLS: give its address with http:// in front, or without https://",
    )
}

/// A server's identity that nobody but a test trusts.
#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsAcceptor;

    /// A server's side that offers `protocol`, and its certificate for 127.0.0.1.
    pub(crate) fn acceptor(protocol: &[u8]) -> (TlsAcceptor, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("a key that fits");
        config.alpn_protocols = vec![protocol.to_vec()];
        (TlsAcceptor::from(Arc::new(config)), certificate)
    }

    /// A client's side that trusts this certificate alone.
    pub(crate) fn trusting(certificate: CertificateDer<'static>, protocol: &[u8]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        let mut config = super::config(false, protocol).expect("TLS");
        let provider = Arc::clone(config.crypto_provider());
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        config
            .dangerous()
            .set_certificate_verifier(verifier.build().expect("a verifier"));
        config
    }
}
