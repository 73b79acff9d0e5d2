//! A server's identity for TLS, which whoever reads its certificate from a file
//! trusts.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

pub struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    file: tempfile::NamedTempFile,
}

impl Identity {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let base64 = base64::engine::general_purpose::STANDARD.encode(&certificate);
        let file = tempfile::NamedTempFile::new().unwrap();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
        std::fs::write(file.path(), pem).unwrap();
        Self {
            certificate,
            key: made.signing_key.serialize_der(),
            file,
        }
    }

    /// The certificate as PEM, for `SSL_CERT_FILE`.
    pub fn certificate_file(&self) -> &Path {
        self.file.path()
    }

    /// A server's side that offers `protocol`.
    pub fn acceptor(&self, protocol: &[u8]) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.key.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}
