//! One Redis and one PostgreSQL for all tests of a run.
//!
//! `cargo xtask test` starts both and names them in the environment. Where a test is run by hand they are started once
//! for its process, and end with it. Tests share them, so each test takes a namespace of its own and clears it up.

use std::{
    env, io,
    sync::{Mutex, PoisonError},
};

use crate::{Postgres, PostgresOptions, Redis};

/// The variable that names the shared Redis by its URL.
pub const REDIS: &str = "WINDLASS_TEST_REDIS";

/// The variable that names the shared PostgreSQL by its URL.
pub const POSTGRES: &str = "WINDLASS_TEST_POSTGRES";

/// The process' own, where the environment names none. Never dropped: their watchers end them with the process.
static OWN_REDIS: Mutex<Option<Redis>> = Mutex::new(None);
static OWN_POSTGRES: Mutex<Option<Postgres>> = Mutex::new(None);

/// The URL of the shared Redis, which keeps everything.
///
/// # Errors
/// Where the environment names none and none can be started.
pub fn redis_url() -> io::Result<String> {
    named_or_own(REDIS, &OWN_REDIS, Redis::start, Redis::url)
}

/// The URL of the shared PostgreSQL, with the settings of [`postgres`].
///
/// # Errors
/// Where the environment names none and none can be started.
pub fn postgres_url() -> io::Result<String> {
    named_or_own(POSTGRES, &OWN_POSTGRES, || postgres().start(), Postgres::url)
}

/// Settings of the shared PostgreSQL. It does not wait for the disk: the tests that share it are about what Windlass
/// does, and wait for hundreds of commits; tests of what survives a crash start their own.
#[must_use]
pub fn postgres() -> PostgresOptions {
    Postgres::options().set("fsync", "off").set("synchronous_commit", "off").set("max_connections", "500")
}

fn named_or_own<Server>(
    variable: &str,
    own: &Mutex<Option<Server>>,
    start: impl FnOnce() -> io::Result<Server>,
    url: impl FnOnce(&Server) -> String,
) -> io::Result<String> {
    if let Some(named) = env::var(variable).ok().filter(|named| !named.is_empty()) {
        return Ok(named);
    }
    // Held while the server starts: whoever else wants it waits for the same one.
    let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
    let server = match own.take() {
        Some(server) => server,
        None => start()?,
    };
    let server = own.insert(server);
    Ok(url(server))
}
