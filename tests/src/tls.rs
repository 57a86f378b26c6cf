//! A host that speaks TLS, asked as a stranger would.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};

use crate::Host;

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl Host<'_> {
    /// What it answers to a GET over TLS whoever trusts this authority, and the certificate that it showed.
    ///
    /// # Errors
    /// Where it cannot be reached, shows a certificate of another authority, or does not answer.
    pub fn ask_over_tls(&self, authority: &Path, path: &str) -> Result<(String, Vec<u8>)> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?;
        let stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(connection, stream);
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address())?;
        let mut answer = String::new();
        // Some close without a farewell; what came before is whole, as its length tells.
        if let Err(error) = stream.read_to_string(&mut answer)
            && answer.is_empty()
        {
            return Err(error.into());
        }
        let shown = stream.conn.peer_certificates().and_then(|chain| chain.first()).context("no certificate")?;
        Ok((answer, shown.to_vec()))
    }
}
