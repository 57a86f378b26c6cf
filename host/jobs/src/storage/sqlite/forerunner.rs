//! The host before this one, where nothing tells that it is gone.
//!
//! Whoever takes the lock is the only host, as long as nobody removes the lock file. Where it was not there and the database
//! names servers that were heard of a moment ago, one of them may still run jobs. One that does either sends its next
//! heartbeat, or notices that its lock is gone and stops its runs before it counts as lost.

use std::{
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{fault::Fault, words};
use crate::{Clock, storage::StorageError};

/// After so long without a heartbeat a server has stopped its runs; what `lost_after` is by default.
const SILENT: Duration = Duration::from_secs(20);

/// How often the heartbeats are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A server that the database names.
struct Known {
    id: Vec<u8>,
    beat: i64,
    host: String,
    pid: u32,
    /// How long ago it was heard of.
    age: Duration,
}

/// Waits until none of the servers can be alive, and refuses where one shows that it is.
pub(super) fn wait_until_silent(db: &Connection, clock: &dyn Clock, name: &str) -> Result<(), StorageError> {
    let first = known(db, clock).map_err(|fault| fault.on_open(name))?;
    let first: Vec<_> = first.into_iter().filter(|server| server.age < SILENT && !is_gone(server)).collect();
    let Some(youngest) = first.iter().map(|server| server.age).min() else { return Ok(()) };
    let (began, wait) = (Instant::now(), SILENT.saturating_sub(youngest));
    tracing::warn!(
        wait_s = wait.as_secs(),
        "the lock file of {name} was not there, and a host was heard of {} s ago: waiting until it is surely gone",
        youngest.as_secs()
    );
    while began.elapsed() < wait {
        thread::sleep(LOOK_EVERY);
        let now = known(db, clock).map_err(|fault| fault.on_open(name))?;
        for server in &now {
            if first.iter().any(|before| before.id == server.id && before.beat != server.beat) {
                return Err(StorageError::Unusable(format!(
                    "another windlass host (process {} on {}) uses {name} although its lock file was removed: its heartbeat \
                     goes on; stop it or give this one its own storage",
                    server.pid, server.host
                )));
            }
        }
    }
    Ok(())
}

fn known(db: &Connection, clock: &dyn Clock) -> Result<Vec<Known>, Fault> {
    let now = clock.now();
    let mut query = db.prepare("SELECT id, beat, host, pid, heartbeat_at FROM servers WHERE alive")?;
    let mut rows = query.query([])?;
    let mut known = Vec::new();
    while let Some(row) = rows.next()? {
        // One that claims to be heard of in the future is taken to be heard of now.
        let age = now.0.saturating_sub(row.get::<_, i64>(4)?);
        known.push(Known {
            id: row.get(0)?,
            beat: row.get(1)?,
            host: row.get(2)?,
            pid: words::count(row.get(3)?),
            age: Duration::from_millis(u64::try_from(age).unwrap_or(0)),
        });
    }
    Ok(known)
}

/// Whether the process is surely gone: it was one of this machine, and there is none of its number.
#[cfg(target_os = "linux")]
fn is_gone(server: &Known) -> bool {
    use rustix::{
        io::Errno,
        process::{Pid, test_kill_process},
        system::uname,
    };

    let pid = i32::try_from(server.pid).ok().and_then(Pid::from_raw);
    uname().nodename().to_string_lossy() == server.host
        && pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

#[cfg(not(target_os = "linux"))]
fn is_gone(_: &Known) -> bool {
    false
}
