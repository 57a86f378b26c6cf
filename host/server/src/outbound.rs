//! Requests of the host's own to programs that its operator names. What guests send goes another way, through their grants.

use std::{error::Error, sync::Once, time::Duration};

use reqwest::{Client, ClientBuilder, Url, redirect::Policy};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for one receiver. Nothing is sent elsewhere than to where the operator said: redirects are not followed.
///
/// # Errors
/// Where the system's certificates cannot be used.
pub(crate) fn client(url: &Url, patience: Duration) -> anyhow::Result<Client> {
    Ok(builder(url, Policy::none()).timeout(patience).build()?)
}

/// What makes a client for one receiver, which follows redirects as this policy says.
pub(crate) fn builder(url: &Url, redirects: Policy) -> ClientBuilder {
    install_cryptography();
    let mut builder = Client::builder()
        .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
        .redirect(redirects)
        .connect_timeout(CONNECT_TIMEOUT);
    if url.scheme() == "http" {
        // Without TLS no root certificates are needed: they would be slow to load, and small containers have none.
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(url) {
        // A proxy for the world outside cannot reach what listens on this machine.
        builder = builder.no_proxy();
    }
    builder
}

/// Whether it leads to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What went wrong, without the layers around it that repeat the URL, which may hold a password.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".to_owned();
    }
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// reqwest is built without a cryptography of its own, and looks for the one that the process has installed.
fn install_cryptography() {
    static ONCE: Once = Once::new();
    // An error means that somebody installed one before, which is as good.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names() {
        let is = |url: &str| is_loopback(&url.parse().unwrap());
        assert!(is("http://localhost:4318") && is("http://127.0.0.2/x") && is("http://[::1]:1"));
        assert!(!is("http://example.com") && !is("http://10.0.0.1") && !is("http://localhost.example.com"));
    }
}
