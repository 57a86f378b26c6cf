//! `windlass jobs logs`

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use windlass_api::{JobId, LogLine, Page};

use super::super::{Exit, Global, format, output::Output};
use crate::remote::Remote;

/// The most that a host gives at once.
const PAGE: u32 = 1_000;

/// How soon a line is shown after it was written, at the latest.
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(1);

/// Print what a job's runs logged.
#[derive(Args, Debug)]
pub(in super::super) struct Logs {
    /// The job.
    id: JobId,
    /// Go on until the job has ended. With --json, one log line is printed a line.
    #[arg(long, short)]
    follow: bool,
}

pub(super) async fn run(command: Logs, global: &Global) -> anyhow::Result<Exit> {
    let Logs { id, follow } = command;
    let (remote, output) = (global.remote()?, global.output());
    let mut reader = Reader { remote, id, cursor: None };
    if !follow {
        let mut all = Page::new(Vec::new(), None);
        loop {
            let page = reader.page().await?;
            if page.items.is_empty() {
                break;
            }
            all.items.extend(page.items);
        }
        output.show(&all, |all| all.items.iter().map(line).collect())?;
        return Ok(Exit::Fine);
    }
    loop {
        // The end is looked for first: what was written before it is then in the next page.
        let waited = reader.remote.wait(id, LOOKED_FOR_EVERY).await;
        let ended = waited.with_context(|| format!("failed to follow job {id}"))?.job.state.is_final();
        reader.print_new(output).await?;
        if ended {
            return Ok(Exit::Fine);
        }
    }
}

struct Reader {
    remote: Remote,
    id: JobId,
    cursor: Option<String>,
}

impl Reader {
    /// What comes after the page before; empty at the end, for now.
    async fn page(&mut self) -> anyhow::Result<Page<LogLine>> {
        let page = self.remote.logs(self.id, self.cursor.as_deref(), PAGE).await;
        let page = page.with_context(|| format!("failed to read the logs of job {}", self.id))?;
        if let Some(next) = &page.next {
            self.cursor = Some(next.clone());
        } else if !page.items.is_empty() {
            anyhow::bail!("failed to read on in the logs of job {}: the host gave no cursor", self.id);
        }
        Ok(page)
    }

    async fn print_new(&mut self, output: Output) -> anyhow::Result<()> {
        loop {
            let page = self.page().await?;
            if page.items.is_empty() {
                return Ok(());
            }
            for item in &page.items {
                output.show(item, line)?;
            }
        }
    }
}

/// A log line for people.
fn line(item: &LogLine) -> String {
    let fields = item.fields.as_ref().map(|fields| format!(" {}", fields.as_str())).unwrap_or_default();
    let text = format::harmless(&format!("{}{fields}", item.message));
    format!("{} run {} {:5} {text}\n", item.at, item.run, item.level)
}
