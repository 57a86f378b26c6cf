//! `windlass serve`: the host. This file makes settings of flags; the host itself is in the library.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, arguments::Config};
use crate::config::{self, ConcurrencyMode, Overrides};

/// Run the host: take jobs, run them in sandboxes, serve the API.
///
/// Every setting can stand in windlass.toml, which an environment variable WINDLASS_… overrides (WINDLASS_SYNC_SLOTS,
/// WINDLASS_LIMITS_TIMEOUT and so on), which a flag overrides. SIGINT and SIGTERM stop the host in order: no more jobs
/// are taken, those that run go on for the grace period, then they are stopped and given back.
#[derive(Args, Debug)]
pub(super) struct Serve {
    #[command(flatten)]
    config: Config,
    /// Where jobs are kept [default: sqlite:windlass.db].
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
    /// The address that the API is served on [default: 127.0.0.1:7878].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Serve on an address that others can reach, although nobody is asked who they are.
    #[arg(long)]
    insecure_listen: bool,
    /// Change nothing through the API; jobs are run all the same.
    #[arg(long)]
    read_only: bool,
    /// The queues to take from with their weights, such as `a,b:3` [default: all].
    #[arg(long)]
    queues: Option<String>,
    /// How many sync handlers run at once [default: one per core].
    #[arg(long, value_name = "N")]
    sync_slots: Option<u32>,
    /// How many async handlers run at once [default: 100].
    #[arg(long, value_name = "N")]
    async_slots: Option<u32>,
    /// Which kinds of handlers run here [default: both].
    #[arg(long, value_name = "MODE")]
    concurrency_mode: Option<ConcurrencyMode>,
    /// A folder whose components are deployed as they appear there.
    #[arg(long, value_name = "FOLDER")]
    modules: Option<PathBuf>,
    /// Where compiled components are kept [default: windlass in the user's folder of caches].
    #[arg(long, value_name = "FOLDER")]
    cache_dir: Option<PathBuf>,
    /// How long running jobs may go on when the host is asked to stop [default: 30s].
    #[arg(long, value_name = "SPAN")]
    shutdown_grace: Option<String>,
}

pub(super) async fn run(command: Serve) -> anyhow::Result<Exit> {
    let file = command.config.config.clone();
    let settings = config::load(file.as_deref(), command.overrides())?;
    for warning in config::unknown_variables() {
        tracing::warn!("{warning}");
    }
    Box::pin(crate::serve(settings)).await?;
    Ok(Exit::Fine)
}

impl Serve {
    fn overrides(self) -> Overrides {
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let mode = self.concurrency_mode.map(|mode| match mode {
            ConcurrencyMode::Threaded => "threaded",
            ConcurrencyMode::Async => "async",
            ConcurrencyMode::Both => "both",
        });
        Overrides::default()
            .with("storage", self.storage)
            .with("listen", self.listen)
            .with("insecure_listen", self.insecure_listen.then_some(true))
            .with_in("access", "read_only", self.read_only.then_some(true))
            .with("queues", self.queues)
            .with("sync_slots", self.sync_slots)
            .with("async_slots", self.async_slots)
            .with("concurrency_mode", mode)
            .with("modules", self.modules.map(path))
            .with("cache_dir", self.cache_dir.map(path))
            .with("shutdown_grace", self.shutdown_grace)
    }
}
