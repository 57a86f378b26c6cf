//! Opening a database.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32},
};

use uuid::Uuid;

use super::{
    claims::Claims,
    core::Core,
    fault::Fault,
    findings::{self, Ways},
    hub::Hub,
    intake,
    lanes::{self, Lanes},
    listen,
    options::{Pooling, PostgresOptions, Target},
    schema,
    stores::PostgresStorage,
    texts::Texts,
    tx::{Kind, Told},
};
use crate::storage::{Migration, StorageError};

impl PostgresStorage {
    /// Opens the database that a URL names:
    /// `postgres://user:password@host:port/database?namespace=NAME`. Everything of Windlass's stands in a schema of the
    /// namespace's name, `windlass` by default, so that several installations share a database. Other parameters of the
    /// URL are `sslmode` and its kin; `pooled=true` where a pooler such as PgBouncer hands each transaction to another
    /// connection, which is found out otherwise; and `listen=false` not to listen for notifications.
    ///
    /// To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StorageError::Unusable`] where the URL cannot be read, the password is wrong, the database is missing, its schema
    /// comes from a newer version or, unless [`PostgresOptions::migrate`], from an older one, or the server is older than
    /// PostgreSQL 14; [`StorageError::Unavailable`] where the server cannot be reached. None of them holds the password.
    pub async fn connect(url: &str, options: PostgresOptions) -> Result<Arc<Self>, StorageError> {
        let target = Target::read(url)?;
        let said = match target.pooled {
            Pooling::Said(pooled) => Some(pooled),
            Pooling::Unknown => None,
        };
        let first = lanes::first(&target.options, said).await;
        let (first, connecting, pooled) = first.map_err(|fault| fault.on_open(&target.name))?;
        // In sessions that a pooler shares out, a listener's registration would be left behind for others to stumble over.
        let may_listen = target.listen.unwrap_or(!pooled);
        let core = Arc::new(Core {
            lanes: Lanes::new(first, connecting, pooled, options.connections),
            texts: Texts::new(&target.namespace),
            claims: Claims::default(),
            hub: Hub::new(),
            clock: options.clock,
            retention: options.retention,
            listener: Uuid::new_v4(),
            channel: format!("windlass.{}", target.namespace),
            may_listen,
            name: target.name,
            to_set_aside: Mutex::default(),
            appended: AtomicU32::new(0),
            has_limits: AtomicBool::new(false),
        });
        let migration = prepare(&core, &target.namespace, options.migrate, options.connections).await?;
        let (intake, mut tasks) = intake::start(&core);
        tasks.push(tokio::spawn(listen::run(Arc::clone(&core))));
        Ok(Arc::new(Self {
            core,
            intake,
            tasks: Mutex::new(tasks),
            connections: options.connections,
            role: options.role,
            migration,
        }))
    }
}

async fn prepare(core: &Core, namespace: &str, may_migrate: bool, connections: u32) -> Result<Migration, StorageError> {
    let mut lane = core.lanes.take(Kind::Long).await?;
    let mut told = Told::default();
    let mut tx = core.tx(&mut lane, &mut told);
    let migration = match schema::prepare(&mut tx, &core.name, namespace, may_migrate).await {
        Err(StorageError::Absent { what, .. }) => {
            let ways = Ways {
                pooled: core.lanes.pooled,
                may_listen: core.may_listen,
                is_listening: true,
                connections,
                uses_its_clock: core.clock.is_none(),
            };
            let on_open = |fault: Fault| fault.on_open(&core.name);
            tx.begin(Kind::Long).await.map_err(on_open)?;
            let findings = findings::findings(&mut tx, &ways).await.map_err(on_open)?;
            return Err(StorageError::Absent { what, findings });
        }
        prepared => prepared?,
    };
    core.lanes.give_back(lane, Ok(()), false).await;
    Ok(migration)
}
