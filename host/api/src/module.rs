//! Modules, their versions and handlers.

use serde::{Deserialize, Serialize};

use crate::{Digest, HandlerName, JobId, Json, Mode, ModuleName, QueueName, Timestamp, words::words};

/// How long to wait before an attempt that follows a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", tag = "kind", try_from = "Written")]
pub enum RetryPolicy {
    /// The same delay each time.
    Fixed {
        /// The delay.
        delay_ms: u64,
    },
    /// A delay times the number of the attempt that failed.
    Linear {
        /// The delay after the first attempt.
        delay_ms: u64,
    },
    /// Doubling from a base up to a bound, drawn at random from half to one and a half of that.
    Exponential {
        /// The delay after the first attempt.
        base_ms: u64,
        /// No delay is longer.
        max_ms: u64,
    },
    /// One delay per failed attempt; the last one repeats.
    Delays {
        /// The delays; at least one.
        delays_ms: Vec<u64>,
    },
}

/// A policy as it is written; what its kind takes is looked at afterwards. What is derived for an enumeration with a tag keeps
/// all that it reads in a form of its own first, and was more code in the dashboard than any page's own reading.
#[derive(Deserialize)]
#[serde(expecting = "a retry policy: an object such as { \"kind\": \"fixed\", \"delay_ms\": 1000 }")]
struct Written {
    kind: Kind,
    delay_ms: Option<u64>,
    base_ms: Option<u64>,
    max_ms: Option<u64>,
    delays_ms: Option<Vec<u64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Fixed,
    Linear,
    Exponential,
    Delays,
}

impl TryFrom<Written> for RetryPolicy {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let needs = |field: Option<u64>, name: &str| field.ok_or_else(|| format!("missing field `{name}`"));
        Ok(match written.kind {
            Kind::Fixed => Self::Fixed { delay_ms: needs(written.delay_ms, "delay_ms")? },
            Kind::Linear => Self::Linear { delay_ms: needs(written.delay_ms, "delay_ms")? },
            Kind::Exponential => Self::Exponential {
                base_ms: needs(written.base_ms, "base_ms")?,
                max_ms: needs(written.max_ms, "max_ms")?,
            },
            Kind::Delays => Self::Delays { delays_ms: written.delays_ms.ok_or("missing field `delays_ms`")? },
        })
    }
}

impl Default for RetryPolicy {
    /// Exponential from 15 seconds up to an hour.
    fn default() -> Self {
        Self::Exponential { base_ms: 15_000, max_ms: 3_600_000 }
    }
}

words! {
    /// What happens to the instants of a schedule that passed while no host was there.
    #[derive(Default)]
    Misfire {
        /// They are left out.
        Skip = "skip",
        /// One job is enqueued for all of them.
        #[default]
        RunOnce = "run-once",
        /// One job each is enqueued, up to a bound.
        CatchUp = "catch-up",
    }
}

/// A recurring job that comes with its module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleSpec {
    /// Its name within the module: the recurring job is called `MODULE.NAME`.
    pub name: String,
    /// A schedule, as that of a recurring job is written.
    pub expression: String,
    /// An IANA time zone; UTC where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time_zone: Option<String>,
    /// The payload of each job.
    pub payload: Json,
    /// What happens to missed instants.
    #[serde(default)]
    pub misfire: Misfire,
}

/// A handler as its component describes it. What is absent is filled in from the operator's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HandlerSpec {
    /// Its name within the module.
    pub name: HandlerName,
    /// Whether it runs on a thread or as a task.
    pub mode: Mode,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub summary: Option<String>,
    /// The queue of its jobs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub queue: Option<QueueName>,
    /// The priority of its jobs, 0 to 9.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<u8>,
    /// The attempts of its jobs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_attempts: Option<u32>,
    /// The delays between them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry: Option<RetryPolicy>,
    /// How long a run may take.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeout_ms: Option<u64>,
    /// How long a cancelled run may go on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cancel_grace_ms: Option<u64>,
    /// How many instructions a run may take, roughly.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fuel: Option<u64>,
    /// How much memory a run may have.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memory_bytes: Option<u64>,
    /// The JSON Schema of payloads.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub payload_schema: Option<Json>,
    /// The JSON Schema of results.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub result_schema: Option<Json>,
    /// JSON Pointers to what is masked for those who only look.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub redact: Vec<String>,
    /// Recurring jobs that come with it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub schedules: Vec<ScheduleSpec>,
}

/// One immutable component of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionView {
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// How long it is.
    pub size_bytes: u64,
    /// The author's own version.
    pub version: String,
    /// What it was built with.
    pub sdk: String,
    /// What it can do.
    pub handlers: Vec<HandlerSpec>,
    /// When it was deployed first.
    pub deployed_at: Timestamp,
    /// Whether new jobs go to it.
    pub active: bool,
    /// How many of a hundred new jobs go to it instead of the active version: it is the canary then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 100))]
    pub canary_percent: Option<u8>,
    /// When it was retired: nothing runs on it any more, and its bytes are gone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retired_at: Option<Timestamp>,
}

/// A module and its versions, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModuleView {
    /// Its name.
    pub name: ModuleName,
    /// Its versions.
    pub versions: Vec<VersionView>,
}

/// The answer to a deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Deployed {
    /// The module.
    pub module: ModuleName,
    /// The version.
    pub version: VersionView,
    /// Whether it was there before.
    pub already_known: bool,
    /// The handlers that the version active before had and this one, active now, has not: their jobs wait.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub dropped_handlers: Vec<HandlerName>,
}

/// A version of a module to be activated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ActivateRequest {
    /// The version.
    pub digest: Digest,
    /// Whether to do it whatever breaks.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub force: bool,
}

/// A version of a module that a share of the new jobs goes to instead of the active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CanaryRequest {
    /// The version.
    pub digest: Digest,
    /// How many of a hundred new jobs go to it, 1 to 100.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 100))]
    pub percent: u8,
    /// Whether to do it whatever breaks.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub force: bool,
}

/// The canary of a module that is to become the active version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// Whether to do it whatever breaks.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub force: bool,
}

/// What came of dropping a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CanaryDropped {
    /// The version that was the canary.
    pub digest: Digest,
    /// How many jobs had begun on it, wait to go on, and go on with the active version.
    pub unpinned: u64,
}

/// A version of a module to be retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RetireRequest {
    /// The version.
    pub digest: Digest,
    /// Whether jobs that began on it and wait to go on stay with it; then it is not retired while there are such.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub keep_pins: bool,
}

/// A version that was retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retired {
    /// The version.
    pub digest: Digest,
    /// How many jobs had begun on it, wait to go on, and go on with the active version.
    pub unpinned: u64,
}

/// Whether a job falls to a canary that gets so many of a hundred new jobs. It follows from the job's id alone, so that every
/// host and storage says the same of a job, and a share that grows keeps the jobs that it had: an id's last four bytes, which are
/// random in every id that Windlass makes, as a number, modulo 100.
#[must_use]
pub fn falls_to_canary(job: JobId, percent: u8) -> bool {
    let [.., a, b, c, d] = *job.0.as_bytes();
    u32::from_be_bytes([a, b, c, d]) % 100 < u32::from(percent)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_policy_reads_back_as_it_was_written() {
        let policies = [
            RetryPolicy::Fixed { delay_ms: 1 },
            RetryPolicy::Linear { delay_ms: 2 },
            RetryPolicy::Exponential { base_ms: 3, max_ms: 4 },
            RetryPolicy::Delays { delays_ms: vec![5, 6] },
        ];
        let written = [
            r#"{"kind":"fixed","delay_ms":1}"#,
            r#"{"kind":"linear","delay_ms":2}"#,
            r#"{"kind":"exponential","base_ms":3,"max_ms":4}"#,
            r#"{"kind":"delays","delays_ms":[5,6]}"#,
        ];
        for (policy, text) in policies.into_iter().zip(written) {
            assert_eq!(serde_json::to_string(&policy).unwrap(), text);
            assert_eq!(serde_json::from_str::<RetryPolicy>(text).unwrap(), policy);
        }
    }

    #[test]
    fn a_policy_without_what_its_kind_takes_is_refused_by_that_name() {
        for (text, told) in [
            (r#"{"kind":"fixed","base_ms":1}"#, "missing field `delay_ms`"),
            (r#"{"kind":"exponential","base_ms":1}"#, "missing field `max_ms`"),
            (r#"{"kind":"delays"}"#, "missing field `delays_ms`"),
            (r#"{"delay_ms":1}"#, "missing field `kind`"),
            (r#"{"kind":"never"}"#, "unknown variant `never`, expected one of `fixed`, `linear`"),
        ] {
            let error = serde_json::from_str::<RetryPolicy>(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn a_share_that_grows_keeps_the_jobs_that_it_had() {
        let jobs: Vec<JobId> = (0..1_000_u128).map(|n| JobId(Uuid::from_u128(n.wrapping_mul(0x9e37_79b9)))).collect();
        let taken = |percent| jobs.iter().filter(|job| falls_to_canary(**job, percent)).copied().collect::<Vec<_>>();
        assert_eq!((taken(0).len(), taken(100).len()), (0, 1_000));
        let (few, many) = (taken(10), taken(30));
        assert!((50..150).contains(&few.len()) && (230..370).contains(&many.len()), "{} {}", few.len(), many.len());
        assert!(few.iter().all(|job| many.contains(job)));
    }

    #[test]
    fn a_job_falls_to_a_canary_by_the_end_of_its_id() {
        let job = |end: u32| JobId(Uuid::from_u128(u128::from(end) | (7 << 76)));
        assert!(falls_to_canary(job(1_204), 5) && !falls_to_canary(job(1_205), 5));
        assert!(!falls_to_canary(job(u32::MAX), 95) && falls_to_canary(job(u32::MAX), 96));
    }
}
