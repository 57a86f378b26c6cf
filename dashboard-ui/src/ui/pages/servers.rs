//! Servers: who takes jobs, and how busy they are.

use leptos::prelude::*;
use windlass_api::ServerView;

use super::Head;
use crate::{
    format::{bytes, span},
    ui::{
        parts::{Empty, Failed, Instant, Loading, Meter, Name, Stale},
        shared::Shared,
    },
};

/// From when on a server that was not heard of is marked, in milliseconds.
const SILENT_MS: u64 = 15_000;

#[component]
pub(in crate::ui) fn Servers() -> impl IntoView {
    let shared = Shared::of_page();
    let body = move || {
        shared.servers.with(|servers| match (&servers.value, &servers.trouble) {
            (Some(servers), _) if servers.is_empty() => view! {
                <Empty title="No server takes jobs">
                    <p>"Jobs are kept until one does. Start one with " <code>"windlass serve"</code> "."</p>
                </Empty>
            }
            .into_any(),
            (Some(servers), _) => table(servers).into_any(),
            (None, Some(trouble)) => view! { <Failed what="servers" trouble=trouble.clone() /> }.into_any(),
            (None, None) => view! { <Loading what="servers" /> }.into_any(),
        })
    };
    view! {
        <Head title="Servers" />
        <Stale trouble=Signal::derive(move || shared.servers.with(|servers| servers.value.is_some().then(|| servers.trouble.clone()).flatten())) />
        {body}
    }
}

fn table(servers: &[ServerView]) -> impl IntoView + use<> {
    let rows = servers.iter().map(|server| {
        let now = Shared::of_page().now;
        let (started, heartbeat) = (server.started_at, server.heartbeat_at);
        let is_silent = move || now.get().ms_since(heartbeat) > SILENT_MS;
        let queues = match server.queues.as_slice() {
            [] => "all".to_owned(),
            some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        view! {
            <tr>
                <th scope="row">
                    <Name text=server.host.clone() />
                    <div class="quiet">{format!("process {}", server.pid)}</div>
                </th>
                <td data-label="Sync slots"><Meter label="Sync slots in use" used=server.sync_slots.busy total=server.sync_slots.total /></td>
                <td data-label="Async slots"><Meter label="Async slots in use" used=server.async_slots.busy total=server.async_slots.total /></td>
                <td data-label="Memory" class="number">{server.memory_bytes.map(bytes)}</td>
                <td data-label="Queues"><Name text=queues /></td>
                <td data-label="Version"><Name text=server.version.clone() /></td>
                <td data-label="Up" class="number" title=format!("since {started}")>{move || span(now.get().ms_since(started) / 60_000 * 60_000)}</td>
                <td data-label="Heartbeat" class="number" class:bad=is_silent><Instant at=heartbeat /></td>
                <td data-label="Id" class="mono quiet">{server.id.to_string()}</td>
            </tr>
        }
    });
    view! {
        <div class="card flush">
            <table class="table">
                <thead>
                    <tr><th>"Server"</th><th>"Sync slots"</th><th>"Async slots"</th><th class="number">"Memory"</th><th>"Queues"</th><th>"Version"</th><th class="number">"Up"</th><th class="number">"Heartbeat"</th><th>"Id"</th></tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
}
