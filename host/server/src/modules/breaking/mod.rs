//! What would break if new jobs went to another version of a module: told before that happens.
//!
//! A job that was started keeps the version that it was started on: none of those is looked at. Nor are the recurring jobs that
//! the module itself brings, since the other version brings its own.

mod narrowing;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use windlass_api::{HandlerName, HandlerSpec, JobFilter, JobId, Json, ModuleName, RecurringJob, State};
use windlass_jobs::{
    Client, ClientError,
    admission::check_payload,
    storage::{Storage, StorageError},
};

use super::DeployError;

/// How many waiting jobs of each handler and state are looked at, the newest: each is read for its payload.
const LOOKED_AT: usize = 100;

/// For how long they are looked for, for each handler that is gone or takes other payloads.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many recurring jobs are read at once.
const PAGE: usize = 500;

/// What waits to be started for the first time.
const WAITING: [State; 3] = [State::Enqueued, State::Scheduled, State::Awaiting];

/// What would break, in sentences without a full stop; empty where nothing is seen that would.
pub(super) async fn between(
    storage: &Arc<dyn Storage>,
    module: &ModuleName,
    before: &[HandlerSpec],
    after: &[HandlerSpec],
) -> Result<Vec<String>, StorageError> {
    let next: BTreeMap<&HandlerName, &HandlerSpec> = after.iter().map(|handler| (&handler.name, handler)).collect();
    let mut told = Vec::new();
    let mut recurring = None;
    for handler in before {
        let name = &handler.name;
        let now = next.get(name);
        if now.is_some_and(|now| now.payload_schema == handler.payload_schema) {
            continue;
        }
        let recurring = match &mut recurring {
            Some(recurring) => recurring,
            None => recurring.insert(of_others(storage, module).await?),
        };
        let of_handler: Vec<&RecurringJob> =
            recurring.iter().filter(|entry| entry.request.job.handler.handler == *name).collect();
        let Waiting { jobs: waiting, cut_short } = waiting(&**storage, module, name).await?;
        if cut_short {
            let seconds = PATIENCE.as_secs();
            told.push(format!("`{name}`: not all of its waiting jobs could be looked at within {seconds} s"));
        }
        let Some(now) = now else {
            if !waiting.is_empty() {
                let more = if waiting.len() >= LOOKED_AT { " or more" } else { "" };
                told.push(format!("`{name}` is gone, with {}{more} of its jobs waiting to be started", waiting.len()));
            }
            told.extend(
                of_handler
                    .iter()
                    .map(|entry| format!("`{name}` is gone, and the recurring job {} is for it", entry.name)),
            );
            continue;
        };
        let narrowed = narrowing::narrowed(handler.payload_schema.as_ref(), now.payload_schema.as_ref());
        told.extend(narrowed.into_iter().map(|what| format!("`{name}`: {what}")));
        let Some(schema) = &now.payload_schema else { continue };
        let refused = of_handler.iter().filter(|entry| check_payload(schema, &entry.request.job.payload).is_err());
        told.extend(refused.map(|entry| {
            format!("`{name}`: the payload of the recurring job {} does not match its schema any more", entry.name)
        }));
        let mut payloads = Vec::new();
        for id in waiting {
            payloads.extend(storage.job(id).await?.map(|job| (id, job.payload)));
        }
        let unfit = unfit(schema.clone(), payloads).await;
        if let Some(example) = unfit.first() {
            told.push(format!(
                "`{name}`: of its jobs that wait to be started, {} would not match its schema any more, {example} for one",
                unfit.len()
            ));
        }
    }
    Ok(told)
}

/// Refuses where there is anything that would break.
pub(super) fn refuse(broken: Vec<String>) -> Result<(), DeployError> {
    if broken.is_empty() { Ok(()) } else { Err(DeployError::WouldBreak(broken)) }
}

/// The jobs whose payloads a schema refuses. What is wrong with them is not told: it may be among what is masked.
async fn unfit(schema: Json, payloads: Vec<(JobId, Json)>) -> Vec<JobId> {
    // Schemas come from guests: what takes long is not done on a thread that others wait for.
    let check = move || {
        let unfit = payloads.into_iter().filter(|(_, payload)| check_payload(&schema, payload).is_err());
        unfit.map(|(id, _)| id).collect()
    };
    tokio::task::spawn_blocking(check).await.unwrap_or_default()
}

/// Jobs that have never been started.
#[derive(Default)]
struct Waiting {
    /// The newest of each state, [`LOOKED_AT`] at most.
    jobs: Vec<JobId>,
    /// Whether there may be others that were not found in time.
    cut_short: bool,
}

async fn waiting(storage: &dyn Storage, module: &ModuleName, handler: &HandlerName) -> Result<Waiting, StorageError> {
    let (mut found, begun) = (Waiting::default(), Instant::now());
    for state in WAITING {
        let filter = JobFilter {
            state: Some(state),
            module: Some(module.clone()),
            handler: Some(handler.clone()),
            ..JobFilter::default()
        };
        let (mut of_state, mut cursor) = (Vec::new(), None);
        // Retries have a version and are many at times; and a search that no index answers stops now and then.
        loop {
            let page = storage.jobs(&filter, cursor.as_deref(), LOOKED_AT).await?;
            of_state.extend(page.items.into_iter().filter(|job| job.version.is_none()).map(|job| job.id));
            cursor = page.next;
            if cursor.is_none() || of_state.len() >= LOOKED_AT {
                break;
            }
            if begun.elapsed() > PATIENCE {
                found.cut_short = true;
                break;
            }
        }
        found.jobs.extend(of_state.into_iter().take(LOOKED_AT));
    }
    Ok(found)
}

/// The recurring jobs that go to a module and were put by somebody else.
async fn of_others(storage: &Arc<dyn Storage>, module: &ModuleName) -> Result<Vec<RecurringJob>, StorageError> {
    let client = Client::new(Arc::clone(storage));
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.recurring_jobs(cursor.as_deref(), PAGE).await.map_err(of_storage)?;
        let of_module = page.items.into_iter().filter(|entry| entry.request.job.handler.module == *module);
        found.extend(of_module.filter(|entry| entry.module.as_ref() != Some(module)));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

fn of_storage(error: ClientError) -> StorageError {
    match error {
        ClientError::Storage(error) => error,
        // Nothing is asked for that could be refused.
        other => StorageError::Damaged(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use windlass_api::{Digest, JobRequest, QueueName, RecurringRequest, ServerId, Usage};
    use windlass_jobs::{
        Next, Settlement, SystemClock,
        storage::{ClaimRequest, NewServer, NewVersion, sqlite::SqliteStorage},
    };

    use super::*;

    fn handler(name: &str, schema: &Value) -> HandlerSpec {
        serde_json::from_value(json!({ "name": name, "mode": "sync", "payload_schema": schema })).unwrap()
    }

    fn module() -> ModuleName {
        "shop".parse().unwrap()
    }

    /// A storage whose module has one version with a handler `charge` that takes an amount or nothing.
    async fn shop() -> (Client, Vec<HandlerSpec>) {
        let client = Client::new(SqliteStorage::in_memory(Arc::new(SystemClock)).unwrap());
        let schema = json!({ "type": "object", "properties": { "cents": { "type": "integer" } } });
        let handlers = vec![handler("charge", &schema)];
        let version = NewVersion {
            module: module(),
            digest: Digest([1; 32]),
            bytes: vec![0],
            version: "1".to_owned(),
            sdk: "sdk".to_owned(),
            handlers: handlers.clone(),
        };
        client.storage().add_version(version).await.unwrap();
        client.storage().activate(&module(), Digest([1; 32])).await.unwrap();
        (client, handlers)
    }

    fn charge(payload: &Value) -> JobRequest {
        JobRequest::new("shop/charge".parse().unwrap(), Json::write(payload).unwrap())
    }

    async fn told(client: &Client, before: &[HandlerSpec], after: &[HandlerSpec]) -> String {
        between(client.storage(), &module(), before, after).await.unwrap().join("; ")
    }

    #[tokio::test]
    async fn a_handler_may_go_unless_jobs_or_recurring_jobs_of_others_wait_for_it() {
        let (client, before) = shop().await;
        assert_eq!(told(&client, &before, &[]).await, "");
        client.enqueue(charge(&json!({}))).await.unwrap();
        assert_eq!(told(&client, &before, &[]).await, "`charge` is gone, with 1 of its jobs waiting to be started");
        let request = RecurringRequest::new("@daily", charge(&json!({})));
        client.put_recurring(&"nightly".parse().unwrap(), request).await.unwrap();
        let all = told(&client, &before, &[]).await;
        assert!(all.ends_with("; `charge` is gone, and the recurring job nightly is for it"), "{all}");
        assert_eq!(told(&client, &before, &before).await, "");
    }

    /// Has all jobs that are ready begin and come back later, as retries do.
    async fn begin_and_put_off(storage: &dyn Storage) {
        let server = ServerId(uuid::Uuid::new_v4());
        let (host, version) = ("here".to_owned(), "1".to_owned());
        let new = NewServer { id: server, host, pid: 1, version, queues: vec![], sync_slots: 200, async_slots: 0 };
        storage.register(new).await.unwrap();
        let claim = ClaimRequest { server, queues: vec![QueueName::default()], sync_free: 200, async_free: 0 };
        let claimed = storage.claim(&claim).await.unwrap();
        let settlements = claimed.iter().map(|run| Settlement {
            fence: run.fence,
            next: Next::Snooze { delay_ms: 3_600_000 },
            usage: Usage::default(),
            follow_ups: Vec::new(),
        });
        storage.settle(settlements.collect()).await.unwrap();
    }

    #[tokio::test]
    async fn a_job_that_waits_is_found_behind_any_number_of_retries() {
        let (client, before) = shop().await;
        let delayed = JobRequest { delay_ms: Some(60_000), ..charge(&json!({})) };
        client.enqueue(delayed).await.unwrap();
        client.enqueue_many(vec![charge(&json!({})); LOOKED_AT + 50]).await.unwrap();
        begin_and_put_off(&**client.storage()).await;
        assert_eq!(told(&client, &before, &[]).await, "`charge` is gone, with 1 of its jobs waiting to be started");
    }

    #[tokio::test]
    async fn payloads_that_wait_are_tried_with_the_schema_that_comes() {
        let (client, before) = shop().await;
        for cents in [5, -51_515_151_515_151_i64] {
            client.enqueue(charge(&json!({ "cents": cents }))).await.unwrap();
        }
        let request = RecurringRequest::new("@daily", charge(&json!({ "cents": -71_717_171_717_171_i64 })));
        client.put_recurring(&"nightly".parse().unwrap(), request).await.unwrap();
        // Nothing that is seen at the top of the schema.
        let positive = json!({ "type": "object", "properties": { "cents": { "type": "integer", "minimum": 0 } } });
        let all = told(&client, &before, &[handler("charge", &positive)]).await;
        assert!(all.contains("the payload of the recurring job nightly does not match its schema any more"), "{all}");
        assert!(all.contains("of its jobs that wait to be started, 1 would not match"), "{all}");
        assert!(!all.contains("-515151") && !all.contains("-717171"), "a payload is told: {all}");
        let wider = json!({ "type": "object", "properties": { "cents": { "type": "number" } } });
        assert_eq!(told(&client, &before, &[handler("charge", &wider)]).await, "");
        let strict = json!({ "type": "object", "required": ["cents"] });
        assert_eq!(
            told(&client, &before, &[handler("charge", &strict)]).await,
            "`charge`: `cents` must be there from now on"
        );
    }
}
