//! Queues: what waits in them, for how long, and whether anything is taken from them.

use leptos::{prelude::*, task::spawn_local};
use windlass_api::{QueueName, QueueView, Role, State};

use super::{Head, limits::LimitCard};
use crate::{
    filter::Shown,
    format::{count, decimal},
    ui::{
        parts::{Empty, Failed, Glyph, Icon, Instant, Loading, Name, Stale},
        shared::Shared,
    },
};

#[component]
pub(in crate::ui) fn Queues() -> impl IntoView {
    let shared = Shared::of_page();
    let body = move || {
        shared.queues.with(|queues| match (&queues.value, &queues.trouble) {
            (Some(queues), _) if queues.is_empty() => view! {
                <Empty title="No queue has anything in it">
                    <p>"Queues come into being with their first job."</p>
                    <a class="button" hidden=move || !shared.may(Role::Operator) href="run">"Run a job"</a>
                </Empty>
            }
            .into_any(),
            (Some(queues), _) => table(queues).into_any(),
            (None, Some(trouble)) => view! { <Failed what="queues" trouble=trouble.clone() /> }.into_any(),
            (None, None) => view! { <Loading what="queues" /> }.into_any(),
        })
    };
    view! {
        <Head title="Queues" />
        <Stale trouble=Signal::derive(move || shared.queues.with(|queues| queues.value.is_some().then(|| queues.trouble.clone()).flatten())) />
        {body}
        <LimitCard />
    }
}

fn table(queues: &[QueueView]) -> impl IntoView + use<> {
    let most = queues.iter().map(|queue| queue.enqueued).max().unwrap_or_default().max(1);
    view! {
        <div class="card flush">
            <table class="table">
                <thead>
                    <tr><th>"Queue"</th><th>"Waiting"</th><th>"Running"</th><th>"Oldest waits since"</th><th>"Taken from"</th><th><span class="unseen">"Actions"</span></th></tr>
                </thead>
                <tbody>{queues.iter().map(|queue| row(queue, most)).collect_view()}</tbody>
            </table>
        </div>
    }
}

fn row(queue: &QueueView, most: u64) -> impl IntoView + use<> {
    // Outside of the event that needs it: nothing is known of the page there.
    let shared = Shared::of_page();
    let (name, paused) = (queue.name.clone(), queue.paused);
    let link = |state| format!("jobs?{}", Shown::of_state(state).with("queue", queue.name.as_str()).write());
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let width = queue.enqueued as f64 / most as f64 * 100.0;
    let (glyph, label) = if paused { (Glyph::Play, "Resume") } else { (Glyph::Pause, "Pause") };
    let described = format!("{label} queue {name}");
    view! {
        <tr>
            <th scope="row"><a href=format!("jobs?{}", Shown::default().with("queue", queue.name.as_str()).write())><Name text=queue.name.to_string() /></a></th>
            <td data-label="Waiting">
                <a class="number bar-link" href=link(State::Enqueued)>
                    {count(queue.enqueued)}
                    <svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
                        <rect class="meter-all" width="100" height="6"></rect>
                        <rect class="meter-used" width=decimal(width) height="6"></rect>
                    </svg>
                </a>
            </td>
            <td data-label="Running"><a class="number" href=link(State::Processing)>{count(queue.processing)}</a></td>
            <td data-label="Oldest waits since">{queue.oldest_at.map_or_else(|| view! { <span class="quiet">"none waits"</span> }.into_any(), |at| view! { <Instant at=at /> }.into_any())}</td>
            <td data-label="Taken from">
                <span class="badge" class:state-scheduled=paused class:state-succeeded=!paused>
                    <span class="dot" aria-hidden="true"></span>
                    {if paused { "paused" } else { "yes" }}
                </span>
            </td>
            <td class="end">
                <button class="button small" hidden=move || !shared.may(Role::Operator) aria-label=described on:click=move |_| set_paused(shared, name.clone(), !paused)>
                    <Icon glyph=glyph />
                    {label}
                </button>
            </td>
        </tr>
    }
}

fn set_paused(shared: Shared, name: QueueName, paused: bool) {
    spawn_local(async move {
        match shared.api().set_paused(&name, paused).await {
            Ok(queue) if queue.paused => {
                shared.say(format!("Queue {name} is paused: jobs that run go on, none is taken from it."));
            }
            Ok(_) => shared.say(format!("Queue {name} is taken from again.")),
            Err(trouble) => shared.complain(format!("Queue {name} was not changed: {trouble}.")),
        }
        shared.look();
    });
}
