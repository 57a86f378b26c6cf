//! The connection to the server that takes writes: found, opened, given up when it fails, and opened again.
//!
//! A namespace lives in one hash slot, so even of a Cluster it is always one server. Nothing is sent twice here unless the
//! server said that it did nothing: whether to repeat a call whose answer was lost is the caller's to know.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates, Value, aio::MultiplexedConnection,
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{
    answer,
    fault::{is_broken, is_misdirected, is_out_of_place, storage_error},
    options::RedisOptions,
    url::{Address, Kind, Login},
};
use crate::storage::StorageError;

/// How long to wait before trying again to connect: doubling, so that a server that comes back is not overrun.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(1));

/// Commands that may queue up for the connection before callers wait.
const QUEUED: usize = 1024;

pub(super) struct Link {
    address: Address,
    name: String,
    certificates: Option<TlsCertificates>,
    connect_timeout: Duration,
    answer_timeout: Duration,
    /// Attempts to connect that failed, and servers that were found to be the wrong ones, since an answer came. So many
    /// hosts are passed over at first, so that one that knows nothing good is not asked for ever.
    failures: AtomicU32,
    slot: Mutex<Slot>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The present connection, or why there is none.
#[derive(Default)]
struct Slot {
    /// Counts connections, so that a caller gives up only the one that failed it.
    generation: u64,
    connection: Option<MultiplexedConnection>,
    failed: Option<(Instant, String)>,
}

impl Link {
    pub(super) fn new(address: Address, options: &RedisOptions) -> Result<Self, StorageError> {
        let name = address.shown();
        let certificates = match &address.ca_file {
            Some(path) => {
                let read = std::fs::read(path).map_err(|error| {
                    StorageError::Unusable(format!("the certificates in {} cannot be read: {error}", path.display()))
                })?;
                Some(TlsCertificates { client_tls: None, root_cert: Some(read) })
            }
            None => None,
        };
        if address.tls {
            // Another part of the program may have chosen one; whichever it is will do.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let (connect_timeout, answer_timeout) = (options.connect_timeout, options.answer_timeout);
        Ok(Self {
            address,
            name,
            certificates,
            connect_timeout,
            answer_timeout,
            failures: AtomicU32::new(0),
            slot: Mutex::default(),
        })
    }

    /// What the Redis is called in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.address.kind
    }

    /// Sends a command; its answer is the server's, errors included.
    pub(super) async fn send(&self, command: &Cmd) -> Result<Result<Value, RedisError>, StorageError> {
        let mut asked = 0;
        loop {
            let (generation, mut connection) = self.connection().await?;
            let answer = command.query_async::<Value>(&mut connection).await;
            let Some(error) = answer.as_ref().err().filter(|error| is_broken(error)) else {
                if self.failures.load(Ordering::Relaxed) > 0 {
                    self.failures.store(0, Ordering::Relaxed);
                }
                return Ok(answer);
            };
            self.give_up(generation, error).await;
            asked += 1;
            // The wrong server did nothing, so the right one may be asked.
            if asked == 1 && is_misdirected(error) && self.address.kind != Kind::Single {
                continue;
            }
            return Ok(answer);
        }
    }

    /// Sends a command and takes an error as one of the storage's.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, StorageError> {
        self.send(command).await?.map_err(|error| storage_error(&error, &self.name))
    }

    async fn give_up(&self, generation: u64, error: &RedisError) {
        let mut slot = self.slot.lock().await;
        if slot.generation == generation && slot.connection.take().is_some() && is_out_of_place(error) {
            let failures = self.failures.fetch_add(1, Ordering::Relaxed);
            // The right one is looked for at once, but not again and again where there is none.
            if failures > 0 {
                slot.failed = Some((Instant::now() + pause(failures), reason(&storage_error(error, &self.name))));
            }
        }
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), StorageError> {
        let mut slot = self.slot.lock().await;
        if let Some(connection) = &slot.connection {
            return Ok((slot.generation, connection.clone()));
        }
        // Those who waited for an attempt that failed share its outcome.
        if let Some((until, why)) = &slot.failed
            && Instant::now() < *until
        {
            return Err(StorageError::Unavailable(why.clone()));
        }
        match self.open().await {
            Ok(connection) => {
                slot.generation += 1;
                slot.connection = Some(connection.clone());
                slot.failed = None;
                Ok((slot.generation, connection))
            }
            Err(error) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed);
                slot.failed = Some((Instant::now() + pause(failures), reason(&error)));
                Err(error)
            }
        }
    }

    async fn open(&self) -> Result<MultiplexedConnection, StorageError> {
        let client = self.client().await?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.answer_timeout))
            .set_pipeline_buffer_size(QUEUED);
        let opened = self.in_time(client.get_multiplexed_async_connection_with_config(&config)).await?;
        opened.map_err(|error| self.on_connect(&error))
    }

    /// A client of the server that takes writes just now.
    pub(super) async fn client(&self) -> Result<Client, StorageError> {
        match &self.address.kind {
            Kind::Single => {
                let (host, port) = &self.address.hosts[0];
                self.client_of(host, *port, &self.address.login, self.address.db)
            }
            Kind::Sentinel { master } => self.sentinel_master(master).await,
            Kind::Cluster => self.cluster_master().await,
        }
    }

    fn client_of(&self, host: &str, port: u16, login: &Login, db: i64) -> Result<Client, StorageError> {
        let info = self.info(host, port, login, db).map_err(|error| self.on_connect(&error))?;
        let client = match (&self.certificates, self.address.tls) {
            (Some(certificates), true) => Client::build_with_tls(info, certificates.clone()),
            _ => Client::open(info),
        };
        client.map_err(|error| self.on_connect(&error))
    }

    fn info(&self, host: &str, port: u16, login: &Login, db: i64) -> Result<ConnectionInfo, RedisError> {
        let host = host.to_owned();
        let addr = if self.address.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        Ok(addr.into_connection_info()?.set_redis_settings(settings(login, db)))
    }

    /// The hosts of the address, in the order in which they are asked now.
    fn hosts(&self) -> impl Iterator<Item = &(String, u16)> {
        let hosts = &self.address.hosts;
        let passed = usize::try_from(self.failures.load(Ordering::Relaxed)).unwrap_or(0);
        hosts.iter().cycle().skip(passed % hosts.len().max(1)).take(hosts.len())
    }

    /// The master as the first Sentinel names it whose word is true: one that was cut off names the former one.
    async fn sentinel_master(&self, master: &str) -> Result<Client, StorageError> {
        let mut failed = StorageError::Unavailable(format!("{}: no Sentinel knows a master of this name", self.name));
        for (host, port) in self.hosts() {
            let client = self.client_of(host, *port, &self.address.sentinel_login, 0)?;
            let mut command = redis::cmd("SENTINEL");
            command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
            match self.ask_client(&client, &command).await {
                Ok(answer) => {
                    let Ok((host, port)) = redis::from_redis_value::<(String, u16)>(answer) else { continue };
                    let client = self.client_of(&host, port, &self.address.login, self.address.db)?;
                    match self.expect_master(&client).await {
                        Ok(()) => return Ok(client),
                        Err(error) => failed = error,
                    }
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// The server that holds the namespace's slot, as the first host knows that has its part in the Cluster.
    async fn cluster_master(&self) -> Result<Client, StorageError> {
        let mut failed = StorageError::Unavailable(format!("{}: no host is named", self.name));
        for (host, port) in self.hosts() {
            match self.holder_by(host, *port).await {
                Ok(client) => return Ok(client),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn holder_by(&self, host: &str, port: u16) -> Result<Client, StorageError> {
        let (host, port) = self.slot_holder(host, port).await?;
        let client = self.client_of(&host, port, &self.address.login, 0)?;
        self.expect_master(&client).await?;
        Ok(client)
    }

    /// Fails where a server takes no writes.
    async fn expect_master(&self, client: &Client) -> Result<(), StorageError> {
        let role = self.ask_client(client, &redis::cmd("ROLE")).await?;
        let is_master = matches!(&role, Value::Array(role) if matches!(role.first(),
            Some(Value::BulkString(word)) if word == b"master"));
        if is_master {
            return Ok(());
        }
        Err(StorageError::Unavailable(format!("{}: the server is a read-only replica just now", self.name)))
    }

    async fn slot_holder(&self, host: &str, port: u16) -> Result<(String, u16), StorageError> {
        let client = self.client_of(host, port, &self.address.login, 0)?;
        let mut command = redis::cmd("CLUSTER");
        command.arg("INFO");
        let info = answer::text(self.ask_client(&client, &command).await?)?;
        if !info.lines().any(|line| line.trim_end() == "cluster_state:ok") {
            // It was cut off from the others, or some of them are down; what it knows may be long over.
            let name = &self.name;
            return Err(StorageError::Unavailable(format!("{name}: {host}:{port} says that its Cluster is down")));
        }
        let mut command = redis::cmd("CLUSTER");
        command.arg("KEYSLOT").arg(format!("{{{}}}", self.address.namespace));
        let slot = self.ask_client(&client, &command).await?;
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let holder = match (slot, self.ask_client(&client, &command).await?) {
            (Value::Int(slot), Value::Array(ranges)) => holder(slot, &ranges),
            _ => None,
        };
        let (at, port) = holder.ok_or_else(|| {
            StorageError::Unavailable(format!("{}: no server holds the namespace's hash slot", self.name))
        })?;
        // A server that does not know its own name is the one that was asked.
        Ok((if at.is_empty() { host.to_owned() } else { at }, port))
    }

    /// Asks one thing on a connection of its own.
    async fn ask_client(&self, client: &Client, command: &Cmd) -> Result<Value, StorageError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.connect_timeout));
        let asked = self.in_time(async {
            let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
            command.query_async::<Value>(&mut connection).await
        });
        asked.await?.map_err(|error| self.on_connect(&error))
    }

    async fn in_time<T>(&self, step: impl Future<Output = T>) -> Result<T, StorageError> {
        // Finding the server takes some steps.
        let done = timeout(self.connect_timeout.saturating_mul(2), step).await;
        done.map_err(|_| StorageError::Unavailable(format!("{}: it did not answer in time", self.name)))
    }

    /// What kept a connection from being opened: what cannot pass by itself is said to be so.
    fn on_connect(&self, error: &RedisError) -> StorageError {
        match error.kind() {
            ErrorKind::InvalidClientConfig => StorageError::Unusable(format!("{}: {error}", self.name)),
            ErrorKind::Server(ServerErrorKind::ResponseError)
                if error.detail().is_some_and(|detail| detail.contains("cluster support disabled")) =>
            {
                StorageError::Unusable(format!(
                    "{} is not a Cluster: give redis:// instead of redis+cluster://",
                    self.name
                ))
            }
            ErrorKind::Server(ServerErrorKind::ResponseError)
                if error.detail().is_some_and(|detail| detail.contains("DB index is out of range")) =>
            {
                StorageError::Unusable(format!(
                    "{} has no database {}: give a lower number at the end of the address, or raise `databases` in the \
                     configuration of Redis",
                    self.name, self.address.db
                ))
            }
            _ => storage_error(error, &self.name),
        }
    }
}

/// Why there is no connection, for those who share the outcome: it is said again that the storage is unavailable when they are told.
fn reason(error: &StorageError) -> String {
    match error {
        StorageError::Unavailable(why) => why.clone(),
        other => other.to_string(),
    }
}

/// How long to wait after so many failures.
fn pause(failures: u32) -> Duration {
    let pause = BACKOFF.0.saturating_mul(1 << failures.min(10)).min(BACKOFF.1);
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}

fn settings(login: &Login, db: i64) -> RedisConnectionInfo {
    let mut settings = RedisConnectionInfo::default().set_db(db).set_protocol(ProtocolVersion::RESP2);
    if let Some(user) = &login.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &login.password {
        settings = settings.set_password(password);
    }
    settings
}

/// The master of the range that a slot lies in, in the answer of `CLUSTER SLOTS`.
fn holder(slot: i64, ranges: &[Value]) -> Option<(String, u16)> {
    ranges.iter().find_map(|range| {
        let Value::Array(range) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice() else { return None };
        let [host, Value::Int(port), ..] = master.as_slice() else { return None };
        if !(*first..=*last).contains(&slot) {
            return None;
        }
        let host = match host {
            Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
            _ => String::new(),
        };
        Some((host, u16::try_from(*port).ok()?))
    })
}
