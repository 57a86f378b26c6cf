//! TLS, with a certificate that may change while the host runs: whoever renews it replaces the files.

use std::{
    fs,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsSettings;

/// How often the files are looked at: renewals come days before they are needed.
const LOOK: Duration = Duration::from_secs(5);

/// The certificate that is shown now.
#[derive(Debug)]
pub(crate) struct Tls {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    shown: Shown,
}

/// Held to read or replace it, never longer.
#[derive(Clone, Debug)]
struct Shown(Arc<RwLock<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Where one of them cannot be read, or they do not belong together; the text names them.
    pub(crate) fn load(settings: &TlsSettings) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let shown = Shown(Arc::new(RwLock::new(read(settings, &provider)?)));
        Ok(Self { settings: settings.clone(), provider, shown })
    }

    /// What begins TLS on each connection.
    ///
    /// # Errors
    /// Where the cryptography offers no version of TLS.
    pub(crate) fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .context("failed to set up TLS")?;
        let mut config = config.with_no_client_auth().with_cert_resolver(Arc::new(self.shown.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again when they have changed, and on SIGHUP. What cannot be used is told, and the certificate from
    /// before goes on being shown.
    pub(crate) async fn keep_fresh(self) {
        let mut hangups = signal(SignalKind::hangup()).ok();
        let mut seen = self.changed_at();
        loop {
            let asked = async {
                match &mut hangups {
                    Some(hangups) => {
                        hangups.recv().await;
                    }
                    None => std::future::pending().await,
                }
            };
            let was_asked = tokio::select! {
                () = asked => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let now = self.changed_at();
            if now == seen && !was_asked {
                continue;
            }
            match read(&self.settings, &self.provider) {
                Ok(key) => {
                    *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = key;
                    tracing::info!(certificate = %self.settings.certificate.display(), "the certificate was read anew");
                }
                // One file may be there before the other: the change of the second is another change.
                Err(error) => tracing::error!("{error:#}; the certificate from before goes on being shown"),
            }
            seen = now;
        }
    }

    fn changed_at(&self) -> [Option<SystemTime>; 2] {
        [&self.settings.certificate, &self.settings.key].map(|file| fs::metadata(file).ok()?.modified().ok())
    }
}

fn read(settings: &TlsSettings, provider: &CryptoProvider) -> anyhow::Result<Arc<CertifiedKey>> {
    let TlsSettings { certificate, key } = settings;
    let named = |what: &str, file: &Path| format!("failed to read the {what} in {}", file.display());
    let chain = CertificateDer::pem_file_iter(certificate).with_context(|| named("certificate", certificate))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().with_context(|| named("certificate", certificate))?;
    if chain.is_empty() {
        bail!("{}: there is none; expected PEM, the host's own first", named("certificate", certificate));
    }
    let private = PrivateKeyDer::from_pem_file(key).with_context(|| named("key", key))?;
    let pair = CertifiedKey::from_der(chain, private, provider);
    let pair = pair.with_context(|| {
        format!("the certificate in {} and the key in {} do not go together", certificate.display(), key.display())
    })?;
    Ok(Arc::new(pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_certificate_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let settings = TlsSettings { certificate: file("a.pem"), key: file("a.key") };
        let told = || format!("{:#}", Tls::load(&settings).unwrap_err());
        assert!(told().contains("a.pem"), "{}", told());
        fs::write(file("a.pem"), "no certificate").unwrap();
        assert!(told().contains("a.pem") && told().contains("expected PEM"), "{}", told());
    }
}
