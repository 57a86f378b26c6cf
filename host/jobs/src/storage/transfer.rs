//! Everything that a storage holds, as records that any other storage takes: for moving from one to another, and for
//! backups that can be read by people.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use windlass_api::{
    AuditEntry, CounterRow, Digest, Grain, HandlerSpec, JobDetail, JobId, Json, LimitRule, LimitTarget, LogLine,
    ModuleName, Page, QueueName, Timestamp,
};

use super::{RecurringEntry, StorageError};
use crate::{Start, admission::MAX_PRIORITY};

/// One thing that a storage holds. Servers are not among them: they belong to the processes that run. It is written as a
/// JSON object whose `kind` says what it is, and read back by [`Record::from_json`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// A version of a module.
    Version(VersionRecord),
    /// A queue that somebody has set something for.
    Queue(QueueRecord),
    /// A limit.
    Limit(LimitRecord),
    /// A recurring job.
    Recurring(RecurringEntry),
    /// What happened in a span.
    Counter(CounterRecord),
    /// An entry of the audit log.
    Audit(AuditRecord),
    /// A job.
    Job(Box<JobRecord>),
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its number in the log that it was made in, from 1: two that are alike are two by it, and one that comes again is one.
    pub number: u64,
    /// The entry.
    #[serde(flatten)]
    pub entry: AuditEntry,
}

/// A version of a module with its component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The module.
    pub module: ModuleName,
    /// The SHA-256 of the component.
    pub digest: Digest,
    /// The author's own version.
    pub version: String,
    /// What it was built with.
    pub sdk: String,
    /// What it can do.
    pub handlers: Vec<HandlerSpec>,
    /// When it was deployed.
    pub deployed_at: Timestamp,
    /// Whether it is the one that new jobs go to.
    pub active: bool,
    /// How many of a hundred new jobs go to it, where it is the canary.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub canary_percent: Option<u8>,
    /// The component, in Base64.
    #[serde(with = "base64_bytes")]
    pub component: Vec<u8>,
}

/// What is set for a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRecord {
    /// The queue.
    pub name: QueueName,
    /// Whether no job is taken from it.
    pub paused: bool,
}

/// A limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitRecord {
    /// What it is on.
    pub target: LimitTarget,
    /// The limit.
    #[serde(flatten)]
    pub rule: LimitRule,
}

/// What happened to a handler's jobs in one span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterRecord {
    /// How long the span is.
    pub grain: Grain,
    /// What happened in it.
    #[serde(flatten)]
    pub row: CounterRow,
}

/// A job with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobRecord {
    /// What is shown of it.
    #[serde(flatten)]
    pub detail: JobDetail,
    /// How many servers were lost with it.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub losses: u32,
    /// What its attempts kept for later ones.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub checkpoints: BTreeMap<String, Json>,
    /// What its runs logged, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub logs: Vec<LogLine>,
    /// Which of its parents it still waits for; all of them ended as asked where absent.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub waits_for: Vec<JobId>,
    /// How it starts once its parents are done, while it waits for them; at once where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start: Option<Start>,
    /// Whether it is the holder of its key, where it is unique.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub holds_key: bool,
}

/// Text that is no record; it names the field and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRecord(String);

impl Record {
    /// Reads a record as it was written.
    ///
    /// # Errors
    /// Where the text is not JSON, its `kind` is none of these, a field is missing or not as it must be, or a component is
    /// not the one that its digest names.
    pub fn from_json(text: &str) -> Result<Self, InvalidRecord> {
        // JSON that is passed on as it was written can only be read where its text still is: the kind is looked at first,
        // and then the text is read again as what it is.
        match read::<Kind>(text)?.kind.as_str() {
            "version" => {
                let version = read::<VersionRecord>(text)?;
                version.check()?;
                Ok(Self::Version(version))
            }
            "queue" => read(text).map(Self::Queue),
            "limit" => {
                let limit = read::<LimitRecord>(text)?;
                limit.rule.check().map_err(InvalidRecord)?;
                Ok(Self::Limit(limit))
            }
            "recurring" => read(text).map(Self::Recurring),
            "counter" => read(text).map(Self::Counter),
            "audit" => read(text).map(Self::Audit),
            "job" => {
                let JobParts { losses, checkpoints, logs, waits_for, start, holds_key } = read(text)?;
                let detail = read(text)?;
                let job = JobRecord { detail, losses, checkpoints, logs, waits_for, start, holds_key };
                job.check()?;
                Ok(Self::Job(Box::new(job)))
            }
            other => Err(InvalidRecord(format!(
                "kind: `{}` is not one of version, queue, limit, recurring, counter, audit, job",
                other.chars().take(40).collect::<String>()
            ))),
        }
    }
}

impl VersionRecord {
    /// Whether its share can be one, and the component is the one that the digest names: jobs are pinned to a digest, and
    /// caches go by it.
    fn check(&self) -> Result<(), InvalidRecord> {
        if let Some(percent) = self.canary_percent
            && !(1..=100).contains(&percent)
        {
            return Err(InvalidRecord(format!("canary_percent: {percent} is not 1 to 100")));
        }
        let found = Digest(Sha256::digest(&self.component).into());
        if found == self.digest {
            return Ok(());
        }
        Err(InvalidRecord(format!(
            "component: module {} has a version with the digest {}, but the component that comes with it has {found}: the \
             file was changed or damaged; export it again",
            self.module, self.digest
        )))
    }
}

impl JobRecord {
    /// Whether it could have been enqueued, and come as far as it says.
    fn check(&self) -> Result<(), InvalidRecord> {
        let job = &self.detail.job;
        let wrong = |field: &str, given: u32, expected: String| {
            Err(InvalidRecord(format!("job.{field}: {given} is not {expected}")))
        };
        if job.priority > MAX_PRIORITY {
            return wrong("priority", job.priority.into(), format!("0, the first to be taken, to {MAX_PRIORITY}"));
        }
        if job.max_attempts < 1 {
            return wrong("max_attempts", job.max_attempts, "1 or more".to_owned());
        }
        if job.attempt > job.max_attempts {
            return wrong("attempt", job.attempt, format!("at most `max_attempts`, which is {}", job.max_attempts));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

/// What belongs to a job beyond what is shown of it.
#[derive(Deserialize)]
struct JobParts {
    #[serde(default)]
    losses: u32,
    #[serde(default)]
    checkpoints: BTreeMap<String, Json>,
    #[serde(default)]
    logs: Vec<LogLine>,
    #[serde(default)]
    waits_for: Vec<JobId>,
    #[serde(default)]
    start: Option<Start>,
    #[serde(default)]
    holds_key: bool,
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, InvalidRecord> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        // Where the text ends early, the place is not known to its end.
        let place = error.path().to_string();
        let place = place.trim_end_matches(['.', '?']);
        // The text is one line of a file, whose number whoever read it knows.
        let problem = error.inner().to_string().replace(" at line 1 column ", " at column ");
        InvalidRecord(if place.is_empty() { problem } else { format!("{place}: {problem}") })
    })?;
    deserializer
        .end()
        .map_err(|error| InvalidRecord(error.to_string().replace(" at line 1 column ", " at column ")))?;
    Ok(read)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A part of what a storage holds, as far as it can be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExportPart {
    /// The records.
    pub items: Vec<Record>,
    /// What to give as `cursor` for the next part; absent on the last one.
    pub next: Option<String>,
    /// What cannot be read and is left out, each by its name and with why.
    pub skipped: Vec<String>,
}

/// Writes and reads all that a storage holds.
#[async_trait]
pub trait Transfer: Send + Sync + 'static {
    /// What the storage holds, at most `limit` records and some megabytes at a time: versions, queues, limits, recurring jobs,
    /// counters, the audit log from its oldest entry on, then jobs, those made first coming first. `cursor` is a page's `next`. What changes meanwhile may be
    /// missing or be there as it was or is; stop the hosts first where that matters. What cannot be read is refused with
    /// [`StorageError::Damaged`].
    async fn export(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Record>, StorageError>;

    /// As [`Self::export`], but goes on past what cannot be read, and names it. A storage that knows no way past it does
    /// the same as `export`.
    async fn export_readable(&self, cursor: Option<&str>, limit: usize) -> Result<ExportPart, StorageError> {
        let Page { items, next, .. } = self.export(cursor, limit).await?;
        Ok(ExportPart { items, next, skipped: Vec::new() })
    }

    /// Takes records in the order of their export, all or none. What is known already by its name or id is left as it
    /// is, so that a broken import can be repeated. A job that was processing comes back to its line with its attempt
    /// given back, since its server is not here; a cancel that was asked for makes it deleted. Its history says so with the
    /// end of the run: by `import`, reason `imported`, or `cancelled`. Gives how many records were new.
    ///
    /// Jobs stand among those that are here in the order of their making, and in their lines by the last step of their
    /// history that brought them there: one back from a server keeps its place, as ever. A job that awaits a handler which
    /// is here already is enqueued at once. A version becomes active where it was and this storage has no active one for
    /// its module; a queue becomes paused where it was; all else that is known stays as it is, counters included: what is
    /// imported is not counted. An audit log is taken only where this storage has none yet; a limit's past starts are not
    /// moved.
    ///
    /// A job that waits for parents waits for them here, or goes on where they have ended as asked here, or is deleted where they
    /// cannot, or are not here: as an enqueue would have it, by `import`. It becomes the holder of its key where it was and the key
    /// has none.
    async fn import(&self, records: Vec<Record>) -> Result<usize, StorageError>;
}

mod base64_bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The SHA-256 of `AGFzbQ==`, as `sha256sum` has it.
    const DIGEST: &str = "cd5d4935a48c0672cb06407bb443bc0087aff947c6b864bac886982c73b3027f";

    fn job() -> Value {
        json!({
            "kind": "job",
            "job": {
                "id": "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55", "module": "images", "handler": "thumbnail", "mode": "sync",
                "queue": "default", "priority": 5, "state": "failed", "attempt": 1, "max_attempts": 3, "run": 2,
                "created_at": "2026-11-23T15:49:53.120Z"
            },
            "payload": { "b": 1.0, "a": [true] },
            "retry": { "kind": "fixed", "delay_ms": 1 },
            "history": [{
                "to": "failed", "at": "2026-11-23T15:49:53.120Z", "by": "ann",
                "failure": { "cause": "handler", "message": "no", "details": [1] }
            }],
            "losses": 2,
            "checkpoints": { "step": { "z": 1, "a": [null] } },
            "logs": [{ "run": 2, "at": "2026-11-23T15:49:53.120Z", "level": "info", "message": "m", "fields": { "k": "v" } }]
        })
    }

    fn back(record: &Record) -> Record {
        Record::from_json(&serde_json::to_string(record).unwrap()).unwrap()
    }

    #[test]
    fn every_kind_is_read_as_it_was_written() {
        let at = "2026-11-23T15:49:00.000Z";
        let records = [
            json!({ "kind": "version", "module": "images", "digest": DIGEST, "version": "1", "sdk": "rust",
                "handlers": [{ "name": "thumbnail", "mode": "sync", "payload_schema": { "type": "object", "a": 1 } }],
                "deployed_at": at, "active": true, "component": "AGFzbQ==" }),
            json!({ "kind": "queue", "name": "mail", "paused": true }),
            json!({ "kind": "recurring", "name": "nightly", "definition": { "z": 1, "a": 2 }, "paused": false,
                "next_at": at, "last_at": null, "last_job": null, "revision": 3 }),
            json!({ "kind": "counter", "grain": "minute", "at": at, "module": "images", "handler": "thumbnail", "made": 1,
                "succeeded": 2, "failed": 3, "retried": 4, "deleted": 5, "runs": 6, "run_us": 7, "fuel": 8 }),
            job(),
        ];
        for record in records {
            let read = Record::from_json(&record.to_string()).unwrap_or_else(|error| panic!("{record}: {error}"));
            assert_eq!(back(&read), read);
            assert_eq!(serde_json::to_value(&read).unwrap()["kind"], record["kind"]);
        }
    }

    #[test]
    fn what_a_job_holds_as_json_is_kept_to_the_letter() {
        let text = job().to_string().replace("\"payload\":", "\"payload\": { \"z\": 1.0, \"a\":  2e5 },\"x\":");
        let Record::Job(read) = Record::from_json(&text).unwrap() else { panic!("not a job") };
        assert_eq!(read.detail.payload.as_str(), "{ \"z\": 1.0, \"a\":  2e5 }");
        assert_eq!((read.losses, read.logs.len(), read.checkpoints.len()), (2, 1, 1));
        assert_eq!(back(&Record::Job(read.clone())), Record::Job(read));
    }

    #[test]
    fn a_component_that_is_not_the_one_of_its_digest_is_refused_by_both() {
        let with = |digest: String| {
            json!({ "kind": "version", "module": "images", "digest": digest, "version": "1", "sdk": "rust",
                "handlers": [], "deployed_at": "2026-11-23T15:49:00.000Z", "active": true, "component": "AGFzbQ==" })
            .to_string()
        };
        assert!(Record::from_json(&with(DIGEST.to_owned())).is_ok());
        let error = Record::from_json(&with("ab".repeat(32))).unwrap_err().to_string();
        assert!(error.contains("module images") && error.contains(&"ab".repeat(32)), "{error}");
        assert!(error.contains(DIGEST), "{error}");
    }

    #[test]
    fn what_is_no_record_is_refused_by_its_field() {
        let with = |at: &str, value: Value| {
            let mut record = job();
            *record.pointer_mut(at).unwrap() = value;
            Record::from_json(&record.to_string()).unwrap_err().to_string()
        };
        let error = with("/job/state", json!("gone"));
        assert!(error.starts_with("job.state: unknown variant `gone`"), "{error}");
        let error = with("/logs/0/run", json!("two"));
        assert!(error.starts_with("logs[0].run: invalid type: string \"two\""), "{error}");
        assert_eq!(with("/job/priority", json!(55)), "job.priority: 55 is not 0, the first to be taken, to 9");
        assert_eq!(with("/job/max_attempts", json!(0)), "job.max_attempts: 0 is not 1 or more");
        assert_eq!(with("/job/attempt", json!(99)), "job.attempt: 99 is not at most `max_attempts`, which is 3");
        let error = with("/kind", json!("jobs"));
        assert_eq!(error, "kind: `jobs` is not one of version, queue, limit, recurring, counter, audit, job");
        let error = Record::from_json("{ \"kind\": \"queue\", \"name\": \"a b\"").unwrap_err().to_string();
        assert!(error.contains("at column"), "{error}");
        let error = Record::from_json("{ \"kind\": \"queue\", \"name\": \"a\" }").unwrap_err().to_string();
        assert!(error.contains("missing field `paused`"), "{error}");
    }
}
