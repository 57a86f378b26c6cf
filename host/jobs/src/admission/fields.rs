//! The rules for a request's fields, apart from those that depend on its handler.

use std::collections::BTreeMap;

use windlass_api::{JobRequest, RetryPolicy, Timestamp};

use super::{AdmissionError, MAX_BULK_BYTES, MAX_BULK_JOBS, MAX_BULK_PARENTS, MAX_PAYLOAD_BYTES};

pub(super) const DEFAULT_PRIORITY: u8 = 5;
pub(crate) const MAX_PRIORITY: u8 = 9;
pub(super) const DEFAULT_ATTEMPTS: u32 = 10;
pub(super) const MAX_ATTEMPTS: u32 = 1000;

const MAX_TAGS: usize = 20;
const MAX_TAG_BYTES: usize = 100;
const MAX_HEADERS: usize = 50;
const MAX_HEADER_BYTES: usize = 8 * 1024;
const MAX_RETRY_DELAYS: usize = 100;
const MAX_TIMEOUT_MS: u64 = 7 * 24 * 3_600_000;
/// 10 years: as long as a job may wait, and as a retry may take.
pub(super) const MAX_DELAY_MS: u64 = 10 * 365 * 24 * 3_600_000;

pub(super) fn check_bulk(requests: &[JobRequest]) -> Result<(), AdmissionError> {
    if requests.len() > MAX_BULK_JOBS {
        let message = format!("{} jobs in one request: at most {MAX_BULK_JOBS} are allowed", requests.len());
        return Err(AdmissionError::TooLarge(message));
    }
    let size = |request: &JobRequest| request.payload.as_str().len() + header_bytes(&request.headers);
    let bytes = requests.iter().map(size).sum::<usize>();
    if bytes > MAX_BULK_BYTES {
        let message = format!("{bytes} bytes of payloads in one request: at most {MAX_BULK_BYTES} are allowed");
        return Err(AdmissionError::TooLarge(message));
    }
    let parents = requests.iter().filter_map(|request| request.after.as_ref()).map(|after| after.jobs.len());
    let parents = parents.sum::<usize>();
    if parents > MAX_BULK_PARENTS {
        let message = format!(
            "{parents} parents in one request, over all of its jobs: at most {MAX_BULK_PARENTS} are allowed; send the jobs \
             in several requests, parents before those that continue them"
        );
        return Err(AdmissionError::TooLarge(message));
    }
    Ok(())
}

pub(super) fn check(request: &JobRequest) -> Result<(), AdmissionError> {
    let payload_bytes = request.payload.as_str().len();
    if payload_bytes > MAX_PAYLOAD_BYTES {
        let message = format!("the payload has {payload_bytes} bytes: at most {MAX_PAYLOAD_BYTES} are allowed");
        return Err(AdmissionError::TooLarge(message));
    }
    // What came as part of a request was only skimmed: whoever reads it later must not fail.
    if let Err(error) = request.payload.read::<serde_json::Value>() {
        return invalid("payload", format!("cannot be read: {error}"));
    }
    if request.priority.is_some_and(|priority| priority > MAX_PRIORITY) {
        return invalid("priority", format!("must be 0, the first to be taken, to {MAX_PRIORITY}"));
    }
    if request.max_attempts.is_some_and(|attempts| !(1..=MAX_ATTEMPTS).contains(&attempts)) {
        return invalid("max_attempts", format!("must be 1 to {MAX_ATTEMPTS}"));
    }
    if request.timeout_ms.is_some_and(|timeout_ms| !(1..=MAX_TIMEOUT_MS).contains(&timeout_ms)) {
        return invalid("timeout_ms", format!("must be 1 to {MAX_TIMEOUT_MS}, which is 7 days"));
    }
    if request.delay_ms.is_some() && request.run_at.is_some() {
        return invalid("delay_ms", "cannot be given together with `run_at`".to_owned());
    }
    if request.delay_ms.is_some_and(|delay_ms| delay_ms > MAX_DELAY_MS) {
        return invalid("delay_ms", format!("must be at most {MAX_DELAY_MS}, which is 10 years"));
    }
    if request.run_at.is_some_and(|run_at| run_at > Timestamp::MAX) {
        return invalid("run_at", format!("must not be later than {}", Timestamp::MAX));
    }
    if let Some(retry) = &request.retry {
        check_retry(retry).or_else(|message| invalid("retry", message))?;
    }
    check_tags(&request.tags)?;
    check_headers(&request.headers)
}

/// Checks that a retry policy can be followed.
///
/// # Errors
/// What it must be instead.
pub fn check_retry(policy: &RetryPolicy) -> Result<(), String> {
    let delays = match policy {
        RetryPolicy::Fixed { delay_ms } | RetryPolicy::Linear { delay_ms } => std::slice::from_ref(delay_ms),
        RetryPolicy::Exponential { base_ms, max_ms } if base_ms > max_ms => {
            return Err("must have a `base_ms` that is not over its `max_ms`".to_owned());
        }
        RetryPolicy::Exponential { max_ms, .. } => std::slice::from_ref(max_ms),
        RetryPolicy::Delays { delays_ms } => delays_ms,
    };
    if !(1..=MAX_RETRY_DELAYS).contains(&delays.len()) {
        return Err(format!("must have 1 to {MAX_RETRY_DELAYS} delays"));
    }
    if delays.iter().any(|delay_ms| *delay_ms > MAX_DELAY_MS) {
        return Err(format!("must not have a delay over {MAX_DELAY_MS} ms, which is 10 years"));
    }
    Ok(())
}

fn check_tags(tags: &[String]) -> Result<(), AdmissionError> {
    if tags.len() > MAX_TAGS {
        return invalid("tags", format!("are {}: at most {MAX_TAGS} are allowed", tags.len()));
    }
    match tags.iter().find(|tag| !(1..=MAX_TAG_BYTES).contains(&tag.len())) {
        Some(tag) => invalid("tags", format!("must have 1 to {MAX_TAG_BYTES} bytes each; one has {}", tag.len())),
        None => Ok(()),
    }
}

fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), AdmissionError> {
    if headers.len() > MAX_HEADERS {
        return invalid("headers", format!("are {}: at most {MAX_HEADERS} are allowed", headers.len()));
    }
    if headers.keys().any(String::is_empty) {
        return invalid("headers", "must have names that are not empty".to_owned());
    }
    let bytes = header_bytes(headers);
    if bytes > MAX_HEADER_BYTES {
        return invalid("headers", format!("have {bytes} bytes: at most {MAX_HEADER_BYTES} in all are allowed"));
    }
    Ok(())
}

fn header_bytes(headers: &BTreeMap<String, String>) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

pub(super) fn invalid<T>(field: &'static str, message: String) -> Result<T, AdmissionError> {
    Err(AdmissionError::InvalidField { field, message })
}

#[cfg(test)]
mod tests {
    use windlass_api::Json;

    use super::*;

    fn request() -> JobRequest {
        JobRequest::new("m/h".parse().unwrap(), Json::null())
    }

    fn refusal(change: impl FnOnce(&mut JobRequest)) -> String {
        let mut request = request();
        change(&mut request);
        check(&request).unwrap_err().to_string()
    }

    #[test]
    fn a_plain_request_is_accepted() {
        assert!(check(&request()).is_ok());
    }

    #[test]
    fn each_field_is_refused_with_its_name_and_what_is_allowed() {
        assert_eq!(refusal(|it| it.priority = Some(10)), "`priority` must be 0, the first to be taken, to 9");
        assert_eq!(refusal(|it| it.max_attempts = Some(0)), "`max_attempts` must be 1 to 1000");
        assert_eq!(refusal(|it| it.max_attempts = Some(1001)), "`max_attempts` must be 1 to 1000");
        assert!(refusal(|it| it.timeout_ms = Some(0)).starts_with("`timeout_ms` must be 1 to 604800000"));
        assert!(refusal(|it| it.timeout_ms = Some(MAX_TIMEOUT_MS + 1)).starts_with("`timeout_ms`"));
        assert!(refusal(|it| it.delay_ms = Some(u64::MAX)).starts_with("`delay_ms` must be at most"));
        assert!(refusal(|it| it.run_at = Some(Timestamp(i64::MAX))).starts_with("`run_at` must not be later"));
        assert!(refusal(|it| it.tags = vec![String::new()]).starts_with("`tags` must have 1 to 100 bytes"));
        assert!(refusal(|it| it.tags = vec!["a".into(); 21]).starts_with("`tags` are 21"));
        assert!(refusal(|it| it.headers = [("a".into(), "x".repeat(8192))].into()).starts_with("`headers` have 8193"));
        assert!(refusal(|it| it.headers = [(String::new(), String::new())].into()).starts_with("`headers` must"));
    }

    #[test]
    fn a_payload_that_was_only_skimmed_and_cannot_be_read_is_refused() {
        for text in [format!("{}{}", "[".repeat(200), "]".repeat(200)), r#""\ud800""#.to_owned()] {
            let payload = serde_json::from_str::<Json>(&text).unwrap();
            assert!(refusal(|it| it.payload = payload).starts_with("`payload` cannot be read: "), "{text}");
        }
    }

    #[test]
    fn a_delay_and_an_instant_are_not_taken_together() {
        let both = |it: &mut JobRequest| (it.delay_ms, it.run_at) = (Some(1), Some(Timestamp(1)));
        assert_eq!(refusal(both), "`delay_ms` cannot be given together with `run_at`");
    }

    #[test]
    fn a_retry_policy_without_delays_or_upside_down_is_refused() {
        assert!(check_retry(&RetryPolicy::Delays { delays_ms: vec![] }).is_err());
        assert!(check_retry(&RetryPolicy::Delays { delays_ms: vec![1; 101] }).is_err());
        assert!(check_retry(&RetryPolicy::Exponential { base_ms: 2, max_ms: 1 }).is_err());
        assert!(check_retry(&RetryPolicy::Fixed { delay_ms: u64::MAX }).is_err());
        assert!(check_retry(&RetryPolicy::default()).is_ok());
    }

    #[test]
    fn a_payload_or_a_bulk_over_its_limit_is_refused() {
        let long = |bytes: usize| Json::from_text(format!("\"{}\"", "x".repeat(bytes - 2))).unwrap();
        assert!(refusal(|it| it.payload = long(MAX_PAYLOAD_BYTES + 1)).contains("at most 262144"));
        let longest = JobRequest { payload: long(MAX_PAYLOAD_BYTES), ..request() };
        assert!(check(&longest).is_ok());
        assert!(check_bulk(&vec![longest.clone(); 64]).is_ok());
        assert!(check_bulk(&vec![longest; 65]).is_err());
        assert!(check_bulk(&vec![request(); MAX_BULK_JOBS + 1]).is_err());
        let after = |count: u128| {
            let jobs = (0..count).map(|number| windlass_api::JobId(uuid::Uuid::from_u128(number))).collect();
            JobRequest { after: Some(windlass_api::After { jobs, on: Default::default() }), ..request() }
        };
        assert!(check_bulk(&vec![after(100); 500]).is_ok());
        let refusal = check_bulk(&[vec![after(100); 500], vec![after(1)]].concat()).unwrap_err().to_string();
        assert!(refusal.starts_with("50001 parents in one request") && refusal.contains("at most 50000"), "{refusal}");
    }
}
