//! What a further job depends on besides its turn.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::{JobId, milliseconds};

/// How the jobs must have ended that a job continues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContinueOn {
    /// All of them succeeded; where one is deleted, so is the job that waits.
    #[default]
    Success,
    /// All of them failed; where one succeeds, the job that waits is deleted.
    Failure,
    /// All of them ended, however.
    Finished,
}

impl ContinueOn {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Finished => "finished",
        }
    }
}

/// What becomes of a job where another one is there that it must not stand beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// It is left out: a further job never fails the one that asks for it.
    #[default]
    LeaveOut,
    /// The other one gets its payload and its time, where it still waits.
    Replace,
}

/// What a job must be the only one of, among the unfinished jobs of its handler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unique {
    key: Option<String>,
    fields: Vec<String>,
    period: Option<Duration>,
    on_conflict: OnConflict,
}

impl Unique {
    /// The only one with its payload.
    #[must_use]
    pub fn by_payload() -> Self {
        Self::default()
    }

    /// The only one with this key of 1 to 200 bytes.
    #[must_use]
    pub fn by_key(key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..Self::default() }
    }

    /// The only one with its values at these JSON Pointers into the payload, such as `/order`.
    #[must_use]
    pub fn by_fields<T: Into<String>>(fields: impl IntoIterator<Item = T>) -> Self {
        Self { fields: fields.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Only for so long after the other one was made.
    #[must_use]
    pub const fn within(mut self, period: Duration) -> Self {
        self.period = Some(period);
        self
    }

    /// What becomes of the job where another one is there.
    #[must_use]
    pub const fn on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.on_conflict = on_conflict;
        self
    }

    fn to_json(&self) -> Value {
        let mut written = Map::new();
        if let Some(key) = &self.key {
            written.insert("key".into(), key.as_str().into());
        }
        if !self.fields.is_empty() {
            written.insert("fields".into(), self.fields.clone().into());
        }
        if let Some(period) = self.period {
            written.insert("period_ms".into(), milliseconds(period).into());
        }
        let on_conflict = match self.on_conflict {
            OnConflict::LeaveOut => "existing",
            OnConflict::Replace => "replace",
        };
        written.insert("on_conflict".into(), on_conflict.into());
        written.into()
    }
}

/// The conditions of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Conditions {
    pub(crate) parents: Vec<JobId>,
    pub(crate) on: ContinueOn,
    pub(crate) unique: Option<Unique>,
    pub(crate) expires_at: Option<SystemTime>,
    pub(crate) limit_key: Option<String>,
}

impl Conditions {
    /// They as the contract takes them.
    #[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "only a component hands requests to a host"))]
    pub(crate) fn extensions(&self) -> Vec<(String, String)> {
        self.named().into_iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect()
    }

    fn named(&self) -> Vec<(&'static str, Value)> {
        let mut named = Vec::new();
        if !self.parents.is_empty() {
            let jobs = self.parents.iter().map(JobId::as_str).collect::<Vec<_>>();
            named.push(("after", json!({ "jobs": jobs, "on": self.on.as_str() })));
        }
        named.extend(self.unique.as_ref().map(|unique| ("unique", unique.to_json())));
        named.extend(self.expires_at.map(|at| ("expires_at", rfc3339(at).into())));
        named.extend(self.limit_key.as_ref().map(|key| ("limit_key", key.as_str().into())));
        named
    }
}

/// An instant in UTC to the millisecond, such as `2026-11-23T15:49:53.120Z`; one before 1970 is taken for 1970.
fn rfc3339(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:03}Z", second % 60, since.subsec_millis())
}

/// The date that lies so many days after 1970-01-01. Years begin in March, so that a leap day is the last one.
const fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days + 719_468;
    let (era, day_of_era) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = year_of_era + era * 400;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_as_the_api_reads_it() {
        let at = |ms| rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(951_868_800_000), "2000-03-01T00:00:00.000Z");
        assert_eq!(at(1_795_448_993_120), "2026-11-23T15:49:53.120Z");
    }

    #[test]
    fn conditions_are_handed_over_as_the_api_has_them() {
        let conditions = Conditions {
            parents: vec![JobId::new("a"), JobId::new("b")],
            on: ContinueOn::Finished,
            unique: Some(Unique::by_fields(["/order"]).within(Duration::from_secs(1)).on_conflict(OnConflict::Replace)),
            expires_at: Some(SystemTime::UNIX_EPOCH),
            limit_key: Some("tenant-7".into()),
        };
        let expected = [
            ("after", json!({ "jobs": ["a", "b"], "on": "finished" })),
            ("unique", json!({ "fields": ["/order"], "period_ms": 1_000, "on_conflict": "replace" })),
            ("expires_at", json!("1970-01-01T00:00:00.000Z")),
            ("limit_key", json!("tenant-7")),
        ];
        assert_eq!(conditions.named(), expected);
        assert!(Conditions::default().named().is_empty());
        assert_eq!(Unique::by_key("k").to_json(), json!({ "key": "k", "on_conflict": "existing" }));
    }
}
