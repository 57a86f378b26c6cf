//! A host as a program of its own: where it listens, whom it serves, and how it is told to stop.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use windlass_jobs::{Clock as _, SystemClock};

use crate::{
    config::{Sandboxes, Settings},
    host::{self, Host},
    http::{self, Access, Door, Guard, Tls},
    signals::StopSignals,
    storage,
};

/// Runs a host until it is told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// Where the settings do not allow a start: the address is taken or open to the world without an opt-out, the storage
/// is held by another host or comes from a newer version, a folder is missing. Nothing is left half-started.
pub async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut signals = StopSignals::listen().context("failed to listen for signals")?;
    let guard = guard(&settings)?;
    let tls = settings.tls.as_ref().map(Tls::load).transpose()?;
    let acceptor = tls.as_ref().map(Tls::acceptor).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    if let Some(tls) = tls {
        tokio::spawn(tls.keep_fresh());
    }
    let listener = listen(settings.listen).await?;
    let address = listener.local_addr().context("failed to read the address that was taken")?;
    host::check_folder(&settings)?;
    let sandboxes = Arc::new(Sandboxes::read(&settings).await?);
    let door = Door::default();
    let (close, closed) = tokio::sync::oneshot::channel::<()>();
    let closing = async move { drop(closed.await) };
    let server = tokio::spawn(http::serve(listener, acceptor, door.router(), closing));
    let since = SystemClock.now();
    let storage = tokio::select! {
        storage = storage::open(&settings) => storage?,
        name = signals.next() => {
            tracing::info!("{name} received while waiting for the storage; stopped");
            return Ok(());
        }
    };
    let host = Host::start(storage, &settings, guard, Some(sandboxes), since).await?;
    door.open(host.routes());
    tracing::info!(url = %format_args!("{scheme}://{address}"), storage = %settings.storage, "windlass is ready");

    let name = signals.next().await;
    tracing::info!(
        "{name} received; shutting down (send it again to stop running jobs at once, a third time to leave at once)"
    );
    host.wind_down();
    let hurry = host.hurry();
    tokio::spawn(async move {
        signals.next().await;
        hurry();
        signals.next().await;
        tracing::error!("asked to stop three times; leaving what still runs to the others");
        std::process::exit(1);
    });
    let ended = host.stop_worker().await;
    host.end_streams();
    drop(close);
    // Readers that keep a connection open must not keep the host from ending.
    drop(tokio::time::timeout(std::time::Duration::from_secs(2), server).await);
    // Where the worker had failed too, what was acknowledged must be where it stays.
    host.close().await;
    ended?;
    tracing::info!("stopped");
    Ok(())
}

fn guard(settings: &Settings) -> anyhow::Result<Guard> {
    let is_loopback = settings.listen.ip().is_loopback();
    if settings.access.asks() {
        let now = SystemClock.now();
        for token in settings.access.tokens.iter().filter(|token| token.expires.is_some_and(|expires| expires <= now)) {
            tracing::warn!(name = token.name, "this token has expired: nobody gets in with it");
        }
        if !is_loopback && settings.tls.is_none() {
            tracing::info!(address = %settings.listen, "tokens travel as they are unless a proxy adds TLS");
        }
        return Ok(Guard::Tokens(Arc::new(Access::new(&settings.access))));
    }
    if settings.access.required {
        bail!("`required` is set under [access] and there is no token: make one with `windlass token new`");
    }
    if is_loopback {
        return Ok(Guard::LoopbackOnly);
    }
    if settings.insecure_listen {
        tracing::warn!(address = %settings.listen, "whoever reaches this address can deploy code and read every job");
        return Ok(Guard::Open(settings.access.hosts.clone().into()));
    }
    bail!(
        "{} can be reached from other machines, and nobody is asked for a token: make tokens with `windlass token new`, \
         listen on 127.0.0.1, or set `insecure_listen` (`--insecure-listen`) where the network itself keeps strangers out",
        settings.listen
    )
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "{address} is in use by another program, perhaps another windlass host: stop it, or choose another address with --listen"
        ),
        _ => anyhow::anyhow!("failed to listen on {address}: {error}"),
    })
}
