//! Where the jobs of a chaos test are kept.

use anyhow::{Context, Result, bail};
use windlass_test_services::{Postgres, Proxy, Redis};

/// A kind of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file, which one host uses at a time.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
    /// A Redis server that writes everything to disk before it answers.
    Redis,
}

/// A storage with its server, where it has one. Dropping it ends the server.
#[derive(Debug)]
pub enum Store {
    /// The file in the site's folder.
    Sqlite,
    /// A server of its own.
    Postgres(Postgres),
    /// A server of its own.
    Redis(Redis),
}

impl Store {
    /// Starts its server.
    ///
    /// # Errors
    /// Where the server does not start.
    pub fn start(kind: Kind) -> Result<Self> {
        Self::start_with(kind, Vec::new())
    }

    /// Starts its server with these variables, of a clock for example.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(kind: Kind, environment: Vec<(String, String)>) -> Result<Self> {
        Ok(match kind {
            Kind::Sqlite => Self::Sqlite,
            Kind::Postgres => Self::Postgres(Postgres::options().environment(environment).start()?),
            Kind::Redis => Self::Redis(Redis::options().environment(environment).start()?),
        })
    }

    /// How many hosts may use it.
    #[must_use]
    pub fn hosts(&self, wanted: usize) -> usize {
        if matches!(self, Self::Sqlite) { 1 } else { wanted }
    }

    /// What `--storage` takes; none for the site's own file.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Postgres(postgres) => Some(postgres.url()),
            Self::Redis(redis) => Some(redis.url()),
        }
    }

    /// A proxy before its server, and the URL that leads through it.
    ///
    /// # Errors
    /// Where it has no server.
    pub fn proxy(&self) -> Result<(Proxy, String)> {
        match self {
            Self::Sqlite => bail!("there is no network between a host and SQLite"),
            Self::Postgres(postgres) => {
                let proxy = Proxy::start(postgres.address())?;
                let url = postgres.url_through(&proxy);
                Ok((proxy, url))
            }
            Self::Redis(redis) => {
                let proxy = Proxy::start(redis.address())?;
                let url = redis.url_through(&proxy);
                Ok((proxy, url))
            }
        }
    }

    /// Kills its server the hard way.
    ///
    /// # Errors
    /// Where it has none.
    pub fn kill(&mut self) -> Result<()> {
        match self {
            Self::Sqlite => bail!("SQLite has no server to kill"),
            Self::Postgres(postgres) => postgres.kill().context("failed to kill PostgreSQL"),
            Self::Redis(redis) => redis.kill().context("failed to kill Redis"),
        }
    }

    /// Starts its server again with the data that it has on disk.
    ///
    /// # Errors
    /// Where it has none, or it does not start.
    pub fn restart(&mut self) -> Result<()> {
        match self {
            Self::Sqlite => bail!("SQLite has no server to restart"),
            Self::Postgres(postgres) => postgres.restart().context("failed to restart PostgreSQL"),
            Self::Redis(redis) => redis.restart().context("failed to restart Redis"),
        }
    }
}
