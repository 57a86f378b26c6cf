//! Recurring jobs for people.

use windlass_api::{RecurringJob, RecurringOutcome, Timestamp};

use super::super::{format, retry, table};

/// More of a payload than this is for `--json`.
const LONGEST_JSON: usize = 2_000;

pub(super) fn list(jobs: &[RecurringJob], now: Timestamp) -> String {
    if jobs.is_empty() {
        return "no recurring jobs".to_owned();
    }
    let rows = jobs.iter().map(|job| {
        vec![
            job.name.to_string(),
            schedule(job),
            job.request.job.handler.to_string(),
            next(job, now),
            job.last.as_ref().map_or_else(|| "never".to_owned(), |last| format::relative(last.at, now)),
            job.last.as_ref().map_or_else(|| "-".to_owned(), |last| format::one_line(&outcome(last), 60)),
        ]
    });
    table::table(&["NAME", "SCHEDULE", "HANDLER", "NEXT", "LAST", "OUTCOME"], &[0], &[], rows)
}

pub(super) fn one(job: &RecurringJob, now: Timestamp) -> String {
    let request = &job.request;
    let instant = |at: &Timestamp| format!("{at} ({})", format::relative(*at, now));
    let headers = request.job.headers.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
    let some = |lines: &[String]| (!lines.is_empty()).then(|| format::harmless(&lines.join(", ")));
    let next = job.next_runs.iter().map(instant).collect::<Vec<_>>().join("\n");
    let catch_up = request.catch_up_limit.map(|limit| format!(", at most {limit}")).unwrap_or_default();
    table::fields(&[
        ("recurring job", Some(job.name.to_string())),
        ("schedule", Some(schedule(job))),
        ("missed", Some(format!("{}{catch_up}", request.misfire))),
        ("handler", Some(request.job.handler.to_string())),
        ("module", job.module.as_ref().map(|module| format!("declared by {module}"))),
        ("since", Some(instant(&job.since))),
        ("next", Some(if next.is_empty() { self::next(job, now) } else { next })),
        ("last", job.last.as_ref().map(|last| instant(&last.at))),
        ("outcome", job.last.as_ref().map(|last| format::harmless(&outcome(last)))),
        ("job", job.last.as_ref().and_then(|last| last.job).map(|job| job.to_string())),
        ("queue", request.job.queue.as_ref().map(ToString::to_string)),
        ("priority", request.job.priority.map(|priority| priority.to_string())),
        ("attempts", request.job.max_attempts.map(|attempts| attempts.to_string())),
        ("retry", request.job.retry.as_ref().map(retry::shown)),
        ("timeout", request.job.timeout_ms.map(format::span)),
        ("tags", some(&request.job.tags)),
        ("headers", some(&headers)),
        ("payload", Some(format::one_line(request.job.payload.as_str(), LONGEST_JSON))),
    ])
}

fn schedule(job: &RecurringJob) -> String {
    let zone = job.request.time_zone.as_ref().map(|zone| format!(" ({zone})")).unwrap_or_default();
    format::one_line(&format!("{}{zone}", job.request.schedule), 80)
}

fn next(job: &RecurringJob, now: Timestamp) -> String {
    match job.next_runs.first() {
        _ if job.paused => "paused".to_owned(),
        Some(next) => format::relative(*next, now),
        None => "never".to_owned(),
    }
}

fn outcome(last: &RecurringOutcome) -> String {
    if let (true, Some(job)) = (last.left_out, last.job) {
        return match last.state {
            Some(state) => format!("left out: job {job} is there, {state}"),
            None => format!("left out: job {job} was there"),
        };
    }
    match (&last.refused, last.state, &last.failure) {
        (Some(refused), _, _) => format!("no job: {refused}"),
        (None, Some(state), Some(failure)) => format!("{state}, {}: {}", failure.cause, failure.message),
        (None, Some(state), None) => state.to_string(),
        (None, None, _) => "removed after its retention".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use windlass_api::{JobId, JobRequest, Json, Misfire, RecurringRequest, State};

    use super::*;

    fn job(name: &str) -> RecurringJob {
        let request = JobRequest::new("shop/report".parse().unwrap(), Json::null());
        RecurringJob {
            name: name.parse().unwrap(),
            request: RecurringRequest {
                time_zone: Some("Europe/Berlin".to_owned()),
                ..RecurringRequest::new("30 2 * * *", request)
            },
            paused: false,
            module: None,
            since: Timestamp(0),
            next_runs: vec![Timestamp(90_000), Timestamp(180_000)],
            last: None,
        }
    }

    fn outcome(refused: Option<&str>) -> Option<RecurringOutcome> {
        let state = refused.is_none().then_some(State::Succeeded);
        Some(RecurringOutcome {
            at: Timestamp(0),
            job: None,
            state,
            failure: None,
            refused: refused.map(str::to_owned),
            left_out: false,
        })
    }

    #[test]
    fn a_list_shows_when_each_comes_next_and_what_came_of_the_last() {
        let jobs = [
            RecurringJob { last: outcome(None), ..job("nightly") },
            RecurringJob { last: outcome(Some("no module has the handler")), paused: true, ..job("old") },
            RecurringJob { next_runs: vec![], ..job("over") },
        ];
        insta::assert_snapshot!(list(&jobs, Timestamp(60_000)), @r"
        NAME     SCHEDULE                    HANDLER      NEXT     LAST       OUTCOME
        nightly  30 2 * * * (Europe/Berlin)  shop/report  in 30 s  1 min ago  succeeded
        old      30 2 * * * (Europe/Berlin)  shop/report  paused   1 min ago  no job: no module has the handler
        over     30 2 * * * (Europe/Berlin)  shop/report  never    never      -
        ");
        assert_eq!(list(&[], Timestamp(0)), "no recurring jobs");
    }

    #[test]
    fn an_instant_that_was_left_out_names_the_job_that_was_there() {
        let job = Some(JobId(uuid::Uuid::from_u128(7)));
        let there = RecurringOutcome { job, left_out: true, ..outcome(None).unwrap() };
        let id = "00000000-0000-0000-0000-000000000007";
        assert_eq!(super::outcome(&there), format!("left out: job {id} is there, succeeded"));
        let gone = RecurringOutcome { state: None, ..there };
        assert_eq!(super::outcome(&gone), format!("left out: job {id} was there"));
    }

    #[test]
    fn one_is_shown_with_all_that_differs_from_the_handlers_settings() {
        let mut shown = job("nightly");
        (shown.request.misfire, shown.request.catch_up_limit) = (Misfire::CatchUp, Some(5));
        shown.request.job.tags = vec!["a\u{1b}".to_owned()];
        insta::assert_snapshot!(one(&shown, Timestamp(60_000)), @r"
        recurring job  nightly
        schedule       30 2 * * * (Europe/Berlin)
        missed         catch-up, at most 5
        handler        shop/report
        since          1970-01-01T00:00:00.000Z (1 min ago)
        next           1970-01-01T00:01:30.000Z (in 30 s)
                       1970-01-01T00:03:00.000Z (in 2 min)
        tags           a\u{1b}
        payload        null
        ");
    }
}
