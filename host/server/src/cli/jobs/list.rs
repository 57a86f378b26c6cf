//! `windlass jobs list`

use clap::Args;
use windlass_api::{HandlerName, HandlerPath, JobFilter, JobSummary, ModuleName, Page, QueueName, State, Timestamp};

use super::super::{Exit, Global, format, output::say, table};

/// List jobs, the newest first.
#[derive(Args, Debug)]
pub(in super::super) struct List {
    /// Those in this state: scheduled, awaiting, enqueued, processing, succeeded, failed or deleted.
    #[arg(long)]
    state: Option<State>,
    /// Those in this queue.
    #[arg(long)]
    queue: Option<QueueName>,
    /// Those of this module.
    #[arg(long)]
    module: Option<ModuleName>,
    /// Those of this handler: HANDLER or MODULE/HANDLER.
    #[arg(long, value_parser = handler)]
    handler: Option<(Option<ModuleName>, HandlerName)>,
    /// Those with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// How many to list, 1 to 1000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Where the page before ended, as it said.
    #[arg(long)]
    cursor: Option<String>,
}

pub(super) async fn run(command: List, global: &Global) -> anyhow::Result<Exit> {
    let List { state, queue, module, handler, tag, limit, cursor } = command;
    let (of_handler, handler) = handler.unzip();
    let filter = JobFilter { state, queue, module: module.or(of_handler.flatten()), handler, tag };
    let page = global.remote()?.jobs(&filter, cursor.as_deref(), limit).await?;
    global.output().show(&page, |page| list(page, format::now()))?;
    if let Some(next) = page.next.as_ref().filter(|_| !global.json) {
        say(&format!("\nthere are more: add --cursor {next}"));
    }
    Ok(Exit::Fine)
}

pub(super) async fn counts(global: &Global) -> anyhow::Result<Exit> {
    global.output().show(&global.remote()?.counts().await?, |counts| {
        let rows = State::ALL.iter().map(|&state| vec![state.to_string(), format::count(counts.of(state))]);
        table::table(&["STATE", "JOBS"], &[], &[1], rows)
    })?;
    Ok(Exit::Fine)
}

fn handler(text: &str) -> Result<(Option<ModuleName>, HandlerName), String> {
    if text.contains('/') {
        let path: HandlerPath = text.parse().map_err(|error| format!("{error}"))?;
        return Ok((Some(path.module), path.handler));
    }
    text.parse().map(|handler| (None, handler)).map_err(|error| format!("{error}"))
}

fn list(page: &Page<JobSummary>, now: Timestamp) -> String {
    if page.items.is_empty() {
        return "no such jobs".to_owned();
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
        State::Awaiting | State::Enqueued | State::Deleted => job.reason.clone().unwrap_or_default(),
    };
    format::one_line(&text, 80)
}

#[cfg(test)]
mod tests {
    use windlass_api::{Cause, Failure, JobId, Mode};

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
    fn a_handler_may_be_given_with_its_module() {
        assert_eq!(handler("thumbnail").unwrap().0, None);
        assert_eq!(handler("images/thumbnail").unwrap().0.unwrap().as_str(), "images");
        assert!(handler("a/b/c").is_err());
    }
}
