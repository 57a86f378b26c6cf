//! What a storage keeps of a recurring job beside what it must know itself: what was asked for, since when, by whom.

use serde::{Deserialize, Serialize};
use windlass_api::{Json, Misfire, ModuleName, RecurringName, RecurringRequest, Timestamp};

use super::{InvalidSchedule, Schedule};
use crate::{
    admission::AdmissionError,
    storage::{RecurringEntry, StorageError},
};

/// How many missed instants are caught up with where the request does not say.
pub const DEFAULT_CATCH_UP: u32 = 100;

/// No request may ask for more: they come at once.
const MAX_CATCH_UP: u32 = 1_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Definition {
    /// What it enqueues and when.
    pub(super) request: RecurringRequest,
    /// When its schedule was put; intervals are counted from here.
    pub(super) since: Timestamp,
    /// The module that brought it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) module: Option<ModuleName>,
    /// Why nothing was enqueued the last time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) refused: Option<String>,
}

impl Definition {
    pub(super) fn of(entry: &RecurringEntry) -> Result<Self, StorageError> {
        let damaged = |error| StorageError::Damaged(format!("the recurring job {}: {error}", entry.name));
        entry.definition.read().map_err(damaged)
    }

    pub(super) fn write(&self) -> Result<Json, StorageError> {
        Json::write(self).map_err(|error| StorageError::Damaged(format!("a recurring job that was to be put: {error}")))
    }

    pub(super) fn schedule(&self) -> Result<Schedule, InvalidSchedule> {
        read(&self.request, self.since)
    }

    /// How many missed instants are caught up with.
    pub(super) fn catch_up(&self) -> usize {
        let limit = self.request.catch_up_limit.unwrap_or(DEFAULT_CATCH_UP).clamp(1, MAX_CATCH_UP);
        usize::try_from(limit).unwrap_or(usize::MAX)
    }
}

fn read(request: &RecurringRequest, from: Timestamp) -> Result<Schedule, InvalidSchedule> {
    Schedule::read(&request.schedule, request.time_zone.as_deref(), from)
}

/// Checks what can be checked of a request without its handler.
pub(super) fn check(request: &RecurringRequest, now: Timestamp) -> Result<(), AdmissionError> {
    let invalid = |field, message: String| Err(AdmissionError::InvalidField { field, message });
    if let Err(InvalidSchedule { field, message }) = read(request, now) {
        return invalid(field, message);
    }
    match request.catch_up_limit {
        Some(_) if request.misfire != Misfire::CatchUp => {
            return invalid("catch_up_limit", "is only for the misfire policy `catch-up`: leave it out".to_owned());
        }
        Some(limit) if !(1..=MAX_CATCH_UP).contains(&limit) => {
            return invalid("catch_up_limit", format!("must be 1 to {MAX_CATCH_UP}"));
        }
        _ => {}
    }
    let job = &request.job;
    if job.id.is_some() {
        return invalid("job.id", "must be left out: every job that is enqueued has its own".to_owned());
    }
    if job.run_at.is_some() || job.delay_ms.is_some() {
        let field = if job.run_at.is_some() { "job.run_at" } else { "job.delay_ms" };
        return invalid(field, "must be left out: the schedule says when".to_owned());
    }
    if job.after.is_some() || job.expires_at.is_some() {
        let field = if job.after.is_some() { "job.after" } else { "job.expires_at" };
        return invalid(field, "must be left out: it would be the same for every job that is enqueued".to_owned());
    }
    Ok(())
}

/// The entry that is to be there for a request, given the one that is; nothing where that is it already. Where the times
/// stay what they were, so do the next instant and what intervals are counted from: whoever puts the same at every start
/// neither loses an instant nor shifts one. Whether it is paused and what came of it last stay in any case.
pub(super) fn placed(
    name: &RecurringName,
    request: RecurringRequest,
    module: Option<ModuleName>,
    known: Option<&RecurringEntry>,
    now: Timestamp,
) -> Result<Option<RecurringEntry>, PlacingError> {
    let before = known.and_then(|entry| Definition::of(entry).ok());
    let is_same = |before: &Definition| before.request == request && before.module == module;
    if before.as_ref().is_some_and(is_same) {
        return Ok(None);
    }
    let has_same_times = |before: &Definition| {
        before.request.schedule == request.schedule && before.request.time_zone == request.time_zone
    };
    let refused = before.as_ref().and_then(|before| before.refused.clone());
    let (since, next_at) = match (before.filter(has_same_times), known) {
        (Some(before), Some(known)) => (before.since, known.next_at),
        _ => (now, read(&request, now)?.next_after(now)),
    };
    let definition = Definition { request, since, module, refused }.write()?;
    Ok(Some(RecurringEntry {
        name: name.clone(),
        definition,
        paused: known.is_some_and(|known| known.paused),
        next_at,
        last_at: known.and_then(|known| known.last_at),
        last_job: known.and_then(|known| known.last_job),
        left_out: known.is_some_and(|known| known.left_out),
        revision: 0,
    }))
}

/// Why an entry could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlacingError {
    #[error(transparent)]
    Schedule(#[from] InvalidSchedule),
    #[error(transparent)]
    Storage(#[from] StorageError),
}
