//! Putting a host together, and taking it down in order.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use windlass_jobs::{Client, Clock as _, SystemClock};
use windlass_wasm::{Compiler, CompilerOptions, Engine, EngineOptions};

use crate::{
    bulk::BulkActions,
    config::{Sandboxes, Settings},
    events::Events,
    http::{self, Access, Api, Audit, Door, Guard, Health, Redaction, Tls},
    metrics::{Measured, Metrics, Scrape},
    modules::{self, Modules},
    signals::StopSignals,
    storage,
    worker::{Worker, WorkerOptions},
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
    if let Some(folder) = &settings.modules
        && !folder.is_dir()
    {
        bail!("the module folder {} is not a directory: create it or correct `modules`", folder.display());
    }
    let sandboxes = Arc::new(Sandboxes::new(&settings)?);
    let door = Door::default();
    let (close, closed) = tokio::sync::oneshot::channel::<()>();
    let closing = async move { drop(closed.await) };
    let server = tokio::spawn(http::serve(listener, acceptor, door.router(), closing));
    let storage = tokio::select! {
        storage = storage::open(&settings) => storage?,
        name = signals.next() => {
            tracing::info!("{name} received while waiting for the storage; stopped");
            return Ok(());
        }
    };
    // Beside the start, since looking at a large file takes a moment.
    let looking = storage.clone();
    tokio::spawn(async move { storage::say_findings(&*looking).await });
    let metrics = Arc::new(Metrics::default());
    let storage = Measured::around(storage, metrics.clone());
    let client = Client::new(storage.clone()).acting_as("api");
    let modules = Modules::new(storage.clone(), compiler(&settings)?).signed_as(&settings.signatures);
    let modules = Arc::new(modules);
    let worker = Worker::start(
        storage.clone(),
        client.admission().clone(),
        modules.clone(),
        sandboxes,
        metrics.clone(),
        worker_options(&settings),
    )
    .await
    .context("failed to start taking jobs")?;
    let watching = settings.modules.clone().map(|folder| tokio::spawn(watch(modules.clone(), folder)));

    let health = Health::default();
    let (events, bulk_actions) = (Events::new(storage.clone()), BulkActions::default());
    let audit = Audit::start(client.clone());
    let api = Api {
        client,
        modules,
        health: health.clone(),
        bulk_actions: bulk_actions.clone(),
        events: events.clone(),
        metrics: Arc::new(Scrape::new(storage.clone(), metrics, worker.slots(), events.clone())),
        audit,
        redaction: Redaction::default(),
        guard,
        read_only: settings.access.read_only,
        max_component_bytes: settings.compile.component.0,
    };
    door.open(http::router(api));
    tracing::info!(url = %format_args!("{scheme}://{address}"), storage = %settings.storage, "windlass is ready");

    let name = signals.next().await;
    tracing::info!(
        "{name} received; shutting down (send it again to stop running jobs at once, a third time to leave at once)"
    );
    health.set_draining();
    bulk_actions.stop_all();
    if let Some(watching) = watching {
        watching.abort();
    }
    let hurry = worker.hurry();
    tokio::spawn(async move {
        signals.next().await;
        hurry();
        signals.next().await;
        tracing::error!("asked to stop three times; leaving what still runs to the others");
        std::process::exit(1);
    });
    worker.shut_down().await?;
    events.close();
    drop(close);
    // Readers that keep a connection open must not keep the host from ending.
    drop(tokio::time::timeout(std::time::Duration::from_secs(2), server).await);
    storage.close().await;
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
        return Ok(Guard::Open);
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

fn compiler(settings: &Settings) -> anyhow::Result<Compiler> {
    let engine = Engine::new(&EngineOptions {
        // One more than there are slots, for the description of a component that is being deployed.
        concurrent_runs: settings.sync_slots + settings.async_slots + 1,
        max_memory_bytes: settings.largest_memory_bytes().map_err(anyhow::Error::msg)?,
        wasi_p3: settings.wasi_p3,
    })
    .context("failed to start the sandbox engine")?;
    Ok(Compiler::new(engine, compiler_options(settings)?)?)
}

/// The compiler's settings, with this very program as the child.
pub(crate) fn compiler_options(settings: &Settings) -> anyhow::Result<CompilerOptions> {
    let compile = &settings.compile;
    let program = match &compile.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().context("failed to find this program, which compiles components")?,
    };
    Ok(CompilerOptions {
        program,
        cache_dir: settings.cache_dir(),
        max_component_bytes: compile.component.0,
        memory_bytes: compile.memory.0,
        timeout: compile.timeout.0,
    })
}

fn worker_options(settings: &Settings) -> WorkerOptions {
    WorkerOptions {
        queues: settings.queues.clone(),
        sync_slots: settings.sync_slots,
        async_slots: settings.async_slots,
        heartbeat: settings.heartbeat,
        lost_after: settings.lost_after,
        shutdown_grace: settings.shutdown_grace,
    }
}

async fn watch(modules: Arc<Modules>, folder: PathBuf) {
    if let Err(error) = modules::watch(modules, folder).await {
        tracing::error!(%error, "the module folder is no longer watched");
    }
}
