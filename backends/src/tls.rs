//! TLS as every client here speaks it: rustls with ring; whose word on a
//! certificate counts, and as whom the client comes. Knows no protocol above and
//! opens no file.

mod verifier;
mod words;

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use self::verifier::{Given, Unchecked};
pub(crate) use self::words::{of_words, refusal};
use crate::event_loop::Tcp;
use crate::{Error, ErrorKind};

/// What may stand behind a connection that breaks at the first question.
pub(crate) const MAYBE_CERTIFICATE: &str =
    "; if it wants a certificate of the client, give one with --tls-cert and --tls-key";

/// Whom an encrypted connection trusts, and as whom it comes. By itself: those
/// whom the system trusts, as nobody in particular.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    trust: Trust,
    identity: Option<Identity>,
}

#[derive(Clone, Debug, Default)]
enum Trust {
    /// The system's own verdict.
    #[default]
    System,
    /// These certificates and what they have signed, and nobody else.
    Given(Vec<CertificateDer<'static>>),
    /// Whoever answers.
    Anybody,
}

/// A certificate of the client, and its key, which is not printed.
#[derive(Clone)]
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Tls {
    /// Trusts the certificates of this PEM text and what they have signed, and
    /// nobody else.
    ///
    /// # Errors
    /// When the text holds no certificate that can be read.
    pub fn trust(&mut self, pem: &[u8]) -> Result<(), Error> {
        let certificates = certificates(pem)?;
        Given::new(&certificates, &provider())
            .map_err(|error| unusable(&format!("a certificate in it cannot be used ({error})")))?;
        self.trust = Trust::Given(certificates);
        Ok(())
    }

    /// Trusts whoever answers.
    pub fn trust_anybody(&mut self) {
        self.trust = Trust::Anybody;
    }

    /// Shows the server this certificate (behind it in the text, if need be,
    /// those that lead to its authority), whose key this is; both PEM.
    ///
    /// # Errors
    /// What is wrong with them, or that they do not belong together. Repeats
    /// nothing of either.
    pub fn identify(&mut self, chain_pem: &[u8], key_pem: &[u8]) -> Result<(), Error> {
        let chain = certificates(chain_pem)?;
        let key = private_key(key_pem)?;
        let fits = CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider());
        fits.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => unusable(
                "the private key belongs to another certificate; give the two that were made \
                 together",
            ),
            _ => unusable("the private key is of a kind that is not known here"),
        })?;
        self.identity = Some(Identity {
            chain,
            key: Arc::new(key),
        });
        Ok(())
    }

    /// Whose word on a server's certificate counts: `system`, `given` or
    /// `nobody`.
    #[must_use]
    pub fn trusted(&self) -> &'static str {
        match self.trust {
            Trust::System => "system",
            Trust::Given(_) => "given",
            Trust::Anybody => "nobody",
        }
    }

    /// Whether the client has a certificate of its own.
    #[must_use]
    pub fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// Settings that offer `protocol` (ALPN). The system's roots take time to
    /// read: where none are `wanted`, as nothing will be encrypted, nobody is
    /// trusted.
    ///
    /// # Errors
    /// When the system's roots cannot be read.
    pub(crate) fn config(&self, wanted: bool, protocol: &[u8]) -> Result<ClientConfig, Error> {
        use rustls_platform_verifier::BuilderVerifierExt as _;
        let failed = |error: rustls::Error| {
            let words = format!(
                "cannot set up TLS: {error}; install the system's CA certificates, or give the \
                 server's with --tls-ca"
            );
            Error::new(ErrorKind::Connect, words)
        };
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?;
        let builder = match &self.trust {
            _ if !wanted => builder.with_root_certificates(RootCertStore::empty()),
            Trust::System => builder.with_platform_verifier().map_err(failed)?,
            Trust::Given(certificates) => {
                let given = Given::new(certificates, &provider).map_err(failed)?;
                let builder = builder.dangerous();
                builder.with_custom_certificate_verifier(Arc::new(given))
            }
            Trust::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unchecked::new(&provider))),
        };
        let mut config = match &self.identity {
            Some(Identity { chain, key }) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(failed)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(config)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn unusable(words: &str) -> Error {
    Error::new(ErrorKind::Connect, words)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(unusable(
            "it holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)",
        )),
        Err(_) => Err(unusable("its PEM text is broken")),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let locked = "ENCRYPTED";
        let is_locked = pem
            .windows(locked.len())
            .any(|bytes| bytes == locked.as_bytes());
        unusable(if is_locked {
            "the private key is locked by a passphrase; take that off first (openssl pkey -in \
             KEY -out FILE)"
        } else {
            "there is no private key in PEM form in it (`-----BEGIN PRIVATE KEY-----`)"
        })
    })
}

/// Encrypts a connection that is open, to the server that is called `host`.
///
/// # Errors
/// Why not; [`refusal`] has it in words.
pub(crate) async fn secured(
    config: &Arc<ClientConfig>,
    host: &str,
    socket: Tcp,
) -> io::Result<TlsStream<Tcp>> {
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
    let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let connector = TlsConnector::from(Arc::clone(config));
    connector.connect(name, socket).await
}

#[cfg(test)]
pub(crate) mod tests;
