//! How a database is opened: what its URL says, and what the program does.

use std::{str::FromStr, sync::Arc};

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};

use crate::{
    Clock,
    storage::{Retention, StorageError},
};

/// The namespace of a URL that names none.
const NAMESPACE: &str = "windlass";

/// PostgreSQL cuts names off beyond 63 bytes; some are left for the names that are made of it.
const MAX_NAMESPACE: usize = 48;

/// What `sslmode` may be.
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// What this process does with the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It runs jobs. Any number of processes may.
    Host,
    /// It enqueues and looks.
    #[default]
    Client,
}

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// What this process does with it; a client's by default.
    pub role: Role,
    /// How many connections it uses at most, beside the one that it listens on; 8 by default, 4 for a client. Of five or
    /// more, two are kept for heartbeats and the ends of runs; lists, exports and the like leave three to others.
    pub connections: u32,
    /// Whether a schema that is missing or older is brought up to date; so by default for a host, while a client refuses.
    pub migrate: bool,
    /// What time it is; the database's own clock where absent. All processes on a database should leave it absent.
    pub clock: Option<Arc<dyn Clock>>,
    /// How long ended jobs and logs are kept.
    pub retention: Retention,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { role: Role::Client, connections: 4, migrate: false, clock: None, retention: Retention::default() }
    }
}

impl PostgresOptions {
    /// The options of a host, everything else by default.
    #[must_use]
    pub fn host() -> Self {
        Self { role: Role::Host, connections: 8, migrate: true, ..Self::default() }
    }
}

/// Whether the connections go to PostgreSQL itself or to a pooler that hands each transaction to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// It is found out.
    Unknown,
    /// The URL says.
    Said(bool),
}

/// Where a database is.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) options: PgConnectOptions,
    pub(super) namespace: String,
    pub(super) pooled: Pooling,
    /// Whether to listen, where the URL says.
    pub(super) listen: Option<bool>,
    /// The server and the database as messages name them.
    pub(super) name: String,
}

impl Target {
    /// Takes a URL apart. The parameters `namespace`, `pooled` and `listen` are this crate's own, the others sqlx's.
    pub(super) fn read(url: &str) -> Result<Self, StorageError> {
        // A URL holds a password, so it is never repeated.
        let unusable = |why: String| StorageError::Unusable(format!("the URL of the PostgreSQL storage {why}"));
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("postgres" | "postgresql")) {
            return Err(unusable("must begin with `postgres://`".to_owned()));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut namespace, mut pooled, mut listen) = (NAMESPACE.to_owned(), Pooling::Unknown, None);
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let yes_or_no = || match value {
                "true" | "yes" | "on" => Ok(true),
                "false" | "no" | "off" => Ok(false),
                _ => Err(unusable(format!("says `{key}={value}`: expected `true` or `false`"))),
            };
            if matches!(key, "sslmode" | "ssl-mode") && !SSL_MODES.contains(&value) {
                let value = value.chars().take(40).collect::<String>();
                return Err(unusable(format!("says `{key}={value}`: expected one of {}", SSL_MODES.join(", "))));
            }
            match key {
                "namespace" => value.clone_into(&mut namespace),
                "pooled" => pooled = Pooling::Said(yes_or_no()?),
                "listen" => listen = Some(yes_or_no()?),
                "sslmode" | "ssl-mode" | "sslrootcert" | "ssl-root-cert" | "ssl-ca" | "sslcert" | "ssl-cert"
                | "sslkey" | "ssl-key" | "host" | "hostaddr" | "port" | "dbname" | "user" | "password"
                | "application_name" | "options" => rest.push(pair),
                _ => {
                    return Err(unusable(format!(
                        "has the parameter `{key}`, which is not known: there are namespace, pooled, listen, sslmode, \
                         sslrootcert, sslcert, sslkey, host, hostaddr, port, dbname, user, password, application_name and \
                         options"
                    )));
                }
            }
        }
        check_namespace(&namespace).map_err(unusable)?;
        let plain = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        let options = PgConnectOptions::from_str(&plain).map_err(|_| {
            unusable("cannot be read: expected `postgres://user:password@host:port/database`".to_owned())
        })?;
        let database = options.get_database().unwrap_or_else(|| options.get_username()).to_owned();
        let host = options.get_socket().map_or_else(
            || format!("{}:{}", options.get_host(), options.get_port()),
            |socket| socket.display().to_string(),
        );
        let options =
            if options.get_application_name().is_some() { options } else { options.application_name("windlass") };
        // How long each verb takes is measured where it is called; a statement of kilobytes in the log helps nobody.
        let options = options.disable_statement_logging();
        Ok(Self { name: format!("the database `{database}` at {host}"), options, namespace, pooled, listen })
    }
}

/// A namespace becomes a part of every statement, so nothing but the plainest names passes.
fn check_namespace(name: &str) -> Result<(), String> {
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let plain = name.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_');
    if !starts || !plain || name.len() > MAX_NAMESPACE || name.starts_with("pg_") {
        let given = name.chars().take(80).collect::<String>();
        return Err(format!(
            "names the namespace `{given}`: it must consist of lowercase letters, digits and `_`, begin with a letter, \
             be at most {MAX_NAMESPACE} long, and not begin with `pg_`"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_its_own_parameters_are_kept_from_sqlx() {
        let target =
            Target::read("postgres://ann:secret@db.example:5433/jobs?namespace=shop_2&sslmode=require&pooled=true")
                .unwrap();
        assert_eq!((target.namespace.as_str(), target.pooled), ("shop_2", Pooling::Said(true)));
        assert_eq!(target.name, "the database `jobs` at db.example:5433");
        assert_eq!(Target::read("postgres://localhost/jobs").unwrap().namespace, "windlass");
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        let cases = [
            ("mysql://ann:secret@db/jobs", "must begin with `postgres://`"),
            ("postgres://ann:secret@db/jobs?namespace=a\"b", "lowercase letters"),
            ("postgres://ann:secret@db/jobs?namespace=pg_catalog", "not begin with `pg_`"),
            ("postgres://ann:secret@db/jobs?nmaespace=a", "`nmaespace`, which is not known"),
            ("postgres://ann:secret@db/jobs?connect_timeout=3", "there are namespace, pooled"),
            ("postgres://ann:secret@db/jobs?sslmode=bogus", "`sslmode=bogus`: expected one of disable"),
            ("postgres://ann:secret@db/jobs?pooled=maybe", "expected `true` or `false`"),
            ("postgres://ann:secret@db:port/jobs", "cannot be read"),
        ];
        for (url, expected) in cases {
            let error = Target::read(url).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
        }
    }
}
