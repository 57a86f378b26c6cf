//! The part of a job that is written once.

use std::collections::BTreeMap;

use rusqlite::Connection;
use windlass_api::{Json, RetryPolicy, State};

use super::{
    fault::Fault,
    record::Job,
    words::{Word, unsigned},
};

/// The part of a job that never changes.
pub(super) struct Wide {
    pub(super) payload: Json,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) retry: RetryPolicy,
    pub(super) timeout_ms: Option<u64>,
    pub(super) born: State,
    pub(super) made_by: String,
}

impl Wide {
    pub(super) fn read(db: &Connection, job: &Job) -> Result<Self, Fault> {
        let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("job {}", job.id), why);
        let mut query = db
            .prepare_cached("SELECT timeout_ms, born, made_by, retry, headers, payload FROM payloads WHERE seq = ?1")?;
        let mut rows = query.query([job.seq])?;
        let row = rows.next()?.ok_or_else(|| damaged(&"its payload is not there"))?;
        let headers = row.get::<_, Option<String>>(4)?.map(|text| serde_json::from_str(&text)).transpose();
        let retry = row.get::<_, Option<String>>(3)?.map(|text| serde_json::from_str(&text)).transpose();
        Ok(Self {
            timeout_ms: row.get::<_, Option<i64>>(0)?.map(unsigned),
            born: State::from_number(row.get(1)?)?,
            made_by: row.get(2)?,
            retry: retry.map_err(|error| damaged(&error))?.unwrap_or_default(),
            headers: headers.map_err(|error| damaged(&error))?.unwrap_or_default(),
            payload: stored_json(row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?)
                .map_err(|error| damaged(&error))?,
        })
    }
}

/// JSON that was checked before it was stored, so that it is only skimmed here.
pub(super) fn stored_json(text: &str) -> serde_json::Result<Json> {
    serde_json::from_str(text)
}
