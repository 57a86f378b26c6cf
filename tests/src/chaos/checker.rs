//! Holds what the handlers wrote against what the hosts say of the jobs. It knows nothing of the faults but when hosts
//! were suspended, and reads nothing but the records and the API.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Context, Result, bail, ensure};
use windlass_api::{Cause, HistoryLine, JobDetail, JobId, State};

use super::{Record, Records, http::request, load::until_all_ended};

/// How long a run may go on beside the next one of the same job: until the host's next look at its lease (250 ms), and as
/// long as a busy machine takes to act on it.
const OVERLAP_MS: i64 = 1_500;

/// From when to when a host was suspended: runs did nothing then, however long it was.
#[derive(Clone, Copy, Debug)]
pub struct Suspension {
    /// When it was stopped.
    pub from_ms: i64,
    /// When it went on.
    pub to_ms: i64,
}

/// What must be so.
#[derive(Debug, Default)]
pub struct Expected {
    /// The jobs that were acknowledged; no others may be there.
    pub acknowledged: BTreeSet<JobId>,
    /// When hosts were suspended.
    pub suspensions: Vec<Suspension>,
    /// Each job ran once: nothing happened that would make a host lose a job.
    pub once: bool,
    /// The records' times mean nothing, since clocks were set.
    pub clocks_set: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Jobs.
    pub jobs: usize,
    /// Runs that wrote something.
    pub runs: usize,
    /// Runs that did not come to their end.
    pub broken_off: usize,
    /// Runs whose job was taken away from their server.
    pub lost: usize,
    /// Jobs given up because their servers were lost again and again.
    pub poison: usize,
    /// Jobs that came to their end more than once, since nobody heard of the first time.
    pub repeated: usize,
    /// The longest time that two runs of a job went on side by side.
    pub overlap_ms: i64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} jobs ended after {} runs: {} broken off, {} taken away from lost servers, {} jobs given up as poison, {} \
             jobs done more than once, longest overlap {} ms",
            self.jobs, self.runs, self.broken_off, self.lost, self.poison, self.repeated, self.overlap_ms
        )
    }
}

/// Waits until all jobs have ended and checks each.
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
    for job in &expected.acknowledged {
        let path = format!("/api/v1/jobs/{job}");
        let detail: JobDetail = request(host, "GET", &path, "")?.json().context("an acknowledged job is lost")?;
        let nothing = BTreeMap::new();
        let runs = all.get(job).unwrap_or(&nothing);
        check_job(&detail, runs, expected, &mut report)
            .with_context(|| format!("job {job}\nrecords: {runs:#?}\nhistory: {:#?}", detail.history))?;
    }
    Ok(report)
}

fn check_job(detail: &JobDetail, runs: &BTreeMap<u32, Record>, expected: &Expected, report: &mut Report) -> Result<()> {
    let claimed = history_is_whole(detail)?;
    report.runs += runs.len();
    report.broken_off += runs.values().filter(|record| record.ends == 0).count();
    report.lost += detail.history.iter().filter(|line| is_loss(line)).count();
    report.repeated += usize::from(runs.values().filter(|record| record.ends > 0).count() > 1);
    for (run, record) in runs {
        ensure!(claimed.contains(run), "run {run} wrote something, and no server took the job for it");
        ensure!(record.starts == 1, "run {run} was begun {} times", record.starts);
        ensure!(record.ends <= 1, "run {run} came to its end {} times", record.ends);
    }
    match detail.job.state {
        State::Succeeded => {
            let last = runs.get(&detail.job.run).context("it succeeded, and its last run wrote nothing")?;
            ensure!(last.ends == 1, "it succeeded, and its last run did not come to its end");
        }
        // Legal, where its servers really were lost three times.
        State::Failed => {
            let cause = detail.job.failure.as_ref().map(|failure| failure.cause);
            let lost = detail.history.iter().filter(|line| is_loss(line)).count();
            ensure!(cause == Some(Cause::Poison) && lost >= 3, "it failed after {lost} losses");
            report.poison += 1;
        }
        state => bail!("it ended as {state:?}"),
    }
    ensure!(!expected.once || claimed.len() == 1, "it ran {} times, and nothing had happened to it", claimed.len());
    if !expected.clocks_set {
        let overlap = overlap(runs, &expected.suspensions);
        report.overlap_ms = report.overlap_ms.max(overlap);
        ensure!(overlap <= OVERLAP_MS, "two runs of it went on side by side for {overlap} ms");
    }
    Ok(())
}

/// Whether a line says that a run's server was lost.
fn is_loss(line: &HistoryLine) -> bool {
    let lost = |cause| line.failure.as_ref().is_some_and(|failure| failure.cause == cause);
    line.reason.as_deref() == Some("server-lost") || lost(Cause::ServerLost) || lost(Cause::Poison)
}

/// Each line goes on where the one before ended, runs are counted one by one, and the last line is the job's state. Gives
/// the runs for which a server took the job.
fn history_is_whole(detail: &JobDetail) -> Result<BTreeSet<u32>> {
    let mut state = None;
    let mut claimed = BTreeSet::new();
    let mut open = None;
    for line in &detail.history {
        ensure!(line.from == state, "its history jumps from {state:?} to {:?}", line.from);
        state = Some(line.to);
        if line.to == State::Processing {
            let run = line.run.context("a line of its history begins a run and does not say which")?;
            let next = claimed.last().map_or(1, |last| last + 1);
            ensure!(run == next, "run {run} begins where run {next} should");
            claimed.insert(run);
            open = Some(run);
        } else if line.from == Some(State::Processing) {
            ensure!(line.run.is_none() || line.run == open, "run {:?} ends, and run {open:?} was going on", line.run);
            open = None;
        }
    }
    ensure!(state == Some(detail.job.state), "its history ends with {state:?}, and it is {:?}", detail.job.state);
    let last = claimed.last().copied().unwrap_or_default();
    ensure!(last == detail.job.run, "its history ends with run {last}, and it is at run {}", detail.job.run);
    ensure!(detail.job.attempt <= detail.job.max_attempts, "it has had {} attempts", detail.job.attempt);
    Ok(claimed)
}

/// How long a run went on after a later one had begun, without the time during which hosts were suspended.
fn overlap(runs: &BTreeMap<u32, Record>, suspensions: &[Suspension]) -> i64 {
    let mut longest = 0;
    for (run, record) in runs {
        let Some(next_ms) = runs.range(run + 1..).map(|(_, later)| later.first_ms).min() else { continue };
        let suspended = suspensions
            .iter()
            .map(|suspension| (suspension.to_ms.min(record.last_ms) - suspension.from_ms.max(next_ms)).max(0));
        longest = longest.max(record.last_ms - next_ms - suspended.sum::<i64>());
    }
    longest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(first_ms: i64, last_ms: i64) -> Record {
        Record { starts: 1, ends: 0, first_ms, last_ms }
    }

    const AT: &str = "2026-11-23T15:00:00Z";

    /// A job whose history has these steps: from, to, run.
    fn job(state: &str, run: u32, steps: &[(Option<&str>, &str, Option<u32>)]) -> JobDetail {
        let lines =
            steps.iter().map(|(from, to, run)| json!({ "from": from, "to": to, "at": AT, "by": "x", "run": run }));
        serde_json::from_value(json!({
            "job": {
                "id": "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55", "module": "witness", "handler": "wait", "mode": "async",
                "queue": "default", "priority": 5, "state": state, "attempt": 1, "max_attempts": 10, "run": run,
                "created_at": AT,
            },
            "payload": null,
            "retry": { "kind": "fixed", "delay_ms": 1_000 },
            "history": lines.collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    fn ended_well() -> JobDetail {
        let (claim, end) = ((Some("enqueued"), "processing", Some(1)), (Some("processing"), "succeeded", Some(1)));
        job("succeeded", 1, &[(None, "enqueued", None), claim, end])
    }

    fn complaint(detail: &JobDetail, runs: impl IntoIterator<Item = (u32, Record)>) -> String {
        let outcome = check_job(detail, &runs.into_iter().collect(), &Expected::default(), &mut Report::default());
        outcome.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_job_that_ended_well_is_in_order() {
        assert_eq!(complaint(&ended_well(), [(1, Record { ends: 1, ..record(0, 10) })]), "");
    }

    #[test]
    fn a_job_that_succeeded_must_have_come_to_its_end() {
        assert!(complaint(&ended_well(), []).contains("wrote nothing"));
        assert!(complaint(&ended_well(), [(1, record(0, 10))]).contains("did not come to its end"));
    }

    #[test]
    fn a_run_that_nobody_claimed_or_that_began_twice_is_a_fault() {
        let end = Record { ends: 1, ..record(0, 10) };
        assert!(complaint(&ended_well(), [(1, end), (2, end)]).contains("no server took the job"));
        assert!(complaint(&ended_well(), [(1, Record { starts: 2, ..end })]).contains("begun 2 times"));
    }

    #[test]
    fn a_job_that_has_not_ended_is_a_fault() {
        assert!(complaint(&job("enqueued", 0, &[(None, "enqueued", None)]), []).contains("ended as Enqueued"));
    }

    #[test]
    fn a_history_that_jumps_or_ends_elsewhere_is_a_fault() {
        let jumps = job("succeeded", 1, &[(None, "enqueued", None), (Some("processing"), "succeeded", Some(1))]);
        assert!(complaint(&jumps, []).contains("jumps"));
        let elsewhere = job("succeeded", 0, &[(None, "enqueued", None)]);
        assert!(complaint(&elsewhere, []).contains("ends with Some(Enqueued)"));
        let claim = |run| (Some("enqueued"), "processing", Some(run));
        assert!(complaint(&job("processing", 2, &[(None, "enqueued", None), claim(2)]), []).contains("run 1 should"));
    }

    #[test]
    fn runs_one_after_the_other_do_not_overlap() {
        let runs = BTreeMap::from([(1, record(0, 100)), (2, record(100, 200)), (3, record(300, 400))]);
        assert_eq!(overlap(&runs, &[]), 0);
    }

    #[test]
    fn a_run_that_goes_on_beside_any_later_one_overlaps() {
        let runs = BTreeMap::from([(1, record(0, 350)), (2, record(100, 200)), (3, record(300, 400))]);
        assert_eq!(overlap(&runs, &[]), 250);
    }

    #[test]
    fn the_time_of_a_suspension_does_not_count_as_overlap() {
        let runs = BTreeMap::from([(1, record(0, 1_050)), (2, record(500, 900))]);
        assert_eq!(overlap(&runs, &[Suspension { from_ms: 100, to_ms: 1_000 }]), 50);
    }
}
