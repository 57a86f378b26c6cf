//! A job's record, which the scripts change, and the part of it that is written once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use windlass_api::{
    Digest, HandlerPath, JobId, Json, LimitKey, LimitTarget, Mode, QueueName, RetryPolicy, ServerId, State, Timestamp,
    UniqueRule,
};

use super::{
    bytes::{NONE, Reader, Why, cut, mode_number, put_text, state_number, uuid},
    conditions::{RULE_BYTES, read_rule, rule_bytes},
    fault::damaged,
};
use crate::storage::StorageError;

/// The version of a record's layout.
const LAYOUT: u8 = 1;

/// The same where more stands behind it: what only some jobs have.
const LAYOUT_WITH_MORE: u8 = 2;

/// What is known of a job and changes in its life. `scripts/common.lua` knows the layout too.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) state: State,
    pub(super) mode: Mode,
    pub(super) priority: u8,
    /// Whether its cancel (1) or its deletion (2) was asked for while it runs.
    pub(super) ask: u8,
    /// The state that it was made in.
    pub(super) born: State,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) run: u32,
    pub(super) losses: u32,
    /// How many lines its history ever had beside the first.
    pub(super) lines: u32,
    /// The line of the history that tells of its last run; 0 where there is none.
    pub(super) ended: u32,
    pub(super) log_bytes: u32,
    /// Its number in the order of making.
    pub(super) seq: i64,
    pub(super) created_at: Timestamp,
    /// When it is due, where it is scheduled; when it ended, where it has; otherwise when it came into its state.
    pub(super) at: Timestamp,
    pub(super) ready_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) server: Option<ServerId>,
    pub(super) version: Option<Digest>,
    pub(super) queue: QueueName,
    pub(super) path: HandlerPath,
    pub(super) reason: Option<String>,
    pub(super) asked_by: String,
    pub(super) more: More,
}

/// What only some jobs have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct More {
    /// Whether others continue it.
    pub(super) children: bool,
    /// Whether it continues others.
    pub(super) parents: bool,
    /// Whether it was made to wait for them.
    pub(super) waited: bool,
    /// In the line of which limit it waits: 0 in none, 1 its queue's, 2 its handler's, 3 its key's.
    pub(super) held: u8,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) limit_key: Option<LimitKey>,
    pub(super) unique: Option<UniqueRule>,
}

impl More {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Why> {
        let (flags, held) = (reader.u8()?, reader.u8()?);
        let expires_at = Some(reader.i64()?).filter(|at| *at != NONE).map(Timestamp);
        let key = reader.short_text()?;
        let limit_key = (!key.is_empty()).then(|| key.parse::<LimitKey>()).transpose();
        let unique = match usize::from(reader.u8()?) {
            0 => None,
            RULE_BYTES => Some(read_rule(reader.take(RULE_BYTES)?)?),
            other => return Err(format!("its rule has {other} bytes")),
        };
        if flags > 7 || held > 3 {
            return Err("a field is out of its range".to_owned());
        }
        Ok(Self {
            children: flags & 1 != 0,
            parents: flags & 2 != 0,
            waited: flags & 4 != 0,
            held,
            expires_at,
            limit_key: limit_key.map_err(|error| error.to_string())?,
            unique,
        })
    }

    fn put(&self, to: &mut Vec<u8>) {
        let flags = u8::from(self.children) | u8::from(self.parents) << 1 | u8::from(self.waited) << 2;
        to.extend([flags, self.held]);
        to.extend(self.expires_at.map_or(NONE, |at| at.0).to_be_bytes());
        let unique = self.unique.as_ref().map(rule_bytes).unwrap_or_default();
        let key = self.limit_key.as_ref().map_or("", LimitKey::as_str);
        for short in [key.as_bytes(), &unique] {
            to.push(u8::try_from(short.len()).unwrap_or(u8::MAX));
            to.extend(short);
        }
    }
}

impl Record {
    pub(super) fn read(id: JobId, bytes: &[u8]) -> Result<Self, StorageError> {
        Self::decode(bytes).map_err(|why| damaged(format_args!("job {id}"), format_args!("its record: {why}")))
    }

    fn decode(bytes: &[u8]) -> Result<Self, Why> {
        let mut reader = Reader(bytes);
        let layout = reader.u8()?;
        if layout != LAYOUT && layout != LAYOUT_WITH_MORE {
            return Err(format!("it has version {layout}"));
        }
        let (state, mode, priority, ask, born) =
            (reader.state()?, reader.mode()?, reader.u8()?, reader.u8()?, reader.state()?);
        let (attempt, max_attempts, run, losses) = (reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?);
        let (lines, ended, log_bytes) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let (seq, created_at, at, ready_at) = (reader.i64()?, reader.instant()?, reader.instant()?, reader.instant()?);
        let started_at = Some(reader.i64()?).filter(|at| *at != NONE).map(Timestamp);
        let some = |count: u8| (count > 0).then_some(usize::from(count));
        let server = some(reader.u8()?).map(|count| uuid(reader.take(count)?).map(ServerId)).transpose()?;
        let version = some(reader.u8()?).map(|count| digest(reader.take(count)?)).transpose()?;
        let queue = reader.short_text()?.parse::<QueueName>().map_err(|error| error.to_string())?;
        let path = reader.short_text()?.parse::<HandlerPath>().map_err(|error| error.to_string())?;
        let reason = Some(reader.long_text()?).filter(|reason| !reason.is_empty()).map(str::to_owned);
        let asked_by = reader.long_text()?.to_owned();
        let more = if layout == LAYOUT { More::default() } else { More::read(&mut reader)? };
        if priority > 9 || ask > 2 || !reader.rest().is_empty() {
            return Err("a field is out of its range".to_owned());
        }
        Ok(Self {
            state,
            mode,
            priority,
            ask,
            born,
            attempt,
            max_attempts,
            run,
            losses,
            lines,
            ended,
            log_bytes,
            seq,
            created_at,
            at,
            ready_at,
            started_at,
            server,
            version,
            queue,
            path,
            reason,
            asked_by,
            more,
        })
    }

    /// The limit that it waits for.
    pub(super) fn held_by(&self) -> Option<LimitTarget> {
        match self.more.held {
            1 => Some(LimitTarget::Queue(self.queue.clone())),
            2 => Some(LimitTarget::Handler(self.path.clone())),
            3 => self.more.limit_key.clone().map(LimitTarget::Key),
            _ => None,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = Vec::with_capacity(192);
        let has_more = self.more != More::default();
        let layout = if has_more { LAYOUT_WITH_MORE } else { LAYOUT };
        to.extend([layout, state_number(self.state), mode_number(self.mode), self.priority, self.ask]);
        to.push(state_number(self.born));
        for number in [self.attempt, self.max_attempts, self.run, self.losses, self.lines, self.ended, self.log_bytes] {
            to.extend(number.to_be_bytes());
        }
        let started_at = self.started_at.map_or(NONE, |at| at.0);
        for number in [self.seq, self.created_at.0, self.at.0, self.ready_at.0, started_at] {
            to.extend(number.to_be_bytes());
        }
        let server: &[u8] = self.server.as_ref().map_or(&[], |server| server.0.as_bytes());
        let version: &[u8] = self.version.as_ref().map_or(&[], |version| &version.0);
        let path = self.path.to_string();
        for short in [server, version, self.queue.as_str().as_bytes(), path.as_bytes()] {
            to.push(u8::try_from(short.len()).unwrap_or(u8::MAX));
            to.extend(short);
        }
        put_text(&mut to, self.reason.as_deref().unwrap_or_default());
        put_text(&mut to, &self.asked_by);
        if has_more {
            self.more.put(&mut to);
        }
        to
    }
}

pub(super) fn digest(bytes: &[u8]) -> Result<Digest, Why> {
    bytes.try_into().map(Digest).map_err(|_| "a version's digest does not have 32 bytes".to_owned())
}

/// The part of a job that never changes: its tags, which the scripts read, then what only the host reads.
pub(super) struct Wide {
    pub(super) tags: Vec<String>,
    pub(super) payload: Json,
    pub(super) about: About,
}

#[derive(Serialize, Deserialize)]
pub(super) struct About {
    pub(super) by: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) retry: Option<RetryPolicy>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) timeout_ms: Option<u64>,
    /// The jobs that it continues: whoever is handed the job need not look elsewhere for them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) parents: Vec<JobId>,
}

#[derive(Serialize)]
struct AboutRef<'a> {
    by: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<&'a RetryPolicy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    parents: &'a [JobId],
}

/// The wide part of a job, as it is kept.
pub(super) fn encode_wide(
    tags: &[String],
    payload: &Json,
    (by, headers, retry, timeout_ms): (&str, &BTreeMap<String, String>, &RetryPolicy, Option<u64>),
    parents: &[JobId],
) -> Result<Vec<u8>, StorageError> {
    let retry = (*retry != RetryPolicy::default()).then_some(retry);
    let about = serde_json::to_vec(&AboutRef { by, headers, retry, timeout_ms, parents })
        .map_err(|error| damaged("a new job", error))?;
    let mut to = Vec::with_capacity(payload.as_str().len() + about.len() + 64);
    // One tag counts once, and no more than two bytes can say.
    let mut unique = Vec::<&str>::new();
    for tag in tags.iter().map(|tag| cut(tag)) {
        if unique.len() < usize::from(u16::MAX) && !unique.contains(&tag) {
            unique.push(tag);
        }
    }
    to.extend(u16::try_from(unique.len()).unwrap_or(u16::MAX).to_be_bytes());
    for tag in unique {
        put_text(&mut to, tag);
    }
    to.extend(u32::try_from(about.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend(about);
    to.extend(payload.as_str().as_bytes());
    Ok(to)
}

/// The tags at the head of the wide part.
pub(super) fn read_tags(reader: &mut Reader<'_>) -> Result<Vec<String>, Why> {
    let count = reader.u16()?;
    (0..count).map(|_| reader.long_text().map(str::to_owned)).collect()
}

impl Wide {
    pub(super) fn read(id: JobId, bytes: &[u8]) -> Result<Self, StorageError> {
        Self::decode(bytes).map_err(|why| damaged(format_args!("job {id}"), why))
    }

    fn decode(bytes: &[u8]) -> Result<Self, Why> {
        let mut reader = Reader(bytes);
        let tags = read_tags(&mut reader).map_err(|why| format!("its tags: {why}"))?;
        let about = reader.u32()?;
        let about = reader.take(usize::try_from(about).unwrap_or(usize::MAX))?;
        let about = serde_json::from_slice(about).map_err(|error| format!("what belongs to it: {error}"))?;
        let payload = serde_json::from_slice(reader.rest()).map_err(|error| format!("its payload: {error}"))?;
        Ok(Self { tags, payload, about })
    }
}

/// The id of a job as the scripts know it.
pub(super) fn id(bytes: &[u8]) -> Result<JobId, StorageError> {
    uuid(bytes).map(JobId).map_err(|why| damaged("an id", why))
}
