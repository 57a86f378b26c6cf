//! Holds what the handlers wrote against what the hosts say of the jobs. It knows nothing of the faults but when hosts
//! were suspended, and reads nothing but the records and the API.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use windlass_api::{Cause, JobDetail, JobId, State};

use super::{
    Record, Records, Suspension,
    history::{self, Told},
    http::request,
    load::until_all_ended,
    look::totals_agree,
    times,
};

/// How long a run may go on beside the next one of its job, or after it was taken away, where its host ran on all the
/// time: nothing in principle, since hosts stop runs seconds before others take them. This is one beat and some.
pub const AT_ONCE_MS: i64 = 50;

/// The same where its host was suspended: until the host's next look at its lease (250 ms) once it goes on, and as long as
/// a busy machine takes to act on it.
pub const AFTER_SUSPENSION_MS: i64 = 1_500;

/// What must be so.
#[derive(Debug, Default)]
pub struct Expected {
    /// The jobs that were acknowledged; no others may be there.
    pub acknowledged: BTreeSet<JobId>,
    /// How long a run may go on where it should be over, in milliseconds.
    pub bound_ms: i64,
    /// When hosts were suspended.
    pub suspensions: Vec<Suspension>,
    /// Each job ran once, and once more for each time that it asked to fail: nothing happened that would make a host lose
    /// a job.
    pub once: bool,
    /// The times mean nothing, since clocks were set.
    pub clocks_set: bool,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Jobs.
    pub jobs: usize,
    /// Runs that wrote something.
    pub runs: usize,
    /// Runs that did not come to their end.
    pub broken_off: usize,
    /// Runs that were taken away from lost servers, and those servers, as histories name them.
    pub lost: BTreeMap<(JobId, u32), String>,
    /// Runs that their own server let go of, since it could not say that it lived.
    pub let_go: BTreeSet<(JobId, u32)>,
    /// Runs that failed as their jobs had asked for.
    pub failed: usize,
    /// Jobs given up because their servers were lost again and again.
    pub poison: usize,
    /// Jobs that came to their end more than once, since nobody heard of the first time.
    pub repeated: usize,
    /// The longest time that two runs of a job went on side by side.
    pub overlap_ms: i64,
    /// The longest time that a run went on after it had been taken away.
    pub late_ms: i64,
    /// The longest run.
    pub longest_ms: i64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} jobs ended after {} runs of up to {} ms: {} broken off, {} taken away from lost servers, {} let go, {} \
             failed as asked, {} jobs given up as poison, {} jobs done more than once, longest overlap {} ms, latest \
             line {} ms after the run was taken away",
            self.jobs,
            self.runs,
            self.longest_ms,
            self.broken_off,
            self.lost.len(),
            self.let_go.len(),
            self.failed,
            self.poison,
            self.repeated,
            self.overlap_ms,
            self.late_ms
        )
    }
}

/// Waits until all jobs have ended and checks each, and what the host says of all of them.
///
/// # Errors
/// Where a promise was broken; the error names it and the job.
pub fn check(host: &str, records: &Records, expected: &Expected) -> Result<Report> {
    let ended = until_all_ended(host)?;
    let count = expected.acknowledged.len();
    ensure!(u64::try_from(count)? == ended, "{count} jobs were acknowledged, {ended} are there");
    let all = records.all()?;
    if let Some(unknown) = all.keys().find(|job| !expected.acknowledged.contains(job)) {
        bail!("job {unknown} ran and was never acknowledged");
    }
    let mut report = Report { jobs: count, ..Report::default() };
    let mut states = BTreeMap::new();
    for job in &expected.acknowledged {
        let path = format!("/api/v1/jobs/{job}");
        let detail: JobDetail = request(host, "GET", &path, "")?.json().context("an acknowledged job is lost")?;
        let nothing = BTreeMap::new();
        let runs = all.get(job).unwrap_or(&nothing);
        check_job(&detail, runs, expected, &mut report)
            .with_context(|| format!("job {job}\nrecords: {runs:#?}\nhistory: {:#?}", detail.history))?;
        states.insert(*job, detail.job.state);
    }
    totals_agree(host, &states)?;
    // Otherwise no overlap could be as long as that.
    let (longest_ms, bound_ms) = (report.longest_ms, expected.bound_ms);
    ensure!(
        expected.clocks_set || longest_ms > bound_ms,
        "no run was longer than {bound_ms} ms, the longest {longest_ms} ms"
    );
    Ok(report)
}

fn check_job(detail: &JobDetail, runs: &BTreeMap<u32, Record>, expected: &Expected, report: &mut Report) -> Result<()> {
    let told = history::read(detail, expected.clocks_set)?;
    let id = detail.job.id;
    for (run, record) in runs {
        let told =
            told.get(run).with_context(|| format!("run {run} wrote something, and no server took the job for it"))?;
        ensure!(record.starts == 1, "run {run} was begun {} times", record.starts);
        ensure!(record.ends + record.fails <= 1, "run {run} came to its end {} times", record.ends + record.fails);
        if !expected.clocks_set {
            let late_ms = check_times(record, told, expected).with_context(|| format!("run {run}"))?;
            report.late_ms = report.late_ms.max(late_ms);
            report.longest_ms = report.longest_ms.max(record.last_ms - record.first_ms);
        }
    }
    let (mut retries, mut given_back) = (0, 0);
    for (run, Told { server, end, .. }) in &told {
        let Some(end) = end else { continue };
        if end.lost {
            report.lost.insert((id, *run), server.clone());
        } else if end.reason.as_deref() == Some("lease-lost") {
            report.let_go.insert((id, *run));
        } else if end.reason.as_deref() == Some("not-started") {
            // Its server found no thread for it in time. Legal, as long as the handler was not called.
            ensure!(!runs.contains_key(run), "run {run} was given back as not started, and wrote something");
            given_back += 1;
        } else if end.to == State::Scheduled {
            let failed = runs.get(run).is_some_and(|record| record.fails == 1);
            ensure!(failed, "run {run} is to be retried, and it did not fail");
            retries += 1;
        }
    }
    report.runs += runs.len();
    report.broken_off += runs.values().filter(|record| record.ends + record.fails == 0).count();
    report.failed += retries;
    report.repeated += usize::from(runs.values().filter(|record| record.ends > 0).count() > 1);
    match detail.job.state {
        State::Succeeded => {
            let last = runs.get(&detail.job.run).context("it succeeded, and its last run wrote nothing")?;
            ensure!(last.ends == 1, "it succeeded, and its last run did not come to its end");
            let result = detail.result.as_ref().map_or("nothing", windlass_api::Json::as_str);
            ensure!(
                result == detail.job.run.to_string(),
                "its result is of run {result}, and it is at run {}",
                detail.job.run
            );
        }
        // Legal, where its servers really were lost three times.
        State::Failed => {
            let cause = detail.job.failure.as_ref().map(|failure| failure.cause);
            let lost = told.values().filter(|told| told.end.as_ref().is_some_and(|end| end.lost)).count();
            ensure!(cause == Some(Cause::Poison) && lost >= 3, "it failed after {lost} losses");
            report.poison += 1;
        }
        state => bail!("it ended as {state:?}"),
    }
    if expected.once {
        let asked = usize::try_from(asked_to_fail(detail)?)?;
        ensure!(retries == asked, "it was retried {retries} times, and asked for {asked}");
        let times = told.len() - given_back;
        ensure!(times == asked + 1, "it ran {times} times, and nothing had happened to it");
    }
    if !expected.clocks_set {
        let overlap = times::overlap(runs, &expected.suspensions);
        report.overlap_ms = report.overlap_ms.max(overlap);
        ensure!(overlap <= expected.bound_ms, "two runs of it went on side by side for {overlap} ms");
    }
    Ok(())
}

/// Checks that a run wrote nothing before its server took the job and nothing after it was settled, and gives how long it
/// went on after it was taken away.
fn check_times(record: &Record, told: &Told, expected: &Expected) -> Result<i64> {
    ensure!(
        told.began_ms <= record.first_ms,
        "it began at {} ms, and was taken at {} ms",
        record.first_ms,
        told.began_ms
    );
    let Some(end) = &told.end else { return Ok(0) };
    if !end.lost {
        ensure!(record.last_ms <= end.at_ms, "it was settled at {} ms, and wrote at {} ms", end.at_ms, record.last_ms);
    }
    let late_ms = times::after(end.at_ms, record, &expected.suspensions);
    ensure!(late_ms <= expected.bound_ms, "it went on for {late_ms} ms after it was taken away");
    Ok(late_ms)
}

/// What a job asked for, as far as it matters here.
#[derive(Default, Deserialize)]
struct Asked {
    #[serde(default)]
    fail: u32,
}

fn asked_to_fail(detail: &JobDetail) -> Result<u32> {
    Ok(detail.payload.read::<Option<Asked>>()?.unwrap_or_default().fail)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2026-11-23T15:00:00Z.
    const BASE_MS: i64 = 1_795_446_000_000;

    /// What a run wrote, in milliseconds after the job was made.
    fn record(first_ms: i64, last_ms: i64) -> Record {
        Record { starts: 1, ends: 0, fails: 0, first_ms: BASE_MS + first_ms, last_ms: BASE_MS + last_ms }
    }

    fn end(first_ms: i64, last_ms: i64) -> Record {
        Record { ends: 1, ..record(first_ms, last_ms) }
    }

    /// A job that ended after 5 s, whose run 1 was lost after 2 s where there is a second one.
    fn job(state: &str, runs: u32, result: u32) -> JobDetail {
        let at = |second: u32| format!("2026-11-23T15:00:0{second}Z");
        let mut history = vec![json!({ "to": "enqueued", "at": at(0), "by": "client" })];
        let mut line = |from: &str, to: &str, second, by: &str, run, reason: Option<&str>| {
            history.push(json!({ "from": from, "to": to, "at": at(second), "by": by, "run": run, "reason": reason }));
        };
        line("enqueued", "processing", 0, "server a", Some(1), None);
        if runs == 2 {
            line("processing", "enqueued", 2, "sweeper", Some(1), Some("server-lost"));
            line("enqueued", "processing", 3, "server b", Some(2), None);
        }
        let server = if runs == 2 { "server b" } else { "server a" };
        if state != "processing" {
            line("processing", state, 5, server, Some(runs), None);
        }
        serde_json::from_value(json!({
            "job": {
                "id": "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55", "module": "witness", "handler": "wait", "mode": "async",
                "queue": "default", "priority": 5, "state": state, "attempt": 1, "max_attempts": 10, "run": runs,
                "created_at": at(0),
            },
            "payload": null,
            "retry": { "kind": "fixed", "delay_ms": 1_000 },
            "result": result,
            "history": history,
        }))
        .unwrap()
    }

    fn complaint(detail: &JobDetail, runs: impl IntoIterator<Item = (u32, Record)>) -> String {
        let expected = Expected { bound_ms: AT_ONCE_MS, ..Expected::default() };
        let outcome = check_job(detail, &runs.into_iter().collect(), &expected, &mut Report::default());
        outcome.err().map(|error| format!("{error:#}")).unwrap_or_default()
    }

    #[test]
    fn a_job_that_ended_well_is_in_order() {
        assert_eq!(complaint(&job("succeeded", 1, 1), [(1, end(0, 5_000))]), "");
        assert_eq!(complaint(&job("succeeded", 2, 2), [(1, record(0, 2_000)), (2, end(3_000, 5_000))]), "");
    }

    #[test]
    fn a_job_that_succeeded_must_have_come_to_its_end() {
        assert!(complaint(&job("succeeded", 1, 1), []).contains("wrote nothing"));
        assert!(complaint(&job("succeeded", 1, 1), [(1, record(0, 10))]).contains("did not come to its end"));
    }

    #[test]
    fn a_late_settlement_that_counted_is_a_fault() {
        let runs = [(1, end(0, 2_000)), (2, end(3_000, 4_000))];
        assert!(complaint(&job("succeeded", 2, 1), runs).contains("its result is of run 1"));
    }

    #[test]
    fn a_run_that_nobody_claimed_or_that_began_twice_is_a_fault() {
        assert!(
            complaint(&job("succeeded", 1, 1), [(1, end(0, 9)), (2, end(0, 9))]).contains("no server took the job")
        );
        let twice = Record { starts: 2, ..end(0, 9) };
        assert!(complaint(&job("succeeded", 1, 1), [(1, twice)]).contains("begun 2 times"));
    }

    #[test]
    fn a_job_that_has_not_ended_is_a_fault() {
        assert!(complaint(&job("processing", 1, 1), []).contains("ended as Processing"));
    }

    #[test]
    fn a_run_that_writes_before_it_was_taken_or_after_it_was_settled_is_a_fault() {
        assert!(complaint(&job("succeeded", 1, 1), [(1, end(-1, 9))]).contains("was taken at"));
        assert!(complaint(&job("succeeded", 1, 1), [(1, end(0, 5_001))]).contains("was settled at"));
    }

    #[test]
    fn a_run_that_goes_on_after_it_was_taken_away_is_a_fault() {
        let runs = |late| [(1, record(0, 2_000 + late)), (2, end(3_000, 4_000))];
        assert_eq!(complaint(&job("succeeded", 2, 2), runs(AT_ONCE_MS)), "");
        assert!(complaint(&job("succeeded", 2, 2), runs(AT_ONCE_MS + 1)).contains("after it was taken away"));
    }

    #[test]
    fn a_job_runs_as_often_as_it_asks_where_nothing_happened() {
        let expected = Expected { once: true, bound_ms: AT_ONCE_MS, ..Expected::default() };
        let runs = BTreeMap::from([(1, record(0, 2_000)), (2, end(3_000, 4_000))]);
        let outcome = check_job(&job("succeeded", 2, 2), &runs, &expected, &mut Report::default());
        assert!(outcome.unwrap_err().to_string().contains("ran 2 times"));
    }
}
