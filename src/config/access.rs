//! How the client gets in, as far as the command line tells: which arms are
//! encrypted, which key they get. Opens no file.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use backends::{Entry, Secret};

use super::Arm;
use crate::cli::AccessArgs;

/// The files that let the client in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Holds the key.
    pub key_file: Option<PathBuf>,
    /// Certificates that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
    /// The client's certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// No server's certificate is checked.
    pub insecure: bool,
}

impl Access {
    /// What the flags ask for.
    ///
    /// # Errors
    /// When they are about encryption and no arm is encrypted.
    pub(super) fn of(args: AccessArgs, arms: &[Arm]) -> Result<Self> {
        let flag = [
            ("--tls-ca", args.tls_ca.is_some()),
            ("--tls-cert", args.tls_cert.is_some()),
            ("--tls-insecure", args.tls_insecure),
        ];
        if let Some((flag, _)) = flag.iter().find(|(_, given)| *given) {
            ensure!(
                arms.iter().any(Arm::is_encrypted),
                "{flag}: no server is asked over TLS; write https:// in front of its address, or \
                 leave {flag} out"
            );
        }
        Ok(Self {
            key_file: args.api_key_file,
            ca: args.tls_ca,
            identity: args.tls_cert.zip(args.tls_key),
            insecure: args.tls_insecure,
        })
    }
}

impl Arm {
    /// Whether the address asks for TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        let scheme = self.address.trim().split_once("://");
        scheme.is_some_and(|(scheme, _)| {
            ["https", "grpcs"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known))
        })
    }
}

/// The key for an arm. One that was typed is for every arm; the environment's
/// is OpenAI's, so no Triton server gets it unasked, and nobody where a file has
/// the key.
pub(super) fn key(entry: &Entry, access: &AccessArgs) -> Option<String> {
    let key = match &access.api_key {
        Some(key) => key.expose().to_owned(),
        None if access.api_key_file.is_some() || entry.family != "api_server" => return None,
        None => std::env::var("OPENAI_API_KEY").ok()?,
    };
    (!key.is_empty()).then_some(key)
}

/// Refuses an address with a name, a password or a query in it before anything
/// repeats it: it would show in the records.
pub(super) fn refuse_secrets(entry: &Entry, address: &str) -> Result<()> {
    ensure!(
        !address.contains(['@', '?', '#']),
        "--backend {}: the address holds a user name, a password or a query, which would show in \
         records and in the list of processes; give HOST:PORT, with http:// or https:// in front \
         if wanted, and the key by --api-key-file or OPENAI_API_KEY",
        entry.name
    );
    Ok(())
}

/// A word as it was typed, where it cannot be an address with a password in it.
pub(super) fn shown(word: &str) -> &str {
    if word.contains(['@', '?', '#']) || word.contains("://") {
        "..."
    } else {
        word
    }
}

/// All keys that are known, each once.
pub(super) fn keys(arms: &[Arm]) -> Vec<Secret> {
    let mut keys: Vec<Secret> = Vec::new();
    for key in arms.iter().filter_map(|arm| arm.target.api_key.clone()) {
        let key = Secret::from(key);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}
