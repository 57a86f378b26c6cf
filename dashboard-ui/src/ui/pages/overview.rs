//! The overview: how it goes, at a glance.

use leptos::prelude::*;
use windlass_api::{RecurringJob, State};

use super::Head;
use crate::{
    filter::Shown,
    format::{compact, count, micros, percent},
    model::{
        Loaded,
        attention::{self, Known, Weight},
        news::Topic,
        traffic::{Reach, Traffic},
    },
    trouble::Trouble,
    ui::{
        browser,
        parts::{Chart, Failed, Glyph, Icon, Instant, Loading, Meter, Name, sentence},
        shared::{Rounds, Shared},
    },
};

#[component]
pub(in crate::ui) fn Overview() -> impl IntoView {
    let shared = Shared::of_page();
    let reach = RwSignal::new(Reach::Hour);
    // Kept by the minute whatever the chart shows: what needs attention is about the last hour.
    let (recent, charted) = (RwSignal::new(Loaded::<Traffic>::default()), RwSignal::new(Loaded::<Traffic>::default()));
    follow(shared, recent, Signal::stored(Reach::Hour));
    follow(shared, charted, reach.into());
    let recurring = RwSignal::new(Loaded::default());
    follow_recurring(shared, recurring);
    let matters = Memo::new(move |_| {
        let handlers = recent.with(|traffic| traffic.value.as_ref().map(Traffic::by_handler));
        shared.counts.with(|counts| {
            shared.queues.with(|queues| {
                shared.servers.with(|servers| {
                    shared.modules.with(|modules| {
                        let (Some(counts), Some(queues), Some(servers), Some(modules)) =
                            (&counts.value, &queues.value, &servers.value, &modules.value)
                        else {
                            return None;
                        };
                        let now = shared.now.get();
                        let recurring = recurring.with(|recurring| recurring.value.clone().unwrap_or_default());
                        Some(attention::find(&Known {
                            counts,
                            queues,
                            servers,
                            modules,
                            handlers: handlers.as_deref(),
                            recurring: &recurring,
                            now,
                        }))
                    })
                })
            })
        })
    });
    let attention = move || {
        matters.get().map(|matters| {
            if matters.is_empty() {
                return view! { <p class="all-well"><Icon glyph=Glyph::Check />"Nothing needs attention."</p> }
                    .into_any();
            }
            let items = matters.into_iter().map(|matter| {
                view! {
                    <li class:bad=matter.weight == Weight::Bad>
                        <Icon glyph=Glyph::Warning />
                        <a href=matter.link.clone()><Name text=matter.text.clone() /></a>
                    </li>
                }
            });
            view! { <ul class="matters">{items.collect_view()}</ul> }.into_any()
        })
    };
    let tiles = State::ALL.iter().map(|&state| {
        let number = move || shared.counts.with(|counts| counts.value.as_ref().map(|counts| counts.of(state)));
        view! {
            <a class=format!("tile state-{state}") href=format!("jobs?{}", Shown::of_state(state).write()) title=move || number().map(count)>
                <span class="tile-number number">{move || number().map_or_else(|| "–".to_owned(), compact)}</span>
                <span class="tile-word"><span class="dot" aria-hidden="true"></span>{state.to_string()}</span>
            </a>
        }
    });
    let failed = move || {
        shared.counts.with(|counts| match (&counts.value, &counts.trouble) {
            (None, Some(trouble)) => Some(view! { <Failed what="overview" trouble=trouble.clone() /> }),
            _ => None,
        })
    };
    view! {
        <Head title="Overview" />
        {failed}
        <section aria-label="What needs attention">{attention}</section>
        <section class="tiles" aria-label="Jobs by state">{tiles.collect_view()}</section>
        <div class="overview">
            <section class="card wide">
                <div class="card-head">
                    <h2>"Throughput"</h2>
                    <div class="segmented" role="group" aria-label="How far back">
                        {Reach::ALL.map(|choice| view! {
                            <button class="segment" aria-pressed=move || (reach.get() == choice).to_string()
                                on:click=move |_| { reach.set(choice); charted.set(Loaded::default()); shared.news_of(&[Topic::Second]); }>
                                {choice.label()}
                            </button>
                        }).into_iter().collect_view()}
                    </div>
                </div>
                {move || charted.with(|traffic| match (&traffic.value, &traffic.trouble) {
                    (Some(_), _) => view! { <Charted charted=charted reach=reach /> }.into_any(),
                    (None, Some(Trouble::NotOffered)) => view! { <p class="quiet">"This host keeps no counters, so there is nothing to draw from."</p> }.into_any(),
                    (None, Some(trouble)) => view! { <p class="quiet">{sentence(&trouble.to_string())}</p> }.into_any(),
                    (None, None) => view! { <Loading what="counters" /> }.into_any(),
                })}
            </section>
            <section class="card">
                <h2>"Handlers in the last hour"</h2>
                {move || handlers(recent)}
            </section>
            <section class="card">
                <div class="card-head"><h2>"Queues"</h2><a href="queues">"All queues"</a></div>
                {move || queues(shared)}
            </section>
            <section class="card">
                <div class="card-head"><h2>"Servers"</h2><a href="servers">"All servers"</a></div>
                {move || servers(shared)}
            </section>
        </div>
    }
}

/// The chart, which is drawn anew by itself.
#[component]
fn Charted(charted: RwSignal<Loaded<Traffic>>, reach: RwSignal<Reach>) -> impl IntoView {
    let now = Shared::of_page().now;
    let bars = Memo::new(move |_| {
        let (reach, now) = (reach.get(), now.get());
        charted.with(|traffic| traffic.value.as_ref().map(|traffic| traffic.bars(reach, now)).unwrap_or_default())
    });
    view! { <Chart bars=bars reach=reach /> }
}

fn follow(shared: Shared, traffic: RwSignal<Loaded<Traffic>>, reach: Signal<Reach>) {
    let (rounds, long) = (Rounds::new(), Rounds::new());
    shared.follow(&[Topic::Second], move || async move {
        let (has, lacks) =
            traffic.with_untracked(|traffic| (traffic.value.is_some(), traffic.trouble == Some(Trouble::NotOffered)));
        // A chart by the minute that is five seconds old is new enough; a host without counters will not have them soon.
        let (is_fifth, is_sixtieth) = (rounds.is_turn(5), long.is_turn(60));
        if (has && !is_fifth) || (lacks && !is_sixtieth) {
            return;
        }
        let (reach, now) = (reach.get_untracked(), browser::now());
        let from = traffic.with_untracked(|traffic| {
            traffic.value.as_ref().map_or(reach.from(now), |known| known.ask_from(reach, now))
        });
        let answer = shared.api().counters(reach, from, now.plus_ms(1)).await;
        traffic.try_update(|traffic| match answer {
            Ok(rows) => {
                let mut known = traffic.value.take().unwrap_or_default();
                known.take(rows, reach, now);
                traffic.take(Ok(known));
            }
            Err(trouble) => traffic.take(Err(trouble)),
        });
    });
}

/// How many recurring jobs are looked at for what needs attention.
const RECURRING: usize = 200;

fn follow_recurring(shared: Shared, recurring: RwSignal<Loaded<Vec<RecurringJob>>>) {
    let rounds = Rounds::new();
    shared.follow(&[Topic::Second], move || async move {
        // No event tells of them, and each is missed for a minute at least before that is told.
        if !rounds.is_turn(15) {
            return;
        }
        let answer = shared.api().recurring(None, RECURRING).await;
        recurring.try_update(|known| known.take(answer.map(|page| page.items)));
    });
}

fn handlers(recent: RwSignal<Loaded<Traffic>>) -> AnyView {
    recent.with(|traffic| match (&traffic.value, &traffic.trouble) {
        (Some(traffic), _) => {
            let mut handlers = traffic.by_handler();
            handlers.retain(|handled| handled.succeeded + handled.failed + handled.retried > 0);
            if handlers.is_empty() {
                return view! { <p class="quiet">"No job ended in the last hour."</p> }.into_any();
            }
            let rows = handlers.into_iter().take(8).map(|handled| {
                let total = handled.succeeded + handled.failed;
                let link = format!("jobs?module={}&handler={}", handled.path.module, handled.path.handler);
                view! {
                    <tr>
                        <th scope="row"><a href=link><Name text=handled.path.to_string() /></a></th>
                        <td class="number" data-label="Ended">{count(total)}</td>
                        <td class="number" data-label="Failed" class:bad=(handled.failed > 0)>{percent(handled.failed, total)}</td>
                        <td class="number" data-label="Mean run">{handled.mean_us.map_or_else(|| "–".to_owned(), micros)}</td>
                    </tr>
                }
            });
            view! {
                <table class="table plain">
                    <thead><tr><th>"Handler"</th><th class="number">"Ended"</th><th class="number">"Failed"</th><th class="number">"Mean run"</th></tr></thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            }
            .into_any()
        }
        (None, Some(Trouble::NotOffered)) => view! { <p class="quiet">"This host keeps no counters."</p> }.into_any(),
        (None, Some(trouble)) => view! { <p class="quiet">{sentence(&trouble.to_string())}</p> }.into_any(),
        (None, None) => view! { <Loading what="counters" /> }.into_any(),
    })
}

/// What stands in the place of what is not there.
fn instead(what: &'static str, trouble: Option<Trouble>) -> AnyView {
    match trouble {
        Some(trouble) => view! { <p class="quiet">{sentence(&trouble.to_string())}</p> }.into_any(),
        None => view! { <Loading what=what /> }.into_any(),
    }
}

fn queues(shared: Shared) -> AnyView {
    let known = shared.queues.get();
    let Some(queues) = known.value else { return instead("queues", known.trouble) };
    if queues.is_empty() {
        return view! { <p class="quiet">"No queue has anything in it."</p> }.into_any();
    }
    let rows = queues.into_iter().take(8).map(|queue| {
        view! {
            <tr>
                <th scope="row">
                    <a href=format!("jobs?state=enqueued&queue={}", queue.name)><Name text=queue.name.to_string() /></a>
                    {queue.paused.then(|| view! { " " <span class="badge state-scheduled">"paused"</span> })}
                </th>
                <td class="number" data-label="Waiting">{count(queue.enqueued)}</td>
                <td class="number" data-label="Running">{count(queue.processing)}</td>
                <td class="number" data-label="Oldest">{queue.oldest_at.map_or_else(|| "–".into_any(), |at| view! { <Instant at=at /> }.into_any())}</td>
            </tr>
        }
    });
    view! {
        <table class="table plain">
            <thead><tr><th>"Queue"</th><th class="number">"Waiting"</th><th class="number">"Running"</th><th class="number">"Oldest"</th></tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}

fn servers(shared: Shared) -> AnyView {
    let known = shared.servers.get();
    let Some(servers) = known.value else { return instead("servers", known.trouble) };
    if servers.is_empty() {
        return view! { <p class="quiet">"No server takes jobs."</p> }.into_any();
    }
    let rows = servers.into_iter().take(8).map(|server| view! {
        <tr>
            <th scope="row"><Name text=server.host /></th>
            <td data-label="Sync slots"><Meter label="Sync slots in use" used=server.sync_slots.busy total=server.sync_slots.total /></td>
            <td data-label="Async slots"><Meter label="Async slots in use" used=server.async_slots.busy total=server.async_slots.total /></td>
        </tr>
    });
    view! {
        <table class="table plain">
            <thead><tr><th>"Server"</th><th>"Sync slots"</th><th>"Async slots"</th></tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}
