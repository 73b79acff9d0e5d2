//! Flags that say how a server lets the client in: its key, its certificate, and
//! whose word on the server's counts.

use std::path::PathBuf;

use backends::Secret;
use clap::Args;

/// How the client gets in.
#[derive(Debug, Args)]
pub struct AccessArgs {
    /// Key for servers that want one, sent to every arm as `Authorization:
    /// Bearer KEY`, over gRPC as metadata. While pairbench runs, everybody on
    /// this machine can read it in the list of processes: rather use
    /// --api-key-file or OPENAI_API_KEY [default: for api_server the
    /// environment's OPENAI_API_KEY]
    #[arg(
        long = "api-key",
        visible_alias = "api_key",
        value_name = "KEY",
        conflicts_with = "api_key_file"
    )]
    pub api_key: Option<Secret>,

    /// File that holds that key and nothing else [default: none]
    #[arg(
        long = "api-key-file",
        visible_alias = "api_key_file",
        value_name = "FILE"
    )]
    pub api_key_file: Option<PathBuf>,

    /// Certificate of the authority that vouches for https:// servers, or of
    /// the server itself, PEM; nobody else is trusted then [default: those that
    /// the system trusts]
    #[arg(long = "tls-ca", value_name = "FILE", conflicts_with = "tls_insecure")]
    pub tls_ca: Option<PathBuf>,

    /// Certificate of the client, for servers that want one, PEM; behind it
    /// those that lead to its authority [default: none]
    #[arg(long = "tls-cert", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of that certificate, PEM, without a passphrase
    #[arg(long = "tls-key", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Check no server's certificate: whoever stands between can read the key
    /// and answer in the server's place. Reports say so
    #[arg(long = "tls-insecure")]
    pub tls_insecure: bool,
}
