//! TLS.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// `[tls]`: the certificate that the API is served with. Both files are read again when they change, and on SIGHUP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(expecting = "a table with `certificate` and `key`")]
pub struct TlsSettings {
    /// The host's certificate and those between it and its authority, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}
