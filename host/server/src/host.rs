//! Putting a host together, and taking it down in order; without what it is reached by, which is a listener of its own
//! (`serve.rs`) or the application that it is a part of (`embed.rs`).

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use axum::Router;
use tokio::task::JoinHandle;
use windlass_api::Timestamp;
use windlass_jobs::{Client, storage::Storage};
use windlass_wasm::{Compiler, CompilerOptions, Engine, EngineOptions};

use crate::{
    bulk::BulkActions,
    config::{Sandboxes, Settings},
    events::Events,
    http::{self, Api, Audit, Guard, Health, Redaction},
    metrics::{Measured, Metrics, Scrape},
    modules::{self, Modules},
    storage,
    telemetry::Telemetry,
    webhooks::Webhooks,
    worker::{Parts, SlotsInUse, Worker, WorkerOptions},
};

/// How long a host that stops tries to send on what others are to be told.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// A host that is put together.
pub(crate) struct Host {
    storage: Arc<dyn Storage>,
    routes: Router,
    health: Health,
    events: Events,
    bulk_actions: BulkActions,
    /// Until it is stopped.
    worker: Mutex<Option<Worker>>,
    watching: Option<JoinHandle<()>>,
    webhooks: Webhooks,
    telemetry: Telemetry,
}

impl Host {
    /// Puts a host together on the present runtime. It takes jobs where `sandboxes` say what their runs get. What failed `since`
    /// then with the host before, as its storage was opened, is told by this one.
    ///
    /// # Errors
    /// Where the settings do not go together, or the storage does not take its registration.
    pub(crate) async fn start(
        storage: Arc<dyn Storage>,
        settings: &Settings,
        guard: Guard,
        sandboxes: Option<Arc<Sandboxes>>,
        since: Timestamp,
    ) -> anyhow::Result<Self> {
        // Beside the start, since looking at a large file takes a moment.
        let looking = storage.clone();
        tokio::spawn(async move { storage::say_findings(&*looking).await });
        let metrics = Arc::new(Metrics::default());
        let storage = Measured::around(storage, metrics.clone());
        let client = Client::new(storage.clone()).acting_as("api");
        let modules = Modules::new(storage.clone(), compiler(settings)?).signed_as(&settings.signatures);
        let modules = Arc::new(modules);
        let webhooks = Webhooks::start(&settings.webhooks, &metrics)?;
        let telemetry = Telemetry::start(&settings.telemetry, &metrics)?;
        let mut worker = None;
        if let Some(sandboxes) = sandboxes.clone() {
            let parts = Parts {
                storage: storage.clone(),
                admission: client.admission().clone(),
                modules: modules.clone(),
                sandboxes,
                metrics: metrics.clone(),
                webhooks: webhooks.clone(),
                tracer: telemetry.tracer(),
            };
            let started = Worker::start(parts, worker_options(settings));
            worker = Some(started.await.context("failed to start taking jobs")?);
            if let Err(error) = webhooks.lost_since(&*storage, since).await {
                tracing::warn!(%error, "failed to look which jobs failed with the host before; webhooks are not told of them");
            }
        }
        let watching = settings.modules.clone().map(|folder| tokio::spawn(watch(modules.clone(), folder)));

        let health = Health::default();
        let (events, bulk_actions) = (Events::new(storage.clone()), BulkActions::default());
        let slots: SlotsInUse = worker.as_ref().map_or_else(|| Box::new(Vec::new) as SlotsInUse, Worker::slots);
        let audit = Audit::start(client.clone());
        let scrape = Arc::new(Scrape::new(storage.clone(), metrics, slots, events.clone()));
        telemetry.send_metrics(&scrape);
        let api = Api {
            client,
            modules,
            sandboxes,
            health: health.clone(),
            bulk_actions: bulk_actions.clone(),
            events: events.clone(),
            metrics: scrape,
            audit,
            redaction: Redaction::default(),
            guard,
            read_only: settings.access.read_only,
            max_component_bytes: settings.compile.component.0,
        };
        let routes = http::router(api);
        Ok(Self {
            storage,
            routes,
            health,
            events,
            bulk_actions,
            worker: Mutex::new(worker),
            watching,
            webhooks,
            telemetry,
        })
    }

    /// The API and the dashboard.
    pub(crate) fn routes(&self) -> Router {
        self.routes.clone()
    }

    /// Begins the end: no more jobs are taken, no more bulk actions begun.
    pub(crate) fn wind_down(&self) {
        self.health.set_draining();
        self.bulk_actions.stop_all();
        if let Some(watching) = &self.watching {
            watching.abort();
        }
        if let Some(worker) = &*self.worker() {
            worker.drain();
        }
    }

    /// Cuts the grace period of running jobs short.
    pub(crate) fn hurry(&self) -> impl Fn() + Send + Sync + use<> {
        let hurry = self.worker().as_ref().map(Worker::hurry);
        move || {
            if let Some(hurry) = &hurry {
                hurry();
            }
        }
    }

    /// Lets the jobs that run end, or stops them when their grace period is over. Returns when everything is settled.
    ///
    /// # Errors
    /// Where the worker had failed.
    pub(crate) async fn stop_worker(&self) -> anyhow::Result<()> {
        let worker = self.worker().take();
        match worker {
            Some(worker) => worker.shut_down().await,
            None => Ok(()),
        }
    }

    /// Ends what keeps connections open.
    pub(crate) fn end_streams(&self) {
        self.events.close();
    }

    /// Waits until what was acknowledged is where it stays; nothing may be asked any more.
    pub(crate) async fn close(&self) {
        tokio::join!(self.webhooks.close(TOLD_WITHIN), self.telemetry.close(TOLD_WITHIN));
        self.storage.close().await;
    }

    /// Held for short synchronous sections only.
    fn worker(&self) -> MutexGuard<'_, Option<Worker>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees that the folder is there that is to be watched.
///
/// # Errors
/// Where it is not.
pub(crate) fn check_folder(settings: &Settings) -> anyhow::Result<()> {
    if let Some(folder) = &settings.modules
        && !folder.is_dir()
    {
        bail!("the module folder {} is not a directory: create it or correct `modules`", folder.display());
    }
    Ok(())
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
