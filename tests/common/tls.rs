//! Authorities, the certificates that they sign, and a door of TLS in front of a
//! server that has none.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::Desk;

/// Signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Pair {
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
    pub certificate_pem: String,
    pub key_pem: String,
}

/// Names that a certificate is for, and whether it has expired.
fn params(names: &[&str], expired: bool) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    if expired {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(&[], false);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn pair(certificate: &rcgen::Certificate, key: &KeyPair) -> Pair {
    Pair {
        certificate: certificate.der().clone(),
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
    }
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let issuer =
            CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap());
        Self {
            issuer: issuer.unwrap(),
        }
    }

    pub fn pem(&self) -> String {
        self.issuer.as_ref().pem()
    }

    /// A certificate for these names.
    pub fn signs(&self, names: &[&str]) -> Pair {
        self.sign(&params(names, false))
    }

    /// One that was good until 2021.
    pub fn signed_long_ago(&self, names: &[&str]) -> Pair {
        self.sign(&params(names, true))
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        pair(&params.signed_by(&key, &self.issuer).unwrap(), &key)
    }
}

/// What `openssl req -x509` makes: an authority's certificate that is a server's,
/// too.
pub fn vouches_for_itself(names: &[&str], expired: bool) -> Pair {
    let key = KeyPair::generate().unwrap();
    let mut params = params(names, expired);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    pair(&params.self_signed(&key).unwrap(), &key)
}

impl Pair {
    /// Both as files on the desk, the certificate first.
    pub fn on(&self, desk: &Desk, name: &str) -> (String, String) {
        (
            desk.write(&format!("{name}.crt"), &self.certificate_pem),
            desk.write(&format!("{name}.key"), &self.key_pem),
        )
    }
}

/// TLS in front of a server without; closed when dropped.
pub struct Door {
    /// `https://127.0.0.1:PORT`.
    pub address: String,
    /// Connections over which TLS came to stand.
    pub opened: Arc<AtomicUsize>,
    _runtime: Runtime,
}

/// How a door opens.
pub struct Lock<'a> {
    pub pair: Pair,
    /// Protocols that are offered above TLS.
    pub protocols: &'a [&'a [u8]],
    /// Whose certificates the client has to show.
    pub wants: Option<&'a Authority>,
    pub versions: &'static [&'static SupportedProtocolVersion],
}

impl Lock<'_> {
    /// Both protocols, nothing wanted of the client.
    pub fn of(pair: Pair) -> Self {
        Self {
            pair,
            protocols: &[b"h2", b"http/1.1"],
            wants: None,
            versions: rustls::ALL_VERSIONS,
        }
    }

    fn config(self) -> ServerConfig {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.versions)
            .unwrap();
        let builder = match self.wants {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.issuer.as_ref().der().clone()).unwrap();
                let roots = Arc::new(roots);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let pair = self.pair;
        let mut config = builder
            .with_single_cert(vec![pair.certificate], pair.key)
            .unwrap();
        config.alpn_protocols = self
            .protocols
            .iter()
            .map(|protocol| protocol.to_vec())
            .collect();
        config
    }
}

impl Door {
    /// A door in front of the server at `inner`.
    pub fn before(inner: &str, lock: Lock<'_>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(lock.config()));
        let inner: SocketAddr = inner.parse().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    stream.set_nodelay(true).unwrap();
                    // Who does not trust it hangs up.
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                    let mut inner = TcpStream::connect(inner).await.unwrap();
                    inner.set_nodelay(true).unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut inner).await;
                });
            }
        });
        Self {
            address: format!("https://127.0.0.1:{port}"),
            opened,
            _runtime: runtime,
        }
    }

    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    /// The same place by a name that this machine has, too.
    pub fn by_name(&self) -> String {
        self.address.replace("127.0.0.1", "localhost")
    }
}

/// The only run folder on the desk.
pub fn only_run(desk: &Desk) -> PathBuf {
    let runs = desk.runs();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}
