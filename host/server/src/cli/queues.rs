//! `windlass queues`: what waits where.

use anyhow::Context as _;
use clap::Subcommand;
use windlass_api::{QueueName, QueueView};

use super::{Exit, Global, format, table};

#[derive(Debug, Default, Subcommand)]
pub(super) enum Command {
    /// List the queues that hold jobs or are paused.
    #[default]
    List,
    /// Take no more jobs from a queue; those that run go on.
    Pause {
        /// The queue.
        name: QueueName,
    },
    /// Take jobs from a paused queue again.
    Resume {
        /// The queue.
        name: QueueName,
    },
}

pub(super) async fn run(command: Command, global: &Global) -> anyhow::Result<Exit> {
    let remote = global.remote()?;
    let (name, paused) = match command {
        Command::List => {
            global.output().show(&remote.queues().await?, |queues| list(queues))?;
            return Ok(Exit::Fine);
        }
        Command::Pause { name } => (name, true),
        Command::Resume { name } => (name, false),
    };
    let verb = if paused { "pause" } else { "resume" };
    let queue = remote.set_paused(&name, paused).await.with_context(|| format!("failed to {verb} queue {name}"))?;
    global.output().show(&queue, |queue| list(std::slice::from_ref(queue)))?;
    Ok(Exit::Fine)
}

fn list(queues: &[QueueView]) -> String {
    if queues.is_empty() {
        return "no queue holds a job".to_owned();
    }
    let now = format::now();
    let rows = queues.iter().map(|queue| {
        vec![
            queue.name.to_string(),
            if queue.paused { "paused" } else { "open" }.to_owned(),
            format::count(queue.enqueued),
            format::count(queue.processing),
            queue.oldest_at.map_or_else(|| "-".to_owned(), |oldest_at| format::span(now.ms_since(oldest_at))),
        ]
    });
    table::table(&["QUEUE", "STATE", "ENQUEUED", "PROCESSING", "LONGEST WAIT"], &[0], &[2, 3], rows)
}
