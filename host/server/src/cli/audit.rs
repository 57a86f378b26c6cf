//! `windlass audit`: who did what.

use clap::Args;
use windlass_api::{AuditEntry, Page};

use super::{Exit, Global, format, table};

/// Tell who changed what through the API, the last first: deploys, commands on jobs, pauses and all else, also what was refused.
#[derive(Args, Debug)]
pub(super) struct Audit {
    /// How many entries at most, 1 to 1,000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// Go on where an earlier answer ended.
    #[arg(long)]
    cursor: Option<String>,
}

pub(super) async fn run(command: Audit, global: &Global) -> anyhow::Result<Exit> {
    let page = global.remote()?.audit(command.cursor.as_deref(), command.limit).await?;
    global.output().show(&page, list)?;
    Ok(Exit::Fine)
}

fn list(page: &Page<AuditEntry>) -> String {
    if page.items.is_empty() {
        return "nobody has changed anything".to_owned();
    }
    let now = format::now();
    let rows = page.items.iter().map(|entry| {
        vec![
            format::relative(entry.at, now),
            format::one_line(&entry.by, 40),
            entry.role.map(|role| role.to_string()).unwrap_or_default(),
            entry.status.to_string(),
            format::one_line(&entry.action, 60),
            format::one_line(entry.target.as_deref().unwrap_or_default(), 60),
            format::one_line(entry.from.as_deref().unwrap_or_default(), 45),
        ]
    });
    let list = table::table(&["WHEN", "WHO", "ROLE", "ANSWER", "WHAT", "ON", "FROM"], &[], &[3], rows);
    match &page.next {
        Some(next) => format!("{list}\n\nthere are more: --cursor {next}"),
        None => list,
    }
}
