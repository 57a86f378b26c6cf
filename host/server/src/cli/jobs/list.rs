//! `windlass jobs list`

use clap::Args;
use windlass_api::{FilteredCount, JobSummary, Page, State, Timestamp};

use super::{
    super::{Exit, Global, format, output::say, table},
    filter::Filter,
};

/// List jobs, the newest first.
///
/// A search for text looks at jobs one by one, and stops after a while to say how far it came.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  windlass jobs list --state failed --from 2h
  windlass jobs list --text invoice-4711 --from 2026-11-01 --before 2026-12-01
  windlass jobs list --queue mail --state enqueued --count")]
pub(in super::super) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Print only how many there are, counted to 100,000.
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    count: bool,
    /// How many to list, 1 to 1000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Where the page before ended, as it said.
    #[arg(long)]
    cursor: Option<String>,
}

pub(super) async fn run(command: List, global: &Global) -> anyhow::Result<Exit> {
    let List { filter, count, limit, cursor } = command;
    let filter = filter.read()?;
    let remote = global.remote()?;
    if count {
        global.output().show(&remote.count(&filter).await?, counted)?;
        return Ok(Exit::Fine);
    }
    let page = remote.list(&filter, cursor.as_deref(), limit).await?;
    global.output().show(&page, |page| list(page, format::now()))?;
    if page.damaged > 0 && !global.json {
        say(&format!(
            "{} left out, since what is kept of it is damaged: `windlass check` tells more",
            if page.damaged == 1 { "1 job is".to_owned() } else { format!("{} jobs are", page.damaged) }
        ));
    }
    if let Some(more) = more(&page).filter(|_| !global.json) {
        say(&format!("\n{more}"));
    }
    Ok(Exit::Fine)
}

/// A number, with a `+` where there may be more.
pub(super) fn counted(count: &FilteredCount) -> String {
    format!("{}{}", format::count(count.count), if count.more { "+" } else { "" })
}

/// What to do to see what is not on the page.
fn more(page: &Page<JobSummary>) -> Option<String> {
    match (&page.next, page.searched_to) {
        (Some(next), Some(searched_to)) => {
            Some(format!("searched back to {searched_to}, which took its time; go on with --cursor {next}"))
        }
        (Some(next), None) => Some(format!("there are more: add --cursor {next}")),
        (None, Some(searched_to)) => Some(format!("searched back to {searched_to}")),
        (None, None) => None,
    }
}

pub(super) async fn counts(global: &Global) -> anyhow::Result<Exit> {
    global.output().show(&global.remote()?.counts().await?, |counts| {
        let rows = State::ALL.iter().map(|&state| vec![state.to_string(), format::count(counts.of(state))]);
        table::table(&["STATE", "JOBS"], &[], &[1], rows)
    })?;
    Ok(Exit::Fine)
}

fn list(page: &Page<JobSummary>, now: Timestamp) -> String {
    if page.items.is_empty() {
        return if page.searched_to.is_some() { "no such jobs so far" } else { "no such jobs" }.to_owned();
    }
    let rows = page.items.iter().map(|job| {
        vec![
            job.id.to_string(),
            format!("{}/{}", job.module, job.handler),
            job.queue.to_string(),
            job.state.to_string(),
            format!("{}/{}", job.attempt, job.max_attempts),
            format::relative(job.created_at, now),
            job.usage.as_ref().map_or_else(|| "-".to_owned(), |usage| format::micros(usage.wall_us)),
            note(job, now),
        ]
    });
    let header = ["ID", "HANDLER", "QUEUE", "STATE", "ATTEMPT", "MADE", "TOOK", "NOTE"];
    table::table(&header, &[0, 3, 4], &[4, 6], rows)
}

/// What matters most about a job in its state.
fn note(job: &JobSummary, now: Timestamp) -> String {
    let failure = || job.failure.as_ref().map(|failure| format!("{}: {}", failure.cause, failure.message));
    let due = job.run_at.map(|run_at| format::relative(run_at, now));
    let text = match job.state {
        State::Processing if job.cancel_requested => "being cancelled".to_owned(),
        State::Processing => job.progress.as_ref().map_or_else(String::new, |progress| {
            format!("{:.0} % {}", progress.percent, progress.note.as_deref().unwrap_or_default())
        }),
        State::Scheduled => {
            let parts = [due, job.reason.clone(), failure()];
            parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
        }
        State::Failed => failure().unwrap_or_default(),
        State::Succeeded => String::new(),
        State::Enqueued if job.held_by.is_some() => {
            job.held_by.as_ref().map_or_else(String::new, |limit| format!("waits for room under the limit on {limit}"))
        }
        State::Awaiting | State::Enqueued | State::Deleted => job.reason.clone().unwrap_or_default(),
    };
    format::one_line(&text, 80)
}

#[cfg(test)]
mod tests {
    use windlass_api::{Cause, Failure, JobId, Mode, QueueName};

    use super::*;

    fn job(state: State) -> JobSummary {
        JobSummary {
            id: "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55".parse::<JobId>().unwrap(),
            module: "images".parse().unwrap(),
            handler: "thumbnail".parse().unwrap(),
            mode: Mode::Sync,
            queue: QueueName::default(),
            priority: 5,
            state,
            reason: None,
            attempt: 1,
            max_attempts: 10,
            run: 1,
            tags: Vec::new(),
            created_at: Timestamp(0),
            run_at: None,
            started_at: None,
            finished_at: None,
            server: None,
            version: None,
            cancel_requested: false,
            held_by: None,
            progress: None,
            usage: None,
            failure: None,
        }
    }

    #[test]
    fn a_list_shows_what_matters_in_each_state() {
        let failure = |message: &str| {
            let message = message.to_owned();
            Some(Failure { cause: Cause::Handler, code: None, message, details: None, backtrace: None })
        };
        let retried = JobSummary {
            reason: Some("retry".to_owned()),
            run_at: Some(Timestamp(95_000)),
            failure: failure("no such picture"),
            ..job(State::Scheduled)
        };
        let failed = JobSummary { failure: failure("line\u{1b}[31m\nbreak"), ..job(State::Failed) };
        let page = Page::new(vec![retried, failed, job(State::Succeeded)], None);
        insta::assert_snapshot!(list(&page, Timestamp(65_000)), @r#"
    ID                                    HANDLER           QUEUE    STATE      ATTEMPT  MADE           TOOK  NOTE
    0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55  images/thumbnail  default  scheduled     1/10  1 min 5 s ago     -  in 30 s, retry, handler: no such picture
    0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55  images/thumbnail  default  failed        1/10  1 min 5 s ago     -  handler: line\u{1b}[31m break
    0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55  images/thumbnail  default  succeeded     1/10  1 min 5 s ago     -
    "#);
    }

    #[test]
    fn a_search_that_was_cut_short_says_how_far_it_came() {
        let page = |next: Option<&str>, searched_to| Page {
            items: Vec::new(),
            next: next.map(str::to_owned),
            searched_to,
            damaged: 0,
        };
        let at = Some(Timestamp(0));
        assert_eq!(
            more(&page(Some("c"), at)).unwrap(),
            "searched back to 1970-01-01T00:00:00.000Z, which took its time; go on with --cursor c"
        );
        assert_eq!(more(&page(Some("c"), None)).unwrap(), "there are more: add --cursor c");
        assert_eq!(more(&page(None, None)), None);
        assert_eq!(list(&page(Some("c"), at), Timestamp(0)), "no such jobs so far");
        assert_eq!(counted(&FilteredCount { count: 100_000, more: true }), "100,000+");
    }
}
