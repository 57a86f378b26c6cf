//! Redis. A namespace is made by whoever may, and else by nobody.

use std::sync::Arc;

use super::{Migration, OpenOptions};
use crate::storage::{
    Storage, StorageError, StorageUrl,
    redis::{RedisOptions, RedisStorage},
};

pub(super) async fn open(url: &StorageUrl, options: OpenOptions) -> Result<Arc<dyn Storage>, StorageError> {
    let storage: Arc<dyn Storage> = RedisStorage::connect(url.with_password(), own(&options)).await?;
    Ok(storage)
}

/// There has been one format so far, which opening writes down.
pub(super) async fn migrate(url: &StorageUrl) -> Result<Migration, StorageError> {
    let storage = RedisStorage::connect(url.with_password(), own(&OpenOptions::default())).await?;
    let migration = storage.migration();
    storage.close().await;
    Ok(migration)
}

fn own(options: &OpenOptions) -> RedisOptions {
    RedisOptions {
        prepare: options.prepare && !options.read_only,
        retention: options.retention,
        ..RedisOptions::default()
    }
}
