//! What this storage does not keep yet.

use async_trait::async_trait;
use windlass_api::{AuditEntry, LimitRule, LimitTarget, LimitView, Page};

use super::SqliteStorage;
use crate::{
    NewJob,
    storage::{AuditStore, LimitStore, StorageError},
};

pub(super) fn unready() -> StorageError {
    StorageError::Unusable("this storage keeps no limits, conditions of jobs and audit log yet".to_owned())
}

/// Refuses what would be stored without its conditions.
pub(super) fn refuse_conditions(jobs: &[NewJob]) -> Result<(), StorageError> {
    if jobs.iter().all(|job| job.conditions.is_empty()) { Ok(()) } else { Err(unready()) }
}

#[async_trait]
impl LimitStore for SqliteStorage {
    async fn limits(&self) -> Result<Vec<LimitView>, StorageError> {
        Ok(Vec::new())
    }

    async fn put_limit(&self, _target: &LimitTarget, _rule: LimitRule) -> Result<(), StorageError> {
        Err(unready())
    }

    async fn remove_limit(&self, _target: &LimitTarget) -> Result<bool, StorageError> {
        Ok(false)
    }
}

#[async_trait]
impl AuditStore for SqliteStorage {
    async fn record_audit(&self, _entries: Vec<AuditEntry>) -> Result<(), StorageError> {
        Err(unready())
    }

    async fn audit(&self, _cursor: Option<&str>, _limit: usize) -> Result<Page<AuditEntry>, StorageError> {
        Ok(Page::new(Vec::new(), None))
    }
}
