//! `windlass recurring`: what is enqueued again and again.

mod put;
mod show;

use anyhow::Context as _;
use clap::Subcommand;
use windlass_api::RecurringName;

use super::{Exit, Global, format, output::say};

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  windlass recurring put nightly-report '30 2 * * mon-fri' shop/report --time-zone Europe/Berlin
  windlass recurring put clean-up 'every 15m' files/clean '{\"older_than_days\": 30}' --misfire skip
  windlass recurring list
  windlass recurring pause nightly-report
  windlass recurring trigger nightly-report")]
pub(super) enum Command {
    /// List recurring jobs by name, with their next and last runs.
    List {
        /// How many to list, 1 to 1000.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Where the page before ended, as it said.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show all that is known of a recurring job.
    Show {
        /// Its name.
        name: RecurringName,
    },
    Put(Box<put::Put>),
    /// Remove a recurring job; the jobs that it made stay. One that a module declares is back when a version of the module
    /// is activated or a host starts: pause it instead.
    Remove {
        /// Its name.
        name: RecurringName,
    },
    /// Pass a recurring job over until it is resumed.
    Pause {
        /// Its name.
        name: RecurringName,
    },
    /// Go on with the next instant of a paused recurring job; those that passed meanwhile are left out.
    Resume {
        /// Its name.
        name: RecurringName,
    },
    /// Enqueue the job of a recurring job now, whether it is paused or not; when it is due next does not change.
    Trigger {
        /// Its name.
        name: RecurringName,
    },
}

impl Default for Command {
    fn default() -> Self {
        Self::List { limit: 50, cursor: None }
    }
}

pub(super) async fn run(command: Command, global: &Global) -> anyhow::Result<Exit> {
    let (remote, output) = (global.remote()?, global.output());
    let failed = |verb: &str, name: &RecurringName| format!("failed to {verb} the recurring job {name}");
    match command {
        Command::List { limit, cursor } => {
            let page = remote.recurring_jobs(cursor.as_deref(), limit).await?;
            output.show(&page, |page| show::list(&page.items, format::now()))?;
            if let Some(next) = page.next.filter(|_| !output.is_json()) {
                say(&format!("\nthere are more: add --cursor {next}"));
            }
        }
        Command::Show { name } => {
            let job = remote.recurring(&name).await.with_context(|| failed("show", &name))?;
            output.show(&job, |job| show::one(job, format::now()))?;
        }
        Command::Put(command) => {
            let (name, request) = command.request()?;
            let job = remote.put_recurring(&name, &request).await.with_context(|| failed("put", &name))?;
            output.show(&job, |job| show::one(job, format::now()))?;
        }
        Command::Remove { name } => {
            remote.remove_recurring(&name).await.with_context(|| failed("remove", &name))?;
            output.show(&serde_json::json!({ "name": name, "removed": true }), |_| {
                format!("the recurring job {name} is removed; the jobs that it made stay")
            })?;
        }
        Command::Pause { name } => {
            let job = remote.set_recurring_paused(&name, true).await.with_context(|| failed("pause", &name))?;
            output.show(&job, |job| show::one(job, format::now()))?;
        }
        Command::Resume { name } => {
            let job = remote.set_recurring_paused(&name, false).await.with_context(|| failed("resume", &name))?;
            output.show(&job, |job| show::one(job, format::now()))?;
        }
        Command::Trigger { name } => {
            let enqueued = remote.trigger_recurring(&name).await.with_context(|| failed("trigger", &name))?;
            if enqueued.replaced {
                say(&format!("job {} was there before and waits; it got this payload and time", enqueued.id));
            } else if enqueued.existing {
                say(&format!("job {} was there before; nothing was done", enqueued.id));
            }
            output.show(&enqueued, |enqueued| enqueued.id.to_string())?;
        }
    }
    Ok(Exit::Fine)
}
