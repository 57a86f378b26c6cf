//! What goes wrong with PostgreSQL, in the words of a storage.

use std::time::Duration;

use sqlx::{Error, postgres::PgDatabaseError};

use crate::storage::{Refusal, StorageError};

/// What went wrong inside of a step.
#[derive(Debug)]
pub(super) enum Fault {
    /// PostgreSQL, or the way to it.
    Sql(Error),
    /// It was not even asked.
    Away(String),
    /// It did not answer in time.
    Late(Duration),
    /// A record does not make sense; the text names it.
    Damaged(String),
    /// The cursor that was given is none.
    Cursor(String),
    /// What was to be kept is over a limit.
    TooLarge(String),
    /// One of the jobs of a call, by its place, cannot stand beside what is there.
    Refused(usize, Refusal),
    /// Another step came in between; the whole is to be tried again.
    Again,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl Fault {
    pub(super) fn damaged(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self::Damaged(format!("{what}: {why}"))
    }

    pub(super) fn cursor(given: &str) -> Self {
        Self::Cursor(given.chars().take(80).collect())
    }

    /// Whether the step is surely undone: PostgreSQL itself said that it failed, and goes on.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Sql(Error::Database(_))) && self.leaves_connection_whole()
    }

    /// Whether a single record is at fault, so that others are worth going on with.
    pub(super) fn is_of_a_record(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Sql(Error::ColumnDecode { .. } | Error::Decode(_)))
    }

    /// Whether a page of PostgreSQL's own is damaged.
    pub(super) fn is_of_a_page(&self) -> bool {
        matches!(self.code(), Some("XX001" | "XX002"))
    }

    /// Whether another transaction holds what the step needs.
    pub(super) fn is_locked(&self) -> bool {
        self.code() == Some("55P03")
    }

    fn code(&self) -> Option<&str> {
        self.said().map(|(code, _)| code)
    }

    /// The code and the text of what the server said.
    fn said(&self) -> Option<(&str, &str)> {
        match self {
            Self::Sql(Error::Database(error)) => {
                error.try_downcast_ref::<PgDatabaseError>().map(|error| (error.code(), error.message()))
            }
            _ => None,
        }
    }

    /// Whether the step may be carried out again from its beginning, because it has surely had no effect.
    pub(super) fn is_worth_repeating(&self) -> bool {
        // Serialization failure, deadlock, the division by zero with which a statement gives itself up, and a number of a job
        // that another one of the same millisecond has, which is drawn anew.
        matches!(self, Self::Again) || matches!(self.code(), Some("40001" | "40P01" | "22012" | "23505"))
    }

    /// Whether the connection may be used again, once what goes on in it is rolled back.
    pub(super) fn leaves_connection_whole(&self) -> bool {
        match self {
            Self::Sql(Error::Database(_)) => {
                // Shutting down, thrown out, or a standby, as after a failover: only a new connection finds the primary.
                let broken =
                    |code: &str| code.starts_with("57P") || code.starts_with("08") || matches!(code, "25P03" | "25006");
                !self.code().is_some_and(broken)
            }
            Self::Sql(Error::ColumnDecode { .. } | Error::Decode(_) | Error::Encode(_) | Error::RowNotFound) => true,
            Self::Sql(_) | Self::Late(_) => false,
            Self::Away(_)
            | Self::Damaged(_)
            | Self::Cursor(_)
            | Self::TooLarge(_)
            | Self::Refused(..)
            | Self::Again => true,
        }
    }

    /// The same where it kept the database from being opened. `name` names it.
    pub(super) fn on_open(self, name: &str) -> StorageError {
        let unusable = |why: &str| StorageError::Unusable(format!("{name} cannot be used: {why}"));
        match self.said().and_then(|(code, message)| lasting(code, message)) {
            Some(why) => unusable(why),
            None => match StorageError::from(self) {
                StorageError::Unavailable(why) => StorageError::Unavailable(format!("{name} cannot be reached: {why}")),
                StorageError::Damaged(why) => unusable(&why),
                error => error,
            },
        }
    }
}

impl From<Fault> for StorageError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged(text) => Self::Damaged(text),
            Fault::Cursor(given) => Self::InvalidCursor(given),
            Fault::TooLarge(text) => Self::TooLarge(text),
            Fault::Refused(position, refusal) => Self::Refused { position, refusal },
            Fault::Away(why) => Self::Unavailable(why),
            Fault::Late(limit) => Self::Unavailable(format!("no answer within {} s", limit.as_secs())),
            Fault::Again => Self::Unavailable("too many others write to the same jobs; try again".to_owned()),
            Fault::Sql(Error::ColumnDecode { index, source }) => {
                Self::Damaged(format!("the column {index} of a row: {source}"))
            }
            Fault::Sql(Error::Database(error)) => {
                let code = error.code().unwrap_or_default();
                of_database(&code, error.message())
            }
            Fault::Sql(Error::Protocol(text)) => Self::Unavailable(format!("the connection broke: {text}")),
            Fault::Sql(error) => Self::Unavailable(error.to_string()),
        }
    }
}

/// What keeps a database from being opened and does not pass by itself; nothing where it may.
fn lasting(code: &str, message: &str) -> Option<&'static str> {
    const PASSWORD: &str = "the password is wrong, or there is no such user";
    const DATABASE: &str = "there is no such database; create it first";
    match code {
        "28P01" => Some(PASSWORD),
        "28000" => Some("the server does not let this user in; see its `pg_hba.conf`"),
        "3D000" => Some(DATABASE),
        "42501" => Some("the user may not create or use the namespace's schema; grant it `CREATE`"),
        // PgBouncer has one code for whatever it refuses, and says of what passes that the login failed on its server.
        "08P01" => match message {
            _ if message.starts_with("password authentication failed") => Some(PASSWORD),
            _ if message.starts_with("SASL authentication failed") => Some(PASSWORD),
            _ if message.starts_with("no such user") => Some(PASSWORD),
            _ if message.starts_with("no such database") => {
                Some("PgBouncer knows no such database; add it to its `[databases]`, or correct the name")
            }
            _ => None,
        },
        _ => None,
    }
}

/// What PostgreSQL itself says went wrong. What it would say again and again is not called unavailable, so that nobody tries it
/// for ever.
fn of_database(code: &str, message: &str) -> StorageError {
    let unavailable = |why: &str| StorageError::Unavailable(why.to_owned());
    match code {
        "XX001" | "XX002" => StorageError::Damaged(format!("{message}; restore the database")),
        "42P01" | "3F000" => {
            StorageError::Unusable(format!(
                "{message}: the namespace, or a part of it, was removed while it is in use; `windlass check` names missing \
                 tables"
            ))
        }
        "53100" => unavailable("the disk of the database is full; make room on it"),
        "53300" => unavailable("the server has no connection left; raise `max_connections`"),
        "25006" => unavailable("the database only reads: it is a standby, or a failover is under way"),
        "25P01" => StorageError::Unusable(
            "the connection is not in a transaction: begin one, so that the jobs are there with your own data or not at \
             all"
            .to_owned(),
        ),
        "55P03" => StorageError::Unavailable(format!(
            "{message}: another transaction holds what this needs (`pg_stat_activity` shows those that are open)"
        )),
        // The division by zero and the number that another job has are tried again; here others came in each time.
        "22012" | "23505" => unavailable("too many others write to the same jobs; try again"),
        _ if code.starts_with("22") || code.starts_with("23") => {
            StorageError::Damaged(format!("the database does not take it: {message} ({code})"))
        }
        _ if code.starts_with("42") => StorageError::Unusable(format!(
            "{message} ({code}): the schema is not as windlass made it, or its user lacks a right; `windlass check` and \
             the server's log tell more"
        )),
        _ if code.starts_with("54") => {
            StorageError::TooLarge(format!("the database cannot keep it: {message} ({code})"))
        }
        _ => unavailable(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pooler_refuses_for_good_is_not_waited_for() {
        for message in ["password authentication failed", "SASL authentication failed", "no such user: ann"] {
            assert_eq!(lasting("08P01", message), lasting("28P01", ""), "{message}");
        }
        assert!(lasting("08P01", "no such database: nope").unwrap().contains("PgBouncer knows no such database"));
        for message in [
            "server login failed: FATAL password authentication failed",
            "client_login_timeout",
            "pgbouncer is shutting down",
        ] {
            assert_eq!(lasting("08P01", message), None, "{message}");
        }
        assert_eq!(lasting("57P03", "the database system is starting up"), None);
    }
}
