//! What a job depends on besides its turn: the jobs that it continues, what it must be the only one of, when it expires.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use windlass_api::{After, Digest, JobId, JobRequest, Json, OnConflict, State, Timestamp, Unique, UniqueRule};

use super::{
    AdmissionError,
    fields::{MAX_DELAY_MS, invalid},
};
use crate::Conditions;

const MAX_PARENTS: usize = 100;
const MAX_UNIQUE_KEY_BYTES: usize = 200;
const MAX_UNIQUE_FIELDS: usize = 20;

/// The conditions of a request, checked as far as that can be done without the other jobs.
pub(super) fn of(request: &JobRequest) -> Result<Conditions, AdmissionError> {
    if let Some(after) = &request.after {
        check_after(after, request.id)?;
    }
    check_expiry(request)?;
    let unique = request.unique.as_ref().map(|unique| rule(unique, request)).transpose()?;
    Ok(Conditions {
        after: request.after.clone(),
        unique,
        expires_at: request.expires_at,
        limit_key: request.limit_key.clone(),
    })
}

/// Whether each job of a call comes after its parents.
pub(super) fn check_order(requests: &[JobRequest]) -> Result<(), (usize, AdmissionError)> {
    if requests.iter().all(|request| request.after.is_none()) {
        return Ok(());
    }
    let mut places = HashMap::new();
    for (at, request) in requests.iter().enumerate() {
        if let Some(id) = request.id {
            places.entry(id).or_insert(at);
        }
    }
    for (at, request) in requests.iter().enumerate() {
        let parents = request.after.iter().flat_map(|after| &after.jobs);
        for parent in parents {
            if places.get(parent).is_some_and(|place| *place >= at) {
                let message = format!(
                    "names job {parent}, which does not stand before this one in the call: put each job after those that it \
                     continues; a circle of jobs that wait for each other is not possible"
                );
                return invalid("after", message).map_err(|error| (at, error));
            }
        }
    }
    Ok(())
}

fn check_after(after: &After, own: Option<JobId>) -> Result<(), AdmissionError> {
    if !(1..=MAX_PARENTS).contains(&after.jobs.len()) {
        let message = format!("must name 1 to {MAX_PARENTS} jobs, not {}", after.jobs.len());
        return invalid("after", message);
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = after.jobs.iter().find(|job| !seen.insert(**job)) {
        return invalid("after", format!("names job {twice} twice"));
    }
    if own.is_some_and(|own| seen.contains(&own)) {
        return invalid("after", "names the job itself: it would wait for ever".to_owned());
    }
    Ok(())
}

fn check_expiry(request: &JobRequest) -> Result<(), AdmissionError> {
    let Some(expires_at) = request.expires_at else { return Ok(()) };
    if expires_at > Timestamp::MAX {
        return invalid("expires_at", format!("must not be later than {}", Timestamp::MAX));
    }
    if request.run_at.is_some_and(|run_at| run_at >= expires_at) {
        return invalid("expires_at", "must be later than `run_at`: the job could never be started".to_owned());
    }
    Ok(())
}

fn rule(unique: &Unique, request: &JobRequest) -> Result<UniqueRule, AdmissionError> {
    let Unique { key, fields, states, period_ms, on_conflict } = unique;
    if key.is_some() && !fields.is_empty() {
        return invalid("unique.key", "cannot be given together with `unique.fields`".to_owned());
    }
    if let Some(key) = key
        && !(1..=MAX_UNIQUE_KEY_BYTES).contains(&key.len())
    {
        return invalid("unique.key", format!("must have 1 to {MAX_UNIQUE_KEY_BYTES} bytes, not {}", key.len()));
    }
    if fields.len() > MAX_UNIQUE_FIELDS {
        return invalid("unique.fields", format!("are {}: at most {MAX_UNIQUE_FIELDS} are allowed", fields.len()));
    }
    if let Some(field) = fields.iter().find(|field| !field.starts_with('/')) {
        let field = field.chars().take(100).collect::<String>();
        return invalid("unique.fields", format!("must be JSON Pointers such as `/order`, not `{field}`"));
    }
    if states.as_ref().is_some_and(BTreeSet::is_empty) {
        return invalid("unique.states", "must name a state, or be left out".to_owned());
    }
    if period_ms.is_some_and(|period_ms| !(1..=MAX_DELAY_MS).contains(&period_ms)) {
        return invalid("unique.period_ms", format!("must be 1 to {MAX_DELAY_MS}, which is 10 years"));
    }
    Ok(UniqueRule {
        key: unique_key(unique, request)?,
        states: states.clone().unwrap_or_else(|| counting_states(*on_conflict)),
        period_ms: *period_ms,
        on_conflict: *on_conflict,
    })
}

fn counting_states(on_conflict: OnConflict) -> BTreeSet<State> {
    let mut states = BTreeSet::from([State::Scheduled, State::Awaiting, State::Enqueued]);
    if on_conflict != OnConflict::Replace {
        states.insert(State::Processing);
    }
    states
}

/// What two jobs have in common that must not stand beside each other.
fn unique_key(unique: &Unique, request: &JobRequest) -> Result<Digest, AdmissionError> {
    let mut hash = Sha256::new();
    // No part can end so that it begins the next one: names have no NUL, and JSON text has none either.
    let mut add = |kind: &str, text: &str| hash.update(format!("{kind}{text}\0"));
    add("", &request.handler.to_string());
    if let Some(key) = &unique.key {
        add("k", key);
    } else {
        let payload = value(&request.payload)?;
        if unique.fields.is_empty() {
            add("p", &canonical(&payload));
        }
        for field in unique.fields.iter().collect::<BTreeSet<_>>() {
            add("f", field);
            add("v", &canonical(payload.pointer(field).unwrap_or(&Value::Null)));
        }
    }
    Ok(Digest(hash.finalize().into()))
}

fn value(payload: &Json) -> Result<Value, AdmissionError> {
    payload.read::<Value>().or_else(|error| invalid("payload", format!("cannot be read: {error}")))
}

/// The text of a value in which members are in the order of their names.
fn canonical(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let mut members = members.iter().collect::<Vec<_>>();
            members.sort_by_key(|(name, _)| *name);
            let write =
                |(name, value): (&String, &Value)| format!("{}:{}", Value::from(name.as_str()), canonical(value));
            format!("{{{}}}", members.into_iter().map(write).collect::<Vec<_>>().join(","))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn request(payload: &str) -> JobRequest {
        JobRequest::new("m/h".parse().unwrap(), payload.parse().unwrap())
    }

    fn refusal(change: impl FnOnce(&mut JobRequest)) -> String {
        let mut request = request("{}");
        change(&mut request);
        of(&request).unwrap_err().to_string()
    }

    fn key(payload: &str, unique: Unique) -> Digest {
        let request = JobRequest { unique: Some(unique), ..request(payload) };
        of(&request).unwrap().unique.unwrap().key
    }

    fn fields(fields: &[&str]) -> Unique {
        Unique { fields: fields.iter().map(|field| (*field).to_owned()).collect(), ..Unique::default() }
    }

    #[test]
    fn each_condition_is_refused_with_its_field_and_what_is_allowed() {
        let id = |n| JobId(Uuid::from_u128(n));
        let after = |jobs: Vec<JobId>| Some(After { jobs, on: windlass_api::ContinueOn::Success });
        assert_eq!(refusal(|it| it.after = after(vec![])), "`after` must name 1 to 100 jobs, not 0");
        assert_eq!(
            refusal(|it| it.after = after((0..101).map(id).collect())),
            "`after` must name 1 to 100 jobs, not 101"
        );
        assert!(refusal(|it| it.after = after(vec![id(1), id(1)])).ends_with("twice"));
        let itself = refusal(|it| (it.id, it.after) = (Some(id(1)), after(vec![id(1)])));
        assert_eq!(itself, "`after` names the job itself: it would wait for ever");
        assert!(refusal(|it| it.expires_at = Some(Timestamp(i64::MAX))).starts_with("`expires_at` must not be later"));
        let both = |it: &mut JobRequest| (it.run_at, it.expires_at) = (Some(Timestamp(5)), Some(Timestamp(5)));
        assert!(refusal(both).starts_with("`expires_at` must be later than `run_at`"));
        let unique = |unique: Unique| refusal(|it| it.unique = Some(unique));
        let long = Unique { key: Some("x".repeat(201)), ..Unique::default() };
        assert_eq!(unique(long), "`unique.key` must have 1 to 200 bytes, not 201");
        assert!(unique(Unique { key: Some("k".into()), ..fields(&["/a"]) }).contains("together with"));
        assert!(unique(fields(&["a"])).contains("JSON Pointers"));
        assert!(unique(Unique { states: Some(BTreeSet::new()), ..Unique::default() }).starts_with("`unique.states`"));
        assert!(unique(Unique { period_ms: Some(0), ..Unique::default() }).starts_with("`unique.period_ms`"));
    }

    #[test]
    fn jobs_of_the_same_values_have_the_same_key_however_they_are_written() {
        let whole = Unique::default;
        assert_eq!(key(r#"{"a":1,"b":[{"d":2,"c":3}]}"#, whole()), key(r#"{"b":[{"c":3, "d":2}],"a":1}"#, whole()));
        assert_ne!(key(r#"{"a":1}"#, whole()), key(r#"{"a":2}"#, whole()));
        assert_ne!(key(r#"["a,b"]"#, whole()), key(r#"["a","b"]"#, whole()));
        assert_eq!(key(r#"{"a":1,"b":2}"#, fields(&["/a"])), key(r#"{"a":1,"b":3}"#, fields(&["/a", "/a"])));
        assert_eq!(key(r#"{}"#, fields(&["/a"])), key(r#"{"a":null}"#, fields(&["/a"])));
        assert_ne!(key(r#"{"a":1}"#, fields(&["/a"])), key(r#"{"b":1}"#, fields(&["/b"])));
        let named = |name: &str| Unique { key: Some(name.to_owned()), ..Unique::default() };
        assert_eq!(key("1", named("k")), key("2", named("k")));
        assert_ne!(key("1", named("k")), key("1", named("l")));
    }

    #[test]
    fn what_comes_while_a_job_runs_is_not_lost_to_a_replacement() {
        assert!(counting_states(OnConflict::Reject).contains(&State::Processing));
        assert!(!counting_states(OnConflict::Replace).contains(&State::Processing));
    }

    #[test]
    fn a_job_of_a_call_comes_after_its_parents() {
        let ids = [JobId(Uuid::from_u128(1)), JobId(Uuid::from_u128(2))];
        let of = |own: JobId, parent: JobId| JobRequest {
            id: Some(own),
            after: Some(After { jobs: vec![parent], on: windlass_api::ContinueOn::Success }),
            ..request("{}")
        };
        let plain = JobRequest { id: Some(ids[0]), ..request("{}") };
        assert!(check_order(&[plain.clone(), of(ids[1], ids[0])]).is_ok());
        let (at, error) = check_order(&[of(ids[1], ids[0]), plain]).unwrap_err();
        assert_eq!(at, 0);
        assert!(error.to_string().contains("does not stand before"), "{error}");
        assert_eq!(check_order(&[of(ids[0], ids[1]), of(ids[1], ids[0])]).unwrap_err().0, 0);
    }
}
