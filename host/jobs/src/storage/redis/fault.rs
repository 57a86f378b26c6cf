//! What goes wrong with Redis, in the words of a storage.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::storage::{MAX_LIMITS, StorageError};

/// The word that a server's error begins with.
pub(super) fn code(error: &RedisError) -> &str {
    error.code().unwrap_or_default()
}

/// The text of a server's error, without where in a script it came up.
fn detail(error: &RedisError) -> &str {
    let detail = error.detail().unwrap_or_default();
    detail.split_once(" script: ").map_or(detail, |(text, _)| text)
}

/// Whether nothing was done, because the server was the wrong one to ask: another is to be looked for.
pub(super) fn is_misdirected(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::ReadOnly))
        // A script's own way to say that the server is a replica.
        || detail(error).contains("can not run script with write flag on readonly replica")
}

/// Whether the server is not the one to ask, or not now, so that whoever named it may be wrong.
pub(super) fn is_out_of_place(error: &RedisError) -> bool {
    is_misdirected(error)
        || matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown))
}

/// Whether the connection is not worth keeping.
pub(super) fn is_broken(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || is_out_of_place(error)
        || matches!(error.kind(), ErrorKind::Server(ServerErrorKind::BusyLoading))
}

/// The error in a storage's words; `name` is what the Redis is called.
pub(super) fn storage_error(error: &RedisError, name: &str) -> StorageError {
    let unavailable = |text: &str| StorageError::Unavailable(format!("{name}: {text}"));
    match code(error) {
        "DAMAGED" => return StorageError::Damaged(detail(error).to_owned()),
        "WRONGKEY" => return StorageError::Damaged(format!("the key {}", detail(error))),
        "WRONGTYPE" => return StorageError::Damaged("a key holds another kind of value than it should".to_owned()),
        "TOOMANY" => return too_many_limits(),
        "INCOMPLETE" => return unavailable(&format!("{} did not all stay there: try again", detail(error))),
        "OOM" => return unavailable("its memory is full: raise `maxmemory`, or let jobs finish and expire"),
        "MISCONF" => return unavailable("it cannot write to its disk and takes no changes: see its own log"),
        "NOREPLICAS" => return unavailable("too few replicas are connected (`min-replicas-to-write`)"),
        "NOAUTH" | "WRONGPASS" => return refused(name),
        "NOPERM" => return unavailable(&format!("the user may not do this: {}", detail(error))),
        "BUSY" => return unavailable("it is busy with a script that does not end"),
        _ => {}
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => refused(name),
        ErrorKind::Server(ServerErrorKind::BusyLoading) => unavailable("it is reading its data from the disk"),
        ErrorKind::Server(ServerErrorKind::Ask | ServerErrorKind::TryAgain) => {
            unavailable("the namespace's hash slot is being moved to another server; it goes on when that is done")
        }
        ErrorKind::Server(ServerErrorKind::Moved) => {
            unavailable("it is a server of a Redis Cluster: give redis+cluster:// instead of redis://")
        }
        ErrorKind::Server(ServerErrorKind::ReadOnly) => unavailable("it is a read-only replica"),
        _ if is_misdirected(error) => unavailable("it is a read-only replica"),
        ErrorKind::Io if error.is_timeout() => unavailable("it did not answer in time"),
        ErrorKind::Io => unavailable(&format!("the connection failed ({error})")),
        ErrorKind::Server(_) | ErrorKind::Extension => unavailable(&format!("{} {}", code(error), detail(error))),
        _ => unavailable(&error.to_string()),
    }
}

/// What is said where there would be more limits than there may be.
pub(super) fn too_many_limits() -> StorageError {
    StorageError::TooLarge(format!(
        "there are {MAX_LIMITS} limits already, and no more are kept: remove one, or limit keys by what they begin with"
    ))
}

/// What does not pass by itself, so that it is said to whoever gave the address.
fn refused(name: &str) -> StorageError {
    StorageError::Unusable(format!("{name} refuses the user or the password: see those in its address"))
}

/// An error that says that a record cannot be read.
pub(super) fn damaged(what: impl std::fmt::Display, why: impl std::fmt::Display) -> StorageError {
    StorageError::Damaged(format!("{what}: {why}"))
}

/// Names the job in an error about its record.
pub(super) fn of_job(error: StorageError, job: windlass_api::JobId) -> StorageError {
    match error {
        StorageError::Damaged(why) => damaged(format_args!("job {job}"), why),
        error => error,
    }
}
