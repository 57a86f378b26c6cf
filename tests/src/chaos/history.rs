//! What the hosts say of a job: whether its history is whole, and what it tells of each run.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use windlass_api::{Cause, HistoryLine, JobDetail, State};

/// Who takes runs away.
const SWEEPER: &str = "sweeper";

/// What a job's history tells of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The server that took the job for it, as the history names it.
    pub(super) server: String,
    /// When the server took it.
    pub(super) began_ms: i64,
    /// How it ended; absent while it goes on.
    pub(super) end: Option<End>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) at_ms: i64,
    /// The job's state afterwards.
    pub(super) to: State,
    pub(super) reason: Option<String>,
    /// Whether it was taken away, since its server was lost.
    pub(super) lost: bool,
}

/// Checks that each line goes on where the one before ended, that runs are counted one by one and each ended by the server
/// that began it or by the sweeper, that times rise, and that the last line is the job's state. Gives the runs.
pub(super) fn read(detail: &JobDetail, clocks_set: bool) -> Result<BTreeMap<u32, Told>> {
    let mut state: Option<State> = None;
    let mut at = None;
    let mut runs: BTreeMap<u32, Told> = BTreeMap::new();
    for line in &detail.history {
        ensure!(line.from == state, "its history jumps from {state:?} to {:?}", line.from);
        ensure!(!state.is_some_and(State::is_final), "its history goes on after its end, to {:?}", line.to);
        ensure!(clocks_set || at <= Some(line.at), "its history goes back in time, to {}", line.at);
        (state, at) = (Some(line.to), Some(line.at));
        if line.to == State::Processing {
            let run = line.run.context("a line of its history begins a run and does not say which")?;
            let next = runs.last_key_value().map_or(1, |(last, _)| last + 1);
            ensure!(run == next, "run {run} begins where run {next} should");
            ensure!(line.by.starts_with("server "), "run {run} was begun by `{}`, which is no server", line.by);
            runs.insert(run, Told { server: line.by.clone(), began_ms: line.at.0, end: None });
        } else if line.from == Some(State::Processing) {
            let (run, told) = runs.last_key_value().context("a run ends that never began")?;
            ensure!(line.run == Some(*run), "run {:?} ends, and run {run} was going on", line.run);
            let lost = is_loss(line);
            let by = if lost { SWEEPER } else { &told.server };
            ensure!(line.by == by, "run {run} was ended by `{}` instead of `{by}`", line.by);
            let end = End { at_ms: line.at.0, to: line.to, reason: line.reason.clone(), lost };
            if let Some(mut last) = runs.last_entry() {
                last.get_mut().end = Some(end);
            }
        }
    }
    ensure!(state == Some(detail.job.state), "its history ends with {state:?}, and it is {:?}", detail.job.state);
    let last = runs.keys().last().copied().unwrap_or_default();
    ensure!(last == detail.job.run, "its history ends with run {last}, and it is at run {}", detail.job.run);
    ensure!(detail.job.attempt <= detail.job.max_attempts, "it has had {} attempts", detail.job.attempt);
    Ok(runs)
}

/// Whether a line says that a run's server was lost.
fn is_loss(line: &HistoryLine) -> bool {
    let lost = |cause| line.failure.as_ref().is_some_and(|failure| failure.cause == cause);
    line.reason.as_deref() == Some("server-lost") || lost(Cause::ServerLost) || lost(Cause::Poison)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A line: from, to, by, run, second.
    type Step = (Option<&'static str>, &'static str, &'static str, Option<u32>, u32);

    const MADE: Step = (None, "enqueued", "client", None, 1);
    const BEGUN: Step = (Some("enqueued"), "processing", "server a", Some(1), 2);

    fn complaint(state: &str, run: u32, steps: &[Step]) -> String {
        let lines = steps.iter().map(|(from, to, by, run, second)| {
            json!({ "from": from, "to": to, "at": format!("2026-11-23T15:00:0{second}Z"), "by": by, "run": run })
        });
        let detail: JobDetail = serde_json::from_value(json!({
            "job": {
                "id": "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55", "module": "witness", "handler": "wait", "mode": "async",
                "queue": "default", "priority": 5, "state": state, "attempt": 1, "max_attempts": 10, "run": run,
                "created_at": "2026-11-23T15:00:00Z",
            },
            "payload": null,
            "retry": { "kind": "fixed", "delay_ms": 1_000 },
            "history": lines.collect::<Vec<_>>(),
        }))
        .unwrap();
        read(&detail, false).err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn ended(by: &'static str, run: u32, second: u32) -> Step {
        (Some("processing"), "succeeded", by, Some(run), second)
    }

    #[test]
    fn a_history_without_gaps_is_whole() {
        assert_eq!(complaint("succeeded", 1, &[MADE, BEGUN, ended("server a", 1, 3)]), "");
    }

    #[test]
    fn a_history_that_jumps_goes_on_or_ends_elsewhere_is_a_fault() {
        assert!(complaint("succeeded", 1, &[MADE, ended("server a", 1, 3)]).contains("jumps"));
        assert!(complaint("succeeded", 0, &[MADE]).contains("ends with Some(Enqueued)"));
        let again = (Some("succeeded"), "enqueued", "client", None, 4);
        assert!(complaint("enqueued", 1, &[MADE, BEGUN, ended("server a", 1, 3), again]).contains("after its end"));
    }

    #[test]
    fn runs_are_counted_one_by_one_and_end_as_themselves() {
        let second = (Some("enqueued"), "processing", "server a", Some(2), 2);
        assert!(complaint("processing", 2, &[MADE, second]).contains("run 1 should"));
        assert!(complaint("succeeded", 1, &[MADE, BEGUN, ended("server a", 2, 3)]).contains("run 1 was going on"));
    }

    #[test]
    fn a_run_ends_by_its_own_server() {
        assert!(complaint("succeeded", 1, &[MADE, BEGUN, ended("server b", 1, 3)]).contains("ended by `server b`"));
        assert!(complaint("succeeded", 1, &[MADE, BEGUN, ended("sweeper", 1, 3)]).contains("ended by `sweeper`"));
    }

    #[test]
    fn times_rise() {
        assert!(complaint("succeeded", 1, &[MADE, BEGUN, ended("server a", 1, 1)]).contains("back in time"));
    }
}
