//! `Idempotency-Key`: whoever asks twice under one key makes the jobs once.
//!
//! The ids of the jobs follow from who asks and the key, and a storage makes one job of an id that is repeated: so the key
//! holds on every storage, across hosts and restarts, for as long as the jobs are kept, and costs nothing to remember.

use axum::{extract::FromRequestParts, http::request::Parts};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use windlass_api::{Enqueued, JobDetail, JobId, JobRequest, ProblemCode};
use windlass_jobs::Client;

use super::{
    access::Caller,
    error::{ApiError, ApiResult},
    trace,
};

const HEADER: &str = "idempotency-key";

/// No key is longer, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// How many jobs are read at once to be compared.
const READS: usize = 8;

/// A key, together with who used it: two callers never meet in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key([u8; 32]);

impl Key {
    fn new(by: &str, key: &str) -> Self {
        // The length keeps what belongs to the one from passing for a part of the other.
        let length = (by.len() as u64).to_be_bytes();
        let digest = Sha256::new().chain_update(length).chain_update(by).chain_update(key).finalize();
        Self(digest.into())
    }

    /// The id of the job at this place of the request: a UUIDv8, which does not sort by time as others do.
    fn id(self, at: usize) -> JobId {
        let digest = Sha256::new().chain_update(self.0).chain_update((at as u64).to_be_bytes()).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        JobId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

/// The key that a request has, if any.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdempotencyKey(pub(super) Option<Key>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let mut given = parts.headers.get_all(HEADER).iter();
        let Some(key) = given.next() else { return Ok(Self(None)) };
        let key = key.to_str().ok().filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()) && given.next().is_none());
        let key = key.map(str::to_owned).ok_or_else(|| {
            let detail = format!("Idempotency-Key: expected one, of 1 to {MAX_KEY_BYTES} visible ASCII characters");
            ApiError::new(ProblemCode::BadRequest, detail)
        })?;
        let key = Key::new(Caller::from_request_parts(parts, state).await?.by(), &key);
        Ok(Self(Some(key)))
    }
}

/// Makes the jobs, or gives those that the key has made before.
pub(super) async fn enqueue(client: &Client, key: Key, mut requests: Vec<JobRequest>) -> ApiResult<Vec<Enqueued>> {
    for (at, request) in requests.iter_mut().enumerate() {
        if request.id.is_some() {
            let detail = "id: the Idempotency-Key gives the job its id already; leave one of them out";
            return Err(ApiError::new(ProblemCode::InvalidField, detail));
        }
        request.id = Some(key.id(at));
    }
    if let Some(earlier) = earlier(client, key, &requests).await? {
        return Ok(earlier);
    }
    let enqueued = match requests.len() {
        // By itself, so that what is wrong is not told as that of one among many.
        1 => vec![client.enqueue(requests[0].clone()).await?],
        _ => client.enqueue_many(requests.clone()).await?,
    };
    // Somebody was at it at the same time.
    if enqueued.iter().any(|enqueued| enqueued.existing)
        && let Some(earlier) = earlier(client, key, &requests).await?
    {
        return Ok(earlier);
    }
    Ok(enqueued)
}

/// What the key has made before; an error where that was something else.
async fn earlier(client: &Client, key: Key, requests: &[JobRequest]) -> ApiResult<Option<Vec<Enqueued>>> {
    let Some(first) = client.get(key.id(0)).await? else { return Ok(None) };
    // A longer request had a job of this id as well.
    let was_longer = client.get(key.id(requests.len())).await?.is_some();
    let others = (1..requests.len()).map(|at| async move { client.get(key.id(at)).await });
    let others: Vec<Option<JobDetail>> = stream::iter(others).buffered(READS).try_collect().await?;
    let jobs = [Some(first)].into_iter().chain(others);
    // One that is not there was removed meanwhile, or never made since the request was shorter: nobody can tell.
    let differs = jobs.zip(requests).any(|(job, request)| job.is_none_or(|job| !is_of(&job, request)));
    if was_longer || differs {
        let detail = "Idempotency-Key: this key was used before, with another request, or some of its jobs were removed since: give \
                      each request a key of its own, and repeat one with the very same body";
        return Err(ApiError::new(ProblemCode::KeyReused, detail));
    }
    let ids = requests.iter().filter_map(|request| request.id);
    Ok(Some(ids.map(|id| Enqueued { id, existing: true, replaced: false }).collect()))
}

/// Whether the job is what the request asks for. What the request leaves open does not matter, since the handler's settings
/// may have changed meanwhile; nor does when it is to run, since that is not known any more once it has.
fn is_of(job: &JobDetail, request: &JobRequest) -> bool {
    fn fits<T: PartialEq>(asked: Option<&T>, is: &T) -> bool {
        asked.is_none_or(|asked| asked == is)
    }
    let JobDetail { job: summary, payload, headers, retry, timeout_ms, after, limit_key, .. } = job;
    let same_payload = *payload == request.payload
        || matches!((payload.read::<Value>(), request.payload.read::<Value>()), (Ok(one), Ok(other)) if one == other);
    same_payload
        && summary.module == request.handler.module
        && summary.handler == request.handler.handler
        && fits(request.queue.as_ref(), &summary.queue)
        && fits(request.priority.as_ref(), &summary.priority)
        && fits(request.max_attempts.as_ref(), &summary.max_attempts)
        && fits(request.retry.as_ref(), retry)
        && (request.timeout_ms.is_none() || request.timeout_ms == *timeout_ms)
        && *after == request.after
        && *limit_key == request.limit_key
        && summary.tags == request.tags
        && trace::without(headers).eq(trace::without(&request.headers))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use windlass_jobs::{SystemClock, storage::sqlite::SqliteStorage};

    use super::*;

    fn client() -> Client {
        Client::new(SqliteStorage::in_memory(Arc::new(SystemClock)).unwrap())
    }

    fn request(payload: &str) -> JobRequest {
        let handler = "mail/send".parse().unwrap();
        JobRequest { wait_for_handler: true, ..JobRequest::new(handler, payload.parse().unwrap()) }
    }

    async fn refusal(client: &Client, key: Key, requests: Vec<JobRequest>) -> ProblemCode {
        enqueue(client, key, requests).await.unwrap_err().code()
    }

    #[test]
    fn ids_follow_from_caller_key_and_place_alone() {
        let key = Key::new("token ci", "a");
        assert_eq!(key.id(3), Key::new("token ci", "a").id(3));
        assert_ne!(key.id(3), key.id(4));
        assert_ne!(key.id(3), Key::new("token c", "ia").id(3));
        assert_ne!(key.id(3), Key::new("token other", "a").id(3));
        assert_eq!(key.id(0).0.get_version_num(), 8);
    }

    #[tokio::test]
    async fn the_same_request_twice_makes_its_jobs_once() {
        let (client, key) = (client(), Key::new("api", "order 7"));
        let both = vec![request("1"), request(r#"{"a":1,"b":2}"#)];
        let first = enqueue(&client, key, both.clone()).await.unwrap();
        assert!(first.iter().all(|enqueued| !enqueued.existing));
        let again = vec![request("1"), request(r#"{ "b": 2, "a": 1 }"#)];
        let second = enqueue(&client, key, again).await.unwrap();
        assert!(second.iter().all(|enqueued| enqueued.existing));
        assert!(first.iter().zip(&second).all(|(first, second)| first.id == second.id));
        assert_eq!(client.counts().await.unwrap().0.values().sum::<u64>(), 2);
    }

    #[tokio::test]
    async fn another_request_under_the_same_key_is_refused_and_does_nothing() {
        let (client, key) = (client(), Key::new("api", "order 7"));
        enqueue(&client, key, vec![request("1"), request("2")]).await.unwrap();
        let tagged = JobRequest { tags: vec!["a".to_owned()], ..request("2") };
        let urgent = JobRequest { priority: Some(0), ..request("2") };
        for other in [
            vec![request("1")],
            vec![request("1"), request("3")],
            vec![request("1"), request("2"), request("3")],
            vec![request("1"), tagged],
            vec![request("1"), urgent],
        ] {
            assert_eq!(refusal(&client, key, other).await, ProblemCode::KeyReused);
        }
        let with_id = JobRequest { id: Some(JobId(uuid::Uuid::now_v7())), ..request("1") };
        assert_eq!(refusal(&client, Key::new("api", "b"), vec![with_id]).await, ProblemCode::InvalidField);
        assert_eq!(client.counts().await.unwrap().0.values().sum::<u64>(), 2);
        enqueue(&client, Key::new("token ci", "order 7"), vec![request("3")]).await.unwrap();
    }
}
