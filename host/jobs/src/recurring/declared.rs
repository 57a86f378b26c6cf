//! Recurring jobs that come with a module: put in place when one of its versions is activated.

use std::collections::{BTreeMap, BTreeSet};

use windlass_api::{
    Digest, HandlerPath, HandlerSpec, JobRequest, ModuleName, RecurringName, RecurringRequest, ScheduleSpec, Timestamp,
};

use super::{
    Schedule,
    definition::{self, Definition, PlacingError},
};
use crate::{
    admission::{MAX_PAYLOAD_BYTES, check_payload},
    storage::{RecurringEntry, Storage, StorageError},
};

/// How often it is begun anew where versions are activated meanwhile, and an entry is tried that others change.
const TRIES: usize = 20;

/// How many entries are looked at in one page.
const PAGE: usize = 500;

/// Checks the schedules that a version declares, before it is taken.
///
/// # Errors
/// Where one cannot be put in place; the text names the handler, the schedule and the field.
pub fn check_declared(module: &ModuleName, handlers: &[HandlerSpec], now: Timestamp) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for handler in handlers {
        for schedule in &handler.schedules {
            let wrong = |why: &dyn std::fmt::Display| {
                let given = schedule.name.chars().take(100).collect::<String>();
                format!("handler `{}`: schedule `{given}`: {why}", handler.name)
            };
            let name = name(module, schedule).map_err(|error| wrong(&error))?;
            if !names.insert(name) {
                return Err(wrong(&"its name is given twice: give each schedule of the module its own"));
            }
            let read = Schedule::read(&schedule.expression, schedule.time_zone.as_deref(), now);
            read.map_err(|error| if error.field == "schedule" { wrong(&error.message) } else { wrong(&error) })?;
            if schedule.payload.as_str().len() > MAX_PAYLOAD_BYTES {
                return Err(wrong(&format!("its payload is over the limit of {MAX_PAYLOAD_BYTES} bytes")));
            }
            if let Some(schema) = &handler.payload_schema {
                check_payload(schema, &schedule.payload).map_err(|error| wrong(&format!("its payload {error}")))?;
            }
        }
    }
    Ok(())
}

/// What an entry that comes with a module is called: `MODULE.NAME`.
fn name(module: &ModuleName, schedule: &ScheduleSpec) -> Result<RecurringName, String> {
    let name = format!("{module}.{}", schedule.name);
    name.parse().map_err(|error: windlass_api::InvalidName| format!("its name {error}"))
}

/// Puts in place what the active version of a module declares, and removes what an earlier one did. An entry of the same
/// name that does not come from the module is left alone. Doing it again changes nothing.
///
/// # Errors
/// Where the storage does not answer.
pub async fn declare(storage: &dyn Storage, module: &ModuleName) -> Result<(), StorageError> {
    for _ in 0..TRIES {
        let Some(version) = storage.active_version(module).await? else { return Ok(()) };
        let wanted = wanted(module, &version.handlers);
        for (name, request) in &wanted {
            put(storage, module, name, request).await?;
        }
        for (name, revision) in of_module(storage, module).await? {
            // Of the revision that was looked at: somebody may have put one of the name meanwhile, who is not the module.
            if !wanted.contains_key(&name) && storage.remove_recurring(&name, Some(revision)).await? {
                tracing::info!(recurring = %name, %module, "removed, since the active version does not declare it");
            }
        }
        // Another version may have been activated meanwhile, and its schedules put by somebody else before these.
        if storage.active_version(module).await?.is_none_or(|now| now.digest == version.digest) {
            return Ok(());
        }
    }
    Ok(())
}

/// Does so for all modules whose active version is not known here, in case whoever activated it could not: `known` is what the
/// call before left, and empty for a host that starts. A module whose record cannot be read keeps no other from it.
///
/// # Errors
/// Where the storage does not answer.
pub async fn declare_all(storage: &dyn Storage, known: &mut BTreeMap<ModuleName, Digest>) -> Result<(), StorageError> {
    for module in storage.modules().await? {
        let Some(active) = module.versions.iter().find(|version| version.active) else { continue };
        if known.get(&module.name) == Some(&active.digest) {
            continue;
        }
        match declare(storage, &module.name).await {
            Err(error @ StorageError::Unavailable(_)) => return Err(error),
            Err(error) => tracing::error!(module = %module.name, %error, "its recurring jobs are not put in place"),
            Ok(()) => {}
        }
        known.insert(module.name, active.digest);
    }
    Ok(())
}

fn wanted(module: &ModuleName, handlers: &[HandlerSpec]) -> BTreeMap<RecurringName, RecurringRequest> {
    let mut wanted = BTreeMap::new();
    for handler in handlers {
        for schedule in &handler.schedules {
            // A deploy has checked it.
            let Ok(name) = name(module, schedule) else { continue };
            let path = HandlerPath { module: module.clone(), handler: handler.name.clone() };
            let request = RecurringRequest {
                time_zone: schedule.time_zone.clone(),
                misfire: schedule.misfire,
                ..RecurringRequest::new(&schedule.expression, JobRequest::new(path, schedule.payload.clone()))
            };
            wanted.insert(name, request);
        }
    }
    wanted
}

async fn put(
    storage: &dyn Storage,
    module: &ModuleName,
    name: &RecurringName,
    request: &RecurringRequest,
) -> Result<(), StorageError> {
    for _ in 0..TRIES {
        let known = match storage.recurring(name).await {
            Err(StorageError::Damaged(reason)) => {
                tracing::error!(recurring = %name, %module, reason, "left as it is, since it cannot be read");
                return Ok(());
            }
            known => known?,
        };
        if known.as_ref().is_some_and(|known| !is_of(known, module)) {
            tracing::warn!(recurring = %name, %module, "left as it is, since somebody put it who is not the module");
            return Ok(());
        }
        let now = storage.due_recurring(1).await?.now;
        let entry = match definition::placed(name, request.clone(), Some(module.clone()), known.as_ref(), now) {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(()),
            Err(PlacingError::Schedule(error)) => {
                tracing::error!(recurring = %name, %module, %error, "a declared schedule cannot be put in place");
                return Ok(());
            }
            Err(PlacingError::Storage(error)) => return Err(error),
        };
        if storage.put_recurring(entry, known.map(|known| known.revision), Vec::new()).await?.is_some() {
            return Ok(());
        }
    }
    Err(StorageError::Unavailable(format!("the recurring job {name} is being changed by others all the time")))
}

/// The entries that come from a module, with their revisions.
async fn of_module(storage: &dyn Storage, module: &ModuleName) -> Result<Vec<(RecurringName, u64)>, StorageError> {
    // They stand together, since their names begin with the module's.
    let prefix = format!("{module}.");
    if prefix.parse::<RecurringName>().is_err() {
        // So long that no entry can be called after it.
        return Ok(Vec::new());
    }
    let (mut names, mut cursor) = (Vec::new(), Some(prefix.clone()));
    while let Some(after) = cursor {
        let page = storage.recurring_entries(Some(&after), PAGE).await?;
        let is_past = page.items.last().is_some_and(|entry| !entry.name.as_str().starts_with(&prefix));
        let own = page.items.into_iter().filter(|entry| is_of(entry, module));
        names.extend(own.map(|entry| (entry.name, entry.revision)));
        cursor = page.next.filter(|_| !is_past);
    }
    Ok(names)
}

fn is_of(entry: &RecurringEntry, module: &ModuleName) -> bool {
    Definition::of(entry).is_ok_and(|definition| definition.module.as_ref() == Some(module))
}
