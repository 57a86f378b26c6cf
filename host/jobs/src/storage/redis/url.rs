//! Reading the address of a Redis. What is wrong with one is said without its password.
//!
//! ```text
//!   redis://[user:password@]host[:port][/db]
//!   redis+sentinel://[user:password@]host[:port],…/MASTER[/db]
//!   redis+cluster://[user:password@]host[:port],…
//!   rediss…  the same over TLS
//!   ?namespace=NAME       the prefix of all keys; `windlass` by default
//!   ?ca-file=PATH         a file of PEM certificates to trust instead of the system's
//!   ?sentinel-user=, ?sentinel-password=   where Sentinels want some
//! ```

use std::path::PathBuf;

use crate::storage::StorageError;

/// No namespace is longer, in bytes.
const MAX_NAMESPACE_BYTES: usize = 60;

/// A user and a password, not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How the server that takes writes is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is the one that is named.
    Single,
    /// Sentinels know which it is.
    Sentinel {
        /// What they call it.
        master: String,
    },
    /// It is the one that holds the namespace's hash slot.
    Cluster,
}

/// The address of a Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) kind: Kind,
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) login: Login,
    pub(super) sentinel_login: Login,
    pub(super) db: i64,
    pub(super) tls: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) namespace: String,
}

fn unusable(text: impl Into<String>) -> StorageError {
    StorageError::Unusable(text.into())
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, StorageError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| {
            unusable("the address of a Redis begins with redis://, rediss://, redis+sentinel:// or redis+cluster://")
        })?;
        let (tls, kind) = match scheme {
            "redis" => (false, Kind::Single),
            "rediss" => (true, Kind::Single),
            "redis+sentinel" | "rediss+sentinel" => {
                (scheme.starts_with("rediss"), Kind::Sentinel { master: String::new() })
            }
            "redis+cluster" | "rediss+cluster" => (scheme.starts_with("rediss"), Kind::Cluster),
            _ => return Err(unusable(format!("`{scheme}` is no way to reach a Redis: give redis:// or rediss://"))),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.contains('@') || query.contains('@') {
            // What stands before the `@` may be a part of the password, so it must not be read as something else.
            return Err(unusable("the user or the password in the address has a `/` or `?`: write %2F or %3F"));
        }
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let default_port = if matches!(kind, Kind::Sentinel { .. }) { 26379 } else { 6379 };
        let mut address = Self {
            hosts: hosts.split(',').map(|host| host_and_port(host, default_port)).collect::<Result<_, _>>()?,
            kind,
            login: read_login(login)?,
            sentinel_login: Login::default(),
            db: 0,
            tls,
            ca_file: None,
            namespace: "windlass".to_owned(),
        };
        address.read_path(path)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            address.read_parameter(pair)?;
        }
        Ok(address)
    }

    fn read_path(&mut self, path: &str) -> Result<(), StorageError> {
        let path = path.trim_end_matches('/');
        let db = match &mut self.kind {
            Kind::Sentinel { master } => {
                let (name, db) = path.split_once('/').unwrap_or((path, ""));
                if name.is_empty() {
                    return Err(unusable("the address names no master: redis+sentinel://host:26379/MASTER"));
                }
                *master = decode(name)?;
                db
            }
            Kind::Single | Kind::Cluster => path,
        };
        if !db.is_empty() {
            self.db = db.parse().map_err(|_| unusable(format!("`{db}` is not the number of a Redis database")))?;
        }
        if self.kind == Kind::Single && self.hosts.len() != 1 {
            return Err(unusable("redis:// takes one host; for several, give redis+sentinel:// or redis+cluster://"));
        }
        if self.kind == Kind::Cluster && self.db != 0 {
            return Err(unusable("a Redis Cluster has the database 0 only: leave the number away"));
        }
        Ok(())
    }

    fn read_parameter(&mut self, pair: &str) -> Result<(), StorageError> {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value)?;
        match name {
            "namespace" => {
                let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
                if value.is_empty() || value.len() > MAX_NAMESPACE_BYTES || !value.bytes().all(fine) {
                    return Err(unusable(format!(
                        "`{value}` is not a namespace: expected 1 to {MAX_NAMESPACE_BYTES} of a-z, A-Z, 0-9, `_`, `-` \
                         and `.`"
                    )));
                }
                self.namespace = value;
            }
            "ca-file" if self.tls => self.ca_file = Some(value.into()),
            "ca-file" => return Err(unusable("`ca-file` is for rediss:// only")),
            "sentinel-user" => self.sentinel_login.user = Some(value),
            "sentinel-password" => self.sentinel_login.password = Some(value),
            _ => {
                return Err(unusable(format!(
                    "`{name}` is not known in the address of a Redis: expected namespace, ca-file, sentinel-user or \
                     sentinel-password"
                )));
            }
        }
        Ok(())
    }

    /// What the Redis is called in messages: its hosts, and nothing secret.
    pub(super) fn shown(&self) -> String {
        let hosts = self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>().join(",");
        match &self.kind {
            Kind::Single => format!("Redis at {hosts}"),
            Kind::Sentinel { master } => format!("the Redis `{master}` of the Sentinels at {hosts}"),
            Kind::Cluster => format!("the Redis Cluster at {hosts}"),
        }
    }
}

fn host_and_port(text: &str, default_port: u16) -> Result<(String, u16), StorageError> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, port) = match bracketed {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let port = match port {
        None | Some("") => default_port,
        Some(port) => port.parse().map_err(|_| unusable(format!("`{port}` is not a port of `{host}`")))?,
    };
    Ok((host.to_owned(), port))
}

fn read_login(text: &str) -> Result<Login, StorageError> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let some = |text: String| (!text.is_empty()).then_some(text);
    // A message must not say what could not be read here.
    let secret = |_| unusable("the user or the password in the address cannot be read: write `%` as %25, `@` as %40");
    Ok(Login { user: some(decode(user).map_err(secret)?), password: some(decode(password).map_err(secret)?) })
}

/// Reads `%41` as `A`.
fn decode(text: &str) -> Result<String, StorageError> {
    let wrong = || unusable("a `%` in the address of a Redis is not followed by two hexadecimal digits of UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(wrong)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_address_is_read() {
        let single = Address::parse("redis://ann:p%40ss@example.org:7000/3?namespace=shop").unwrap();
        assert_eq!((single.kind.clone(), single.db, single.namespace.as_str()), (Kind::Single, 3, "shop"));
        assert_eq!(single.hosts, [("example.org".to_owned(), 7000)]);
        assert_eq!(single.login.password.as_deref(), Some("p@ss"));
        let sentinel = Address::parse("rediss+sentinel://:pw@a,b:1/main/2").unwrap();
        assert_eq!(sentinel.kind, Kind::Sentinel { master: "main".to_owned() });
        assert_eq!((sentinel.tls, sentinel.db), (true, 2));
        assert_eq!(sentinel.hosts, [("a".to_owned(), 26379), ("b".to_owned(), 1)]);
        let cluster = Address::parse("redis+cluster://[::1]:7000,b").unwrap();
        assert_eq!(cluster.hosts, [("::1".to_owned(), 7000), ("b".to_owned(), 6379)]);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for url in [
            "redis://u:secret@h:port",
            "redis://u:secret@h/db",
            "redis://u:secret@h?namespaec=a",
            "redis://u:secret@h?namespace=a%20b",
            "redis://u:sec%ret@h",
            "redis://u:sec/ret@h",
            "redis://u:sec?ret@h",
            "redis://u:secret@a,b",
            "redis+cluster://u:secret@a/1",
            "redis+sentinel://u:secret@a",
            "http://u:secret@a",
            "u:secret@a",
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(!error.contains("sec"), "{url}: {error}");
        }
        let shown = format!("{:?}", Address::parse("redis://u:secret@h").unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
