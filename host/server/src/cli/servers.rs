//! `windlass servers`: who takes jobs.

use windlass_api::{ServerView, SlotUse};

use super::{Exit, Global, format, table};

pub(super) async fn run(global: &Global) -> anyhow::Result<Exit> {
    global.output().show(&global.remote()?.servers().await?, |servers| list(servers))?;
    Ok(Exit::Fine)
}

fn list(servers: &[ServerView]) -> String {
    if servers.is_empty() {
        return "no server takes jobs: start one with `windlass serve`".to_owned();
    }
    let now = format::now();
    let slots = |slots: SlotUse| format!("{}/{}", slots.busy, slots.total);
    let rows = servers.iter().map(|server| {
        let queues: Vec<_> = server.queues.iter().map(ToString::to_string).collect();
        vec![
            server.id.to_string(),
            format!("{}:{}", format::one_line(&server.host, 40), server.pid),
            format::one_line(&server.version, 20),
            if queues.is_empty() { "all".to_owned() } else { queues.join(",") },
            slots(server.sync_slots),
            slots(server.async_slots),
            server.memory_bytes.map_or_else(|| "-".to_owned(), format::size),
            format::relative(server.started_at, now),
            format::relative(server.heartbeat_at, now),
        ]
    });
    let header = ["SERVER", "HOST", "VERSION", "QUEUES", "SYNC", "ASYNC", "MEMORY", "STARTED", "HEARD OF"];
    table::table(&header, &[0], &[4, 5, 6], rows)
}
