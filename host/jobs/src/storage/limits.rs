//! Limits as a storage keeps them.
//!
//! ```text
//!              claim: there is room in all that apply
//!   its line ──────────────────────────────────────────▶ processing, a place taken in each
//!      ▲   │
//!      │   └─ claim: one is full ─▶ that limit's line     (the state stays enqueued)
//!      └───── there is room again ──────┘
//! ```
//!
//! A job is under the limit of its queue, that of its handler, and that of its key: of the key itself, or else of the
//! longest start (`key:START*`) that the key begins with. Each key has a line and a count of its own.

use async_trait::async_trait;
use windlass_api::{LimitRule, LimitTarget, LimitView};

use super::StorageError;

/// The most limits that there may be: each claim looks at all of them.
pub const MAX_LIMITS: usize = 1_000;

/// The most keys that a limit is shown with the sums of.
pub const MAX_LINES_LOOKED_AT: usize = 1_000;

/// How many jobs one claim moves to the lines of limits before it hands over what it has; more is signalled as work.
pub const PARKED_PER_CLAIM: usize = 1_000;

/// Limits on how many jobs run at once and on how many start in a span of time, over all hosts.
///
/// A place under a limit is taken by the claim, and given back by whatever ends the run: a settlement, a sweep, a server
/// that leaves. So no host can leave with one. A start counts against a [rate](windlass_api::Rate) by the claim too, whatever
/// becomes of the run.
///
/// A job that a claim finds full goes to the line of the first such limit, in the order queue, handler, key. Whatever makes
/// room moves as many jobs back to their own lines as there is room for, the first by priority and then the oldest first, each with
/// the place that it had: the step that ended the run for some, [`JobStore::promote`](super::JobStore::promote) for the rest and for the
/// rooms that time makes. A job that is moved back has no claim to the room: another may come first.
#[async_trait]
pub trait LimitStore: Send + Sync + 'static {
    /// All limits, by target.
    async fn limits(&self) -> Result<Vec<LimitView>, StorageError>;

    /// Puts a limit, or another in its place. Jobs that run already under it are counted from now on, starts of before are
    /// not; where it allows less than runs, nothing starts until that has changed. More than [`MAX_LIMITS`] are refused with
    /// [`StorageError::TooLarge`].
    async fn put_limit(&self, target: &LimitTarget, rule: LimitRule) -> Result<(), StorageError>;

    /// Removes a limit; jobs that waited for it go back to their lines, with this step or the next promotions. Gives whether
    /// it was there.
    async fn remove_limit(&self, target: &LimitTarget) -> Result<bool, StorageError>;
}
