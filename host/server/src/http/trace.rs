//! `traceparent`: what a request belongs to, carried on in the job's headers (W3C Trace Context).

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use windlass_api::JobRequest;

pub(crate) const PARENT: &str = "traceparent";
pub(crate) const STATE: &str = "tracestate";

/// No state of a trace is carried on that is longer, in bytes: what the specification asks for at least.
const MAX_STATE_BYTES: usize = 512;

/// Puts what the request belongs to into the headers of its jobs, unless they say so themselves.
pub(super) fn carry(headers: &HeaderMap, jobs: &mut [JobRequest]) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(parent) = text(PARENT).filter(|parent| is_parent(parent)) else { return };
    let state = text(STATE).filter(|state| state.len() <= MAX_STATE_BYTES);
    for job in jobs.iter_mut().filter(|job| !job.headers.contains_key(PARENT)) {
        job.headers.insert(PARENT.to_owned(), parent.to_owned());
        if let Some(state) = state {
            job.headers.insert(STATE.to_owned(), state.to_owned());
        }
    }
}

/// The headers but for these two, which differ each time that a request is sent.
pub(crate) fn without(headers: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    headers.iter().filter(|(name, _)| *name != PARENT && *name != STATE)
}

/// The headers that say which trace something belongs to.
pub(crate) fn of(headers: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    [PARENT, STATE]
        .iter()
        .filter_map(|name| headers.get_key_value(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Puts them into other headers, unless those say so themselves.
pub(crate) fn continue_in(headers: &mut BTreeMap<String, String>, trace: &BTreeMap<String, String>) {
    if !headers.contains_key(PARENT) {
        headers.extend(trace.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// Whether it names a trace and a span: `00-` and 32, 16 and 2 hexadecimal digits; a later version may say more after them.
pub(crate) fn is_parent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut digits = |count: usize| {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        parts.next().filter(|part| part.len() == count && part.bytes().all(is_hex))
    };
    let (version, trace, span, flags) = (digits(2), digits(32), digits(16), digits(2));
    let is_set = |part: Option<&str>| part.is_some_and(|part| part.bytes().any(|byte| byte != b'0'));
    let ends = version != Some("00") || parts.next().is_none();
    version.is_some_and(|version| version != "ff") && is_set(trace) && is_set(span) && flags.is_some() && ends
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use windlass_api::Json;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_names_a_trace_and_a_span_is_carried_on_and_nothing_else() {
        assert!(is_parent(GOOD));
        assert!(
            is_parent(&GOOD.replacen("00", "01", 1)) && is_parent(&format!("{}-more", GOOD.replacen("00", "01", 1)))
        );
        for bad in [
            "",
            "00",
            &GOOD[1..],
            &format!("{GOOD}-more"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.to_uppercase(),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert!(!is_parent(bad), "{bad}");
        }
    }

    #[test]
    fn a_job_that_names_its_trace_itself_keeps_it() {
        let headers =
            HeaderMap::from_iter([(axum::http::HeaderName::from_static(PARENT), HeaderValue::from_static(GOOD))]);
        let mut jobs = vec![JobRequest::new("a/b".parse().unwrap(), Json::null()); 2];
        jobs[1].headers.insert(PARENT.to_owned(), "own".to_owned());
        carry(&headers, &mut jobs);
        assert_eq!(jobs[0].headers[PARENT], GOOD);
        assert_eq!(jobs[1].headers[PARENT], "own");
        assert_eq!(without(&jobs[0].headers).count(), 0);
    }
}
