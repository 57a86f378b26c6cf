//! The audit log as a storage keeps it.

use async_trait::async_trait;
use windlass_api::{AuditEntry, Page};

use super::StorageError;

/// The most entries that are kept; the oldest go first.
pub const MAX_AUDIT_ENTRIES: usize = 100_000;

/// Who did what.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// Keeps entries, as they are and in this order. [`JobStore::prune`](super::JobStore::prune) removes what is more than
    /// [`MAX_AUDIT_ENTRIES`], or older than [`Retention::audit`](super::Retention).
    async fn record_audit(&self, entries: Vec<AuditEntry>) -> Result<(), StorageError>;

    /// Entries, the last that was kept first. `cursor` is a page's `next`.
    async fn audit(&self, cursor: Option<&str>, limit: usize) -> Result<Page<AuditEntry>, StorageError>;
}
