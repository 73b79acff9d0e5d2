//! A server's identity that nobody but a test trusts, and what becomes of keys and
//! certificates that cannot be used.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsAcceptor;

use super::Tls;

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
    let mut config = Tls::default().config(false, protocol).expect("TLS");
    let provider = Arc::clone(config.crypto_provider());
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    config
        .dangerous()
        .set_certificate_verifier(verifier.build().expect("a verifier"));
    config
}

/// A certificate and its key, PEM.
fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["h".to_owned()]).expect("made");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn what_was_given_is_told_and_the_key_is_not() {
    let (certificate, key) = pair();
    let mut tls = Tls::default();
    assert_eq!((tls.trusted(), tls.has_identity()), ("system", false));
    tls.trust(certificate.as_bytes()).expect("a certificate");
    tls.identify(certificate.as_bytes(), key.as_bytes())
        .expect("a pair");
    assert_eq!((tls.trusted(), tls.has_identity()), ("given", true));
    let middle = key.lines().nth(1).expect("base64");
    assert!(!format!("{tls:?}").contains(middle));
    tls.trust_anybody();
    assert_eq!(tls.trusted(), "nobody");
}

#[test]
fn what_cannot_be_used_is_named_and_not_repeated() {
    let (certificate, key) = pair();
    let (_, other_key) = pair();
    let broken = key.replace("-----END PRIVATE KEY-----", "");
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
    let secrets: Vec<String> = [&key, &other_key]
        .iter()
        .flat_map(|key| key.lines().skip(1).map(str::to_owned))
        .filter(|line| !line.starts_with('-'))
        .collect();
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (authority, part) in [
        ("", "no certificate"),
        ("hello", "no certificate"),
        (key.as_str(), "no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAA", "broken"),
        (nonsense, "cannot be used"),
    ] {
        let error = Tls::default().trust(authority.as_bytes());
        let error = error.expect_err(part).message;
        assert!(error.contains(part), "{error}");
        assert!(!error.contains("AAAA"), "{error}");
    }
    for (certificate, key, part) in [
        (
            certificate.as_str(),
            other_key.as_str(),
            "another certificate",
        ),
        (&certificate, &certificate, "no private key"),
        (&certificate, &broken, "no private key"),
        (&certificate, locked, "passphrase"),
        (&key, &key, "no certificate"),
    ] {
        let error = Tls::default().identify(certificate.as_bytes(), key.as_bytes());
        let error = error.expect_err(part).message;
        assert!(error.contains(part), "{error}");
        for line in secrets.iter().filter(|line| line.len() > 20) {
            assert!(!error.contains(line.as_str()), "{error}");
        }
    }
}
