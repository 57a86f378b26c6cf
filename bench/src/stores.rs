//! The stores that are measured: each a server of its own, started for the measurement and gone after it.

use std::{fmt, sync::Arc};

use anyhow::Result;
use tempfile::TempDir;
use windlass_jobs::{
    Client,
    storage::{OpenOptions, Storage, StorageUrl, open},
};
use windlass_test_services::{Postgres, Redis};

use crate::drain::Cpu;

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
    Redis,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        })
    }
}

/// A store that runs, with nothing in it yet.
pub(crate) struct Running {
    url: String,
    server: Server,
}

enum Server {
    /// It has no process: what it uses is the host's.
    File {
        _folder: TempDir,
    },
    Postgres(Postgres),
    Redis(Redis),
}

/// Starts one.
pub(crate) fn start(store: Store) -> Result<Running> {
    Ok(match store {
        Store::Sqlite => {
            let folder = tempfile::tempdir()?;
            let url = format!("sqlite:{}", folder.path().join("jobs.db").display());
            Running { url, server: Server::File { _folder: folder } }
        }
        Store::Postgres => {
            let postgres = Postgres::start()?;
            Running { url: postgres.url(), server: Server::Postgres(postgres) }
        }
        Store::Redis => {
            // What most run Redis with, and what the peers were measured with.
            let redis = Redis::options().set("appendfsync", "everysec").start()?;
            Running { url: redis.url(), server: Server::Redis(redis) }
        }
    })
}

impl Running {
    /// As `--storage` takes it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        match &self.server {
            Server::File { .. } => String::new(),
            Server::Postgres(server) => server.address().to_string(),
            Server::Redis(server) => server.address().to_string(),
        }
    }

    /// What a write that is answered has gone through.
    pub(crate) fn durability(&self) -> &'static str {
        match &self.server {
            Server::File { .. } => "synchronous=FULL",
            Server::Postgres(_) => "synchronous_commit=on",
            Server::Redis(_) => "appendfsync everysec",
        }
    }

    /// Opens the storage as an application does.
    pub(crate) async fn storage(&self) -> Result<Arc<dyn Storage>> {
        Ok(open(&self.url.parse::<StorageUrl>()?, OpenOptions::default()).await?)
    }

    /// A client of it.
    pub(crate) async fn client(&self) -> Result<Client> {
        Ok(Client::new(self.storage().await?))
    }

    /// What its processes have used of the processors.
    pub(crate) fn cpu(&self) -> Result<Cpu> {
        match &self.server {
            Server::File { .. } => Ok(Cpu::default()),
            Server::Postgres(server) => server.process_id().map_or(Ok(Cpu::default()), Cpu::of_family),
            Server::Redis(server) => server.process_id().map_or(Ok(Cpu::default()), Cpu::of),
        }
    }
}
