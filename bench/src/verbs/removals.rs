//! What it takes to delete many jobs by a filter, as a host's bulk action does it: a page of them, one step that deletes these, the
//! next page. Without the pauses in between that leave others their turn.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use windlass_jobs::{
    api::{JobFilter, State},
    storage::{Commanded, MAX_REMOVED_AT_ONCE, Removal, Storage},
};

/// How long it takes to delete all jobs that wait in a storage, of which there are so many.
pub(super) async fn all(storage: &dyn Storage, jobs: usize) -> Result<Duration> {
    let filter = JobFilter { state: Some(State::Enqueued), ..JobFilter::default() };
    let how = Removal { deletes_ended: true, expected_state: Some(State::Enqueued) };
    let begun = Instant::now();
    let (mut cursor, mut done) = (None::<String>, 0);
    loop {
        let page = storage.jobs(&filter, cursor.as_deref(), MAX_REMOVED_AT_ONCE).await?;
        let ids = page.items.iter().map(|job| job.id).collect::<Vec<_>>();
        if !ids.is_empty() {
            let commanded = storage.remove_all(ids, how, "bench").await?;
            done += commanded.iter().filter(|commanded| matches!(commanded, Commanded::Done(_))).count();
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let took = begun.elapsed();
    ensure!(done == jobs, "{done} of {jobs} jobs were deleted");
    Ok(took)
}
