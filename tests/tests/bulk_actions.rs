//! Commands on many jobs: all that pass a filter, or those of some ids.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use windlass_api::{BulkAction, BulkState, CommandReply, Counts, Problem, SkipReason, State};
use windlass_tests::{Host, Job, Site, guest, windlass};

/// Jobs that wait for an hour, so that nothing happens to them by itself.
fn with_waiting_jobs<'a>(site: &'a Site, count: usize) -> Result<Host<'a>> {
    let host = site.start(&[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let request = json!({
        "handler": "mixed/add", "payload": { "a": 1, "b": 2 }, "delay_ms": 3_600_000, "tags": ["old"],
    });
    host.enqueue_all((0..count).map(|_| request.clone()))?;
    Ok(host)
}

fn counts(host: &Host<'_>) -> Result<Counts> {
    host.json(&["jobs", "counts"])
}

#[test]
fn all_jobs_that_a_filter_names_are_deleted_and_then_requeued() -> Result<()> {
    let site = Site::new()?;
    let host = with_waiting_jobs(&site, 350)?;
    let kept = host.enqueue("mixed/add", &json!({ "a": 1, "b": 2 }), &["--delay", "1h"])?;

    let told = host.windlass(&["jobs", "delete", "--tag", "old"])?;
    told.complains_of(&["350 jobs pass the filter", "nothing was done", "--yes"])?;
    ensure!(counts(&host)?.of(State::Deleted) == 0, "it was done without --yes");

    let deleted: BulkAction = host.json(&["jobs", "delete", "--tag", "old", "--yes"])?;
    ensure!(deleted.state == BulkState::Finished && deleted.done == 350 && deleted.failed == 0, "{deleted:?}");
    ensure!(deleted.matched.is_some_and(|matched| matched.count == 350), "{deleted:?}");
    ensure!(counts(&host)?.of(State::Deleted) == 350, "{:?}", counts(&host)?);
    ensure!(host.show(kept)?.job.state == State::Scheduled, "one was deleted that the filter does not name");

    let some: BulkAction = host.json(&["jobs", "requeue", "--state", "deleted", "--limit", "50", "--yes"])?;
    ensure!(some.done == 50 && some.limit_reached, "{some:?}");
    let rest: BulkAction = host.json(&["jobs", "requeue", "--state", "deleted", "--yes"])?;
    ensure!(rest.done == 300 && !rest.limit_reached, "{rest:?}");
    let again: BulkAction = host.json(&["jobs", "requeue", "--state", "deleted", "--yes"])?;
    ensure!(again.looked_at == 0, "{again:?}");
    host.until("all requeued jobs have run", || Ok((counts(&host)?.of(State::Succeeded) == 350).then_some(())))
}

#[test]
fn a_dry_run_tells_what_would_be_done() -> Result<()> {
    let site = Site::new()?;
    let host = with_waiting_jobs(&site, 20)?;
    let done = host.enqueue("mixed/add", &json!({ "a": 1, "b": 2 }), &["--tag", "old"])?;
    host.wait(done)?;
    let request = json!({ "action": "cancel", "filter": { "tag": "old" }, "dry_run": true }).to_string();
    let answer = host.ask("POST", "/api/v1/jobs/bulk-actions", &[], &request)?;
    ensure!(answer.status == 202, "{answer:?}");
    let begun: BulkAction = answer.json()?;
    let path = format!("/api/v1/bulk-actions/{}", begun.id);
    let ended = host.until("the dry run has ended", || {
        let action: BulkAction = host.ask("GET", &path, &[], "")?.json()?;
        Ok(action.state.is_final().then_some(action))
    })?;
    ensure!(ended.done == 20 && ended.looked_at == 20 && ended.skipped.is_empty(), "{ended:?}");
    ensure!(counts(&host)?.of(State::Scheduled) == 20, "{:?}", counts(&host)?);
    let all: Vec<BulkAction> = host.ask("GET", "/api/v1/bulk-actions", &[], "")?.json()?;
    ensure!(all == [ended], "{all:?}");
    Ok(())
}

#[test]
fn one_that_is_stopped_leaves_the_rest_and_no_more_than_four_go_on() -> Result<()> {
    let site = Site::new()?;
    let host = with_waiting_jobs(&site, 3_000)?;
    let start = || {
        let request = json!({ "action": "delete", "filter": { "tag": "old" } }).to_string();
        host.ask("POST", "/api/v1/jobs/bulk-actions", &[], &request)
    };
    let (mut begun, mut refused) = (Vec::new(), 0);
    for _ in 0..5 {
        let answer = start()?;
        match answer.status {
            202 => begun.push(answer.json::<BulkAction>()?),
            _ => {
                let problem: Problem = answer.json()?;
                ensure!(problem.status == 503 && problem.detail.contains("bulk actions"), "{problem:?}");
                refused += 1;
            }
        }
    }
    ensure!(refused == 1 && begun.len() == 4, "{refused} of 5 were refused, and 3,000 deletions take their time");
    for action in &begun {
        host.ask("DELETE", &format!("/api/v1/bulk-actions/{}", action.id), &[], "")?;
    }
    host.until("all have stopped", || {
        let all: Vec<BulkAction> = host.ask("GET", "/api/v1/bulk-actions", &[], "")?.json()?;
        Ok(all.iter().all(|action| action.state.is_final()).then_some(()))
    })?;
    ensure!(counts(&host)?.of(State::Scheduled) > 0, "nothing was left: {:?}", counts(&host)?);
    // The filter matches what is left.
    let rest: BulkAction = host.json(&["jobs", "delete", "--tag", "old", "--state", "scheduled", "--yes"])?;
    ensure!(rest.state == BulkState::Finished && counts(&host)?.of(State::Scheduled) == 0, "{rest:?}");
    Ok(())
}

/// What a command wrote, line by line.
fn lines<T: serde::de::DeserializeOwned>(text: &str) -> Result<Vec<T>> {
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

const NOBODY: &str = "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55";

#[test]
fn a_few_named_jobs_are_commanded_each_with_a_line() -> Result<()> {
    let site = Site::new()?;
    let host = with_waiting_jobs(&site, 3)?;
    let ids: Vec<_> = host.all_jobs()?.iter().map(|job| job.id.to_string()).collect();
    let command = |verb: &str, ids: &[&str]| host.windlass(&[&["jobs", verb], ids].concat());

    let cancelled = command("cancel", &[&ids[0], NOBODY, &ids[1]])?;
    cancelled.complains_of(&[NOBODY, "failed to cancel"])?;
    let replies: Vec<CommandReply> = lines(&cancelled.stdout)?;
    ensure!(replies.iter().all(|reply| reply.state == State::Deleted) && replies.len() == 2, "{replies:?}");

    let retried = command("retry", &[&ids[0], &ids[1], "--expected-state", "deleted"])?;
    let replies: Vec<CommandReply> = lines(&retried.stdout)?;
    ensure!(retried.status.success() && replies.len() == 2, "{retried:?}");
    host.until("the two have run", || Ok((counts(&host)?.of(State::Succeeded) == 2).then_some(())))?;
    ensure!(counts(&host)?.of(State::Scheduled) == 1, "{:?}", counts(&host)?);
    Ok(())
}

#[test]
fn many_named_jobs_are_commanded_by_the_host_in_lots() -> Result<()> {
    let site = Site::new()?;
    let host = with_waiting_jobs(&site, 1_250)?;
    let mut ids: Vec<_> = host.all_jobs()?.iter().map(|job| job.id.to_string()).collect();
    ensure!(ids.len() == 1_250, "{} are listed", ids.len());
    let kept = ids.pop().context("there is one")?;
    // One is named twice, and one is nobody's.
    let text = format!("{}\n\n{}\n{NOBODY}\n", ids.join("\n"), ids[0]);
    let file = site.write("ids.txt", &text)?.to_string_lossy().into_owned();

    let deleted = host.windlass(&["jobs", "delete", "--ids-from", &file])?;
    let lots: Vec<BulkAction> = lines(&deleted.stdout)?;
    ensure!(deleted.status.success(), "{deleted:?}");
    ensure!(lots.iter().map(|lot| lot.named).collect::<Vec<_>>() == [Some(1_000), Some(250)], "{lots:?}");
    ensure!(lots.iter().map(|lot| lot.done).sum::<u64>() == 1_249, "{lots:?}");
    ensure!(lots[1].skipped == [(SkipReason::Gone, 1)].into(), "{lots:?}");
    ensure!(host.show(Job(kept.parse()?))?.job.state == State::Scheduled, "one was deleted that nobody named");

    // The same from standard input, and only those that are in a state; for people it comes to one line.
    let url = format!("http://{}", host.address());
    let verb = ["jobs", "requeue", "--ids-from", "-", "--expected-state", "deleted", "--url", &url];
    let told = windlass_tests::run(&verb, &format!("{text}{kept}\n"))?;
    ensure!(told.status.success(), "{told:?}");
    ensure!(told.stdout.starts_with("1,249 jobs requeued; 1 left alone since they changed their state"), "{told:?}");
    ensure!(told.stdout.trim_end().ends_with("; 1 not there"), "{told:?}");
    host.until("all of them have run", || Ok((counts(&host)?.of(State::Succeeded) == 1_249).then_some(())))?;

    let bad = site.write("bad.txt", format!("{kept}\nthe second\n"))?.to_string_lossy().into_owned();
    host.windlass(&["jobs", "delete", "--ids-from", &bad])?.complains_of(&[
        "line 2",
        "bad.txt",
        "the second",
        "uuid",
    ])?;
    host.windlass(&["jobs", "delete", "--ids-from", "not-there.txt"])?.complains_of(&["not-there.txt"])?;
    host.windlass(&["jobs", "delete", "--ids-from", &bad, "--tag", "old"])?.complains_of(&["not both"])
}

#[test]
fn whoever_sits_at_a_terminal_is_asked() -> Result<()> {
    let site = Site::new()?;
    let host = with_waiting_jobs(&site, 5)?;
    let answered = |answer: &str| -> Result<(bool, String)> {
        let command = format!("{} jobs delete --tag old --url http://{}", windlass()?.display(), host.address());
        // Gives the command a terminal of its own, and types what it is given.
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
        let mut script =
            script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("failed to start `script`")?;
        script.stdin.take().context("it has one")?.write_all(answer.as_bytes())?;
        let output = script.wait_with_output()?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    };
    let (is_done, said) = answered("no\n")?;
    ensure!(!is_done && said.contains("5 jobs pass the filter") && said.contains("[y/N]"), "{said}");
    ensure!(said.contains("nothing was done") && counts(&host)?.of(State::Scheduled) == 5, "{said}");
    let (is_done, said) = answered("yes\n")?;
    ensure!(is_done && said.contains("5 jobs deleted") && counts(&host)?.of(State::Deleted) == 5, "{said}");
    Ok(())
}

#[test]
fn what_is_not_clear_is_refused() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.windlass(&["jobs", "delete"])?.complains_of(&["ids", "--state"])?;
    host.windlass(&["jobs", "delete", "--yes"])?.complains_of(&["ids", "--state"])?;
    let id = "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55";
    host.windlass(&["jobs", "cancel", id, "--tag", "a"])?.complains_of(&["not both"])?;
    host.windlass(&["jobs", "cancel", id, "--yes"])?.complains_of(&["--yes"])?;
    let refused = |request: Value, word: &str| -> Result<()> {
        let answer = host.ask("POST", "/api/v1/jobs/bulk-actions", &[], &request.to_string())?;
        ensure!(matches!(answer.status, 400 | 422) && answer.body.contains(word), "{request}: {answer:?}");
        Ok(())
    };
    refused(json!({ "action": "delete", "filter": {} }), "every job")?;
    refused(json!({ "action": "delete", "filter": { "colour": "red" } }), "colour")?;
    refused(json!({ "action": "burn", "filter": { "tag": "a" } }), "burn")?;
    refused(json!({ "action": "delete", "filter": { "tag": "a" }, "limit": 100_001 }), "100000")?;
    refused(json!({ "action": "delete", "filter": { "tag": "a" }, "fresh": true }), "requeue")?;
    let answer = host.ask("GET", &format!("/api/v1/bulk-actions/{id}"), &[], "")?;
    ensure!(answer.status == 404 && answer.body.contains("another host"), "{answer:?}");
    Ok(())
}
