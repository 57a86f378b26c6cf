//! Recurring jobs: what is run when, when next, and what came of it the last time.

use leptos::prelude::*;
use leptos_router::hooks::use_location;
use windlass_api::{Page, RecurringJob, RecurringName, Role};

use super::{
    Head,
    recurring_parts::{Buttons, InZone, Last, is_refused},
};
use crate::{
    format::span,
    model::{Loaded, news::Topic, recurring::missed_ms},
    query,
    ui::{
        parts::{Empty, Failed, Loading, Name, Stale},
        shared::{Rounds, Shared},
    },
};

/// How many are shown at once.
const SHOWN: usize = 100;

/// How often they are looked at, in seconds: no event tells of them.
const LOOK: u32 = 5;

type Listed = Loaded<Page<RecurringJob>>;

#[component]
pub(in crate::ui) fn Recurring() -> impl IntoView {
    let shared = Shared::of_page();
    let search = use_location().search;
    let cursor = Memo::new(move |_| {
        let pairs = search.with(|search| query::read(search));
        pairs.into_iter().find(|(key, _)| key == "cursor").map(|(_, cursor)| cursor)
    });
    let listed = RwSignal::new(Listed::default());
    Effect::new(move |_| {
        cursor.track();
        listed.set(Loaded::default());
        shared.look();
    });
    let (rounds, news) = (Rounds::new(), shared.of_topic(Topic::Counts));
    shared.follow(&[Topic::Counts, Topic::Second], move || async move {
        // Jobs that come and go are theirs, perhaps.
        let (is_news, is_turn) = (news.are_there(), rounds.is_turn(LOOK));
        if !is_news && !is_turn {
            return;
        }
        let Some(asked) = cursor.try_get_untracked() else { return };
        let answer = shared.api().recurring(asked.as_deref(), SHOWN).await;
        // Another page may have been asked for meanwhile.
        if cursor.try_get_untracked() == Some(asked) && listed.with_untracked(|listed| listed.differs(&answer)) {
            listed.try_update(|listed| listed.take(answer));
        }
    });
    let what = Memo::new(move |_| {
        listed.with(|listed| match (&listed.value, &listed.trouble) {
            (Some(page), _) if page.items.is_empty() => (1, None),
            (Some(_), _) => (2, None),
            (None, Some(trouble)) => (3, Some(trouble.clone())),
            (None, None) => (0, None),
        })
    });
    let body = move || {
        match what.get() {
        (2, _) => view! { <Table listed=listed /> }.into_any(),
        (1, _) => view! {
            <Empty title="There are no recurring jobs">
                <p>"A recurring job is enqueued whenever its schedule says so: every night, on weekdays, every 90 seconds."</p>
                <a class="button primary" hidden=move || !shared.may(Role::Operator) href="new-recurring">"Add one"</a>
            </Empty>
        }
        .into_any(),
        (_, Some(trouble)) => view! { <Failed what="list of recurring jobs" trouble=trouble /> }.into_any(),
        _ => view! { <Loading what="recurring jobs" /> }.into_any(),
    }
    };
    let next = move || listed.with(|listed| listed.value.as_ref().and_then(|page| page.next.clone()));
    view! {
        <Head title="Recurring jobs">
            <a class="button primary" hidden=move || !shared.may(Role::Operator) href="new-recurring">"Add a recurring job"</a>
        </Head>
        <Stale trouble=Signal::derive(move || listed.with(|listed| listed.value.is_some().then(|| listed.trouble.clone()).flatten())) />
        {body}
        <nav class="pager" aria-label="Pages of the list">
            {move || cursor.get().is_some().then(|| view! { <a class="button" href="recurring">"First"</a> })}
            {move || next().map(|next| view! {
                <a class="button" href=format!("recurring?{}", query::write([("cursor", next.as_str())]))>"More"</a>
            })}
        </nav>
    }
}

/// The rows stay while what is in them changes, and with them the focus.
#[component]
fn Table(listed: RwSignal<Listed>) -> impl IntoView {
    let names = move || {
        listed.with(|listed| {
            listed.value.iter().flat_map(|page| &page.items).map(|job| job.name.clone()).collect::<Vec<_>>()
        })
    };
    view! {
        <div class="card flush">
            <table class="table recurring">
                <thead>
                    <tr><th>"Name"</th><th>"Schedule"</th><th>"Next"</th><th>"Last"</th><th><span class="unseen">"Actions"</span></th></tr>
                </thead>
                <tbody><For each=names key=Clone::clone children=move |name| view! { <Row listed=listed name=name /> } /></tbody>
            </table>
        </div>
    }
}

#[component]
fn Row(listed: RwSignal<Listed>, name: RecurringName) -> impl IntoView {
    let shared = Shared::of_page();
    let link = format!("recurring/{name}");
    let shown = name.to_string();
    let job = Memo::new(move |_| {
        listed.with(|listed| listed.value.iter().flat_map(|page| &page.items).find(|job| job.name == name).cloned())
    });
    let missed = Memo::new(move |_| {
        job.with(|job| job.as_ref().and_then(|job| missed_ms(job, shared.now.get())).map(|late| late / 60_000 * 60_000))
    });
    let handler = move || job.get().map(|job| job.request.job.handler.to_string());
    let schedule = move || {
        job.get().map(|job| {
            let schedule = job.request.schedule;
            // An interval goes by no clock.
            let is_interval = schedule.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("every"));
            let zone = job.request.time_zone.or_else(|| (!is_interval).then(|| "UTC".to_owned()));
            view! {
                <code title=schedule.clone()>{schedule.clone()}</code>
                {zone.map(|zone| view! { <div class="row-note"><Name text=zone /></div> })}
            }
        })
    };
    let next = move || {
        match job.get() {
        Some(job) if job.paused => {
            view! { <span class="badge state-scheduled"><span class="dot" aria-hidden="true"></span>"paused"</span> }.into_any()
        }
        Some(job) => match job.next_runs.first() {
            Some(&at) => view! {
                <InZone at=at zone=job.request.time_zone />
                {move || missed.get().map(|late| view! { <div class="row-note bad">{format!("due {} ago, and has not run", span(late))}</div> })}
            }
            .into_any(),
            None => view! { <span class="quiet">"never again"</span> }.into_any(),
        },
        None => ().into_any(),
    }
    };
    let last = move || job.get().map(|job| view! { <Last last=job.last /> });
    view! {
        <tr>
            <th scope="row">
                <a href=link><Name text=shown /></a>
                <div class="row-note">{move || handler().map(|handler| view! { <Name text=handler /> })}</div>
            </th>
            <td data-label="Schedule">{schedule}</td>
            <td data-label="Next">{next}</td>
            <td data-label="Last" class:wide=move || job.with(|job| job.as_ref().is_some_and(is_refused))>{last}</td>
            <td class="end"><Buttons job=job.into() is_small=true /></td>
        </tr>
    }
}
