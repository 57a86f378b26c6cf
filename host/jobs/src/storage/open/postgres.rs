//! PostgreSQL. The schema is made by whoever may, and else by nobody.

use std::sync::Arc;

use super::{Migration, OpenOptions, Role};
use crate::storage::{
    Storage, StorageError, StorageUrl,
    postgres::{PostgresOptions, PostgresStorage},
};

pub(super) async fn open(url: &StorageUrl, options: OpenOptions) -> Result<Arc<dyn Storage>, StorageError> {
    let storage: Arc<dyn Storage> = PostgresStorage::connect(url.with_password(), own(&options)).await?;
    Ok(storage)
}

pub(super) async fn migrate(url: &StorageUrl) -> Result<Migration, StorageError> {
    let storage = PostgresStorage::connect(url.with_password(), own(&OpenOptions::default())).await?;
    let migration = storage.migration();
    storage.close().await;
    Ok(migration)
}

fn own(options: &OpenOptions) -> PostgresOptions {
    let of_role = match options.role {
        Role::Host => PostgresOptions::host(),
        Role::Client => PostgresOptions::default(),
    };
    PostgresOptions { migrate: options.prepare && !options.read_only, retention: options.retention, ..of_role }
}
