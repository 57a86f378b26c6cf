//! Opening a namespace of a Redis.

use std::{sync::Arc, time::Duration};

use redis::{Value, cmd};
use tokio::{sync::oneshot, time::timeout};

use super::{
    RedisStorage,
    answer::{self, List},
    findings::major,
    hub::Hub,
    jobs::Claims,
    link::Link,
    listen::listen,
    options::RedisOptions,
    script,
    url::{Address, Kind},
};
use crate::storage::{Finding, Migration, StorageError};

/// The version of what is stored. A host reads and writes this one, and refuses a newer one. Version 2 has added what
/// continuations, unique jobs, expiry, limits, the audit log and canaries need; what version 1 stored stays as it is, so an upgrade
/// only writes the number.
const FORMAT: u32 = 2;

/// How long to wait until listening has begun; where it takes longer, it begins later.
const LISTENS: Duration = Duration::from_secs(2);

impl RedisStorage {
    /// Opens a namespace, which is made where it is not there, unless [`RedisOptions::prepare`] says otherwise. To be called on a Tokio runtime, which keeps the
    /// connections.
    ///
    /// The address is `redis://[user:password@]host[:port][/db]`, `redis+sentinel://…host,host/MASTER[/db]` or
    /// `redis+cluster://…host,host`, each as `rediss…` for TLS, and takes `?namespace=NAME` (`windlass` by default) and
    /// `?ca-file=PATH` (PEM certificates to trust instead of the system's).
    ///
    /// # Errors
    /// [`StorageError::Unusable`] where the address is wrong, the password is refused, the server is older than 7 or a
    /// replica, or the namespace comes from a newer Windlass or is not there and not to be made; [`StorageError::Unavailable`] where nobody answers.
    pub async fn connect(url: &str, options: RedisOptions) -> Result<Arc<Self>, StorageError> {
        let address = Address::parse(url)?;
        let prefix = format!("{{{}}}:", address.namespace);
        let link = Arc::new(Link::new(address, &options)?);
        let hub = Arc::new(Hub::new());
        let mut storage = Self {
            link: Arc::clone(&link),
            prefix: prefix.clone(),
            hub: Arc::clone(&hub),
            claims: Claims::default(),
            retention: options.retention,
            clock: options.clock,
            listener: None,
            migration: Migration { from: None, to: FORMAT },
        };
        storage.migration.from = storage.check(options.prepare).await?;
        let (ready, listens) = oneshot::channel();
        let listener = tokio::spawn(listen(link, Arc::downgrade(&hub), prefix, ready));
        storage.listener = Some(listener.abort_handle());
        let _ = timeout(LISTENS, listens).await;
        Ok(Arc::new(storage))
    }

    /// What opening it did to its namespace.
    #[must_use]
    pub fn migration(&self) -> Migration {
        self.migration
    }

    /// Looks at whether the server and what is stored can be used, and makes the namespace where it may. Gives the version
    /// that was stored.
    async fn check(&self, prepare: bool) -> Result<Option<u32>, StorageError> {
        let name = self.link.name();
        let server = self.info("server").await?;
        let version = server.get("redis_version").map_or("", |version| version.trim());
        if major(version) < 7 {
            return Err(StorageError::Unusable(format!(
                "{name} is version {version}, and 7 is the oldest that works: upgrade it"
            )));
        }
        let mut role = List::of(self.link.ask(&cmd("ROLE")).await?)?;
        if role.text()? != "master" {
            return Err(match self.link.kind() {
                Kind::Single => StorageError::Unusable(format!(
                    "{name} is a read-only replica: give the address of its master, or redis+sentinel://"
                )),
                // A failover is under way.
                _ => StorageError::Unavailable(format!("{name}: the server is a read-only replica just now")),
            });
        }
        let mut call = self.call(&script::OPEN);
        call.arg(FORMAT).arg(u8::from(prepare));
        let stored = match self.run(call).await? {
            Value::Nil if prepare => return Ok(None),
            Value::Nil => return Err(self.not_there(self.findings_of_server().await?)),
            stored => answer::text(stored)?,
        };
        match stored.parse::<u32>() {
            Ok(FORMAT) => Ok(Some(FORMAT)),
            Ok(older @ 1..FORMAT) if prepare => Ok(Some(older)),
            Ok(older @ 1..FORMAT) => Err(StorageError::Unusable(format!(
                "the namespace {} of {name} has format version {older}, and this windlass needs version {FORMAT}: start a \
                 host on it, or run `windlass storage migrate`",
                self.namespace()
            ))),
            Ok(newer) if newer > FORMAT => Err(StorageError::Unusable(format!(
                "the namespace {} of {name} has format version {newer}, and this windlass knows versions up to \
                 {FORMAT}: use a newer windlass",
                self.namespace()
            ))),
            _ => Err(StorageError::Unusable(format!(
                "the key {}format of {name} holds `{}`, which is no version of a windlass format: give windlass a \
                 namespace of its own",
                self.prefix,
                stored.chars().take(20).collect::<String>()
            ))),
        }
    }

    /// Writes the version where it is not there, as after the namespace was flushed under a host.
    pub(super) async fn mark(&self) -> Result<(), StorageError> {
        let mut call = self.call(&script::OPEN);
        call.arg(FORMAT).arg(1);
        self.run(call).await.map(drop)
    }

    fn namespace(&self) -> &str {
        self.prefix.trim_end_matches(':')
    }

    fn not_there(&self, findings: Vec<Finding>) -> StorageError {
        let what = format!(
            "{} has no windlass storage in the namespace {} yet: start a host on it, or run `windlass storage migrate`",
            self.link.name(),
            self.namespace()
        );
        StorageError::Absent { what, findings }
    }
}
