//! `windlass queues`: what waits where.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use windlass_api::{LimitTarget, QueueName, QueueView, Rate};

use super::{Exit, Global, format, limits, output::say, table};
use crate::remote::Remote;

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
    /// Limit how many jobs of a queue run at once, or start in a span of time; `windlass limits` does so for handlers and keys.
    Limit {
        /// The queue.
        name: QueueName,
        #[command(flatten)]
        allowed: Allowed,
    },
}

/// A limit, or none.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(super) struct Allowed {
    /// How many jobs may run at once, 1 to 1000000.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = limits::concurrency())]
    concurrency: Option<u32>,
    /// How many jobs may start in a span of time, such as 100/1m: 1 to 1000000, in 1s to 31d.
    #[arg(long, value_name = "N/SPAN", allow_hyphen_values = true, value_parser = limits::rate)]
    rate: Option<Rate>,
    /// Remove the limit.
    #[arg(long, conflicts_with_all = ["concurrency", "rate"])]
    none: bool,
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
        Command::Limit { name, allowed: Allowed { concurrency, rate, none } } => {
            let target = LimitTarget::Queue(name);
            if none {
                limits::remove(&remote, &target).await?;
            } else {
                limits::put(&remote, &target, limits::Rule { concurrency, rate }, global).await?;
            }
            return Ok(Exit::Fine);
        }
    };
    if paused && let Some(warning) = unknown(&remote, &name).await? {
        say(&warning);
    }
    let verb = if paused { "pause" } else { "resume" };
    let queue = remote.set_paused(&name, paused).await.with_context(|| format!("failed to {verb} queue {name}"))?;
    global.output().show(&queue, |queue| list(std::slice::from_ref(queue)))?;
    Ok(Exit::Fine)
}

/// What to tell about a queue that nothing is known of: its name may be a slip. It is paused all the same, since its first
/// job may yet come.
pub(super) async fn unknown(remote: &Remote, name: &QueueName) -> anyhow::Result<Option<String>> {
    let queues = remote.queues().await?.into_iter().map(|queue| queue.name);
    let modules = remote.modules().await?;
    let handlers = modules.into_iter().flat_map(|module| module.versions).flat_map(|version| version.handlers);
    let servers = remote.servers().await?.into_iter().flat_map(|server| server.queues);
    let known = queues.chain(handlers.filter_map(|handler| handler.queue)).chain(servers).chain([QueueName::default()]);
    Ok(warning(name, &known.collect::<Vec<_>>()))
}

fn warning(name: &QueueName, known: &[QueueName]) -> Option<String> {
    if known.contains(name) {
        return None;
    }
    let rated = known.iter().map(|known| (strsim::jaro_winkler(name.as_str(), known.as_str()), known));
    let best = rated.max_by(|(left, _), (right, _)| left.total_cmp(right)).filter(|(likeness, _)| *likeness >= 0.8);
    let meant = best.map_or_else(String::new, |(_, meant)| format!(": did you mean `{meant}`?"));
    Some(format!("warning: no job, handler or server knows a queue `{name}` yet{meant}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_nobody_knows_may_be_a_slip() {
        let queue = |name: &str| name.parse::<QueueName>().unwrap();
        let known = [queue("default"), queue("images")];
        assert_eq!(warning(&queue("images"), &known), None);
        assert_eq!(
            warning(&queue("image"), &known).unwrap(),
            "warning: no job, handler or server knows a queue `image` yet: did you mean `images`?"
        );
        assert_eq!(warning(&queue("zz"), &known).unwrap(), "warning: no job, handler or server knows a queue `zz` yet");
    }
}
