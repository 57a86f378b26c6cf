//! Redis. A namespace is made when it is first opened.

use std::sync::Arc;

use super::{Migration, OpenOptions};
use crate::storage::{
    Storage, StorageError, StorageUrl,
    redis::{self, RedisOptions, RedisStorage},
};

pub(super) async fn open(url: &StorageUrl, options: OpenOptions) -> Result<Arc<dyn Storage>, StorageError> {
    let options = RedisOptions { retention: options.retention, ..RedisOptions::default() };
    let storage: Arc<dyn Storage> = RedisStorage::connect(url.with_password(), options).await?;
    Ok(storage)
}

/// There has been one format so far, which opening writes down.
pub(super) async fn migrate(url: &StorageUrl) -> Result<Migration, StorageError> {
    let storage = open(url, OpenOptions::default()).await?;
    storage.close().await;
    Ok(Migration { from: Some(redis::FORMAT), to: redis::FORMAT })
}
