//! Who did what through the API, or was kept from doing it.

use leptos::prelude::*;
use leptos_router::hooks::use_location;
use windlass_api::{AuditEntry, Page};

use super::Head;
use crate::{
    format::{clip, visible},
    model::{Loaded, news::Topic},
    query,
    ui::{
        parts::{Empty, Failed, Instant, Loading, Name, Stale},
        shared::{Rounds, Shared},
    },
};

/// How many are shown at once.
const SHOWN: usize = 100;

/// How often they are looked at, in seconds: no event tells of them.
const LOOK: u32 = 5;

#[component]
pub(in crate::ui) fn Audit() -> impl IntoView {
    let shared = Shared::of_page();
    let search = use_location().search;
    let cursor = Memo::new(move |_| {
        let pairs = search.with(|search| query::read(search));
        pairs.into_iter().find(|(key, _)| key == "cursor").map(|(_, cursor)| cursor)
    });
    let listed = RwSignal::new(Loaded::<Page<AuditEntry>>::default());
    Effect::new(move |_| {
        cursor.track();
        listed.set(Loaded::default());
        shared.look();
    });
    let rounds = Rounds::new();
    shared.follow(&[Topic::Second], move || async move {
        let is_known = listed.try_with_untracked(|listed| !listed.is_loading());
        if !rounds.is_turn(LOOK) && is_known == Some(true) {
            return;
        }
        let Some(asked) = cursor.try_get_untracked() else { return };
        let answer = shared.api().audit(asked.as_deref(), SHOWN).await;
        if cursor.try_get_untracked() == Some(asked) && listed.with_untracked(|listed| listed.differs(&answer)) {
            listed.try_update(|listed| listed.take(answer));
        }
    });
    let body = move || {
        listed.with(|listed| match (&listed.value, &listed.trouble) {
            (Some(page), _) if page.items.is_empty() => view! {
                <Empty title="Nothing was done yet"><p>"What is changed through the API, or refused, stands here with who asked for it."</p></Empty>
            }
            .into_any(),
            (Some(page), _) => table(&page.items),
            (None, Some(trouble)) => view! { <Failed what="audit log" trouble=trouble.clone() /> }.into_any(),
            (None, None) => view! { <Loading what="the audit log" /> }.into_any(),
        })
    };
    let next = move || listed.with(|listed| listed.value.as_ref().and_then(|page| page.next.clone()));
    view! {
        <Head title="Audit" />
        <Stale trouble=Signal::derive(move || listed.with(|listed| listed.value.is_some().then(|| listed.trouble.clone()).flatten())) />
        {body}
        <nav class="pager" aria-label="Pages of the log">
            {move || cursor.get().is_some().then(|| view! { <a class="button" href="audit">"Newest"</a> }.into_any())}
            {move || next().map(|next| view! {
                <a class="button" href=format!("audit?{}", query::write([("cursor", next.as_str())]))>"Older"</a>
            }.into_any())}
        </nav>
    }
}

fn table(entries: &[AuditEntry]) -> AnyView {
    let row = |entry: &AuditEntry| {
        let is_refused = entry.status >= 400;
        let who = visible(&entry.by);
        view! {
            <tr>
                <td data-label="When" class="number"><Instant at=entry.at time_of_day=true /></td>
                <th scope="row"><Name text=who /><div class="row-note">{entry.role.map(|role| role.to_string())}</div></th>
                <td data-label="What"><code>{visible(&entry.action)}</code></td>
                <td data-label="On" class="mono">{entry.target.as_deref().map(|target| clip(&visible(target), 120))}</td>
                <td data-label="Answer" class="number" class:bad=is_refused>{entry.status.to_string()}</td>
                <td data-label="From" class="quiet">{entry.from.as_deref().map(visible)}</td>
            </tr>
        }
        .into_any()
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    view! {
        <div class="card flush">
            <table class="table audit">
                <thead><tr><th class="number">"When"</th><th>"Who"</th><th>"What"</th><th>"On"</th><th class="number">"Answer"</th><th>"From"</th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}
