//! The real servers that tests and benchmarks use, each on a free port of the loopback interface and in a temporary
//! folder of its own: [`Redis`] (also as [`RedisCluster`] and [`RedisSentinel`]), [`Postgres`], [`PgBouncer`]; and
//! [`Proxy`], a network between them and their clients that fails on demand; and [`FalseClock`], a clock that can be set.
//!
//! All of it blocks, and nothing here knows Windlass. A server is ready when its constructor returns: it has answered a
//! request. When its value is dropped its process and its folder are gone; where the process that holds the value is
//! killed, a small watcher does the same (see `room.rs`), so that nothing is left behind.
//!
//! A server's URL names the user that Windlass' tests use. Every failure is an [`std::io::Error`] whose text says what
//! was tried, with what the server wrote to its log; where a program is missing it names Debian's package.

mod certificates;
mod false_clock;
mod pgbouncer;
mod ports;
mod postgres;
mod postgres_wire;
mod programs;
mod proxy;
mod redis;
mod redis_cluster;
mod redis_sentinel;
mod redis_wire;
mod room;
mod server;
pub mod shared;

pub use certificates::Certificates;
pub use false_clock::FalseClock;
pub use pgbouncer::PgBouncer;
pub use postgres::{Postgres, PostgresOptions};
pub use postgres_wire::Row;
pub use programs::{Needed, missing};
pub use proxy::Proxy;
pub use redis::{Redis, RedisOptions};
pub use redis_cluster::RedisCluster;
pub use redis_sentinel::RedisSentinel;

use std::{io, time::Duration};

/// How long a server may take to start, stop or become what it should on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often something is looked at that cannot be waited for.
const LOOK: Duration = Duration::from_millis(5);

/// An error with this text.
fn failure(text: impl Into<String>) -> io::Error {
    io::Error::other(text.into())
}

/// Looks again and again until it sees something; the error is the last look's.
fn until<T>(what: &str, mut look: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let started = std::time::Instant::now();
    loop {
        match look() {
            Ok(seen) => return Ok(seen),
            Err(error) if started.elapsed() > PATIENCE => {
                return Err(failure(format!("waited {} s for {what}: {error}", PATIENCE.as_secs())));
            }
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}
