//! One recurring job: when it runs next, what came of the last time, and what is done with it.

use leptos::prelude::*;
use windlass_api::{Misfire, RecurringJob as Entry, RecurringName, Role};

use super::{
    Head,
    recurring_parts::{Buttons, Changing, InZone, Last},
};
use crate::{
    format::{span, visible},
    model::{
        Loaded,
        news::Topic,
        recurring::{misfire_words, missed_ms},
    },
    pages::Page,
    ui::{
        app::Named,
        later::Later,
        parts::{Code, Empty, Fact, Failed, Instant, Loading, Name, Stale},
        shared::{Rounds, Shared},
    },
};

/// How often it is looked at, in seconds: no event tells of it.
const LOOK: u32 = 5;

#[component]
pub(in crate::ui) fn RecurringJob() -> impl IntoView {
    let name = Named::of_page();
    move || match name.get().parse::<RecurringName>() {
        Ok(name) => view! { <Shown name=name /> }.into_any(),
        Err(error) => view! {
            <Head title="No such recurring job" />
            <Empty title="There can be no such recurring job">
                <p>{visible(&error.to_string())}</p>
                <a class="button" href="recurring">"To the recurring jobs"</a>
            </Empty>
        }
        .into_any(),
    }
}

#[component]
fn Shown(name: RecurringName) -> impl IntoView {
    let shared = Shared::of_page();
    let job = RwSignal::new(Loaded::<Entry>::default());
    let title = name.to_string();
    let (rounds, news) = (Rounds::new(), shared.of_topic(Topic::Counts));
    shared.follow(&[Topic::Counts, Topic::Second], move || {
        let name = name.clone();
        async move {
            let (is_news, is_turn) = (news.are_there(), rounds.is_turn(LOOK));
            if !is_news && !is_turn {
                return;
            }
            let answer = shared.api().recurring_job(&name).await;
            if job.try_with_untracked(|job| job.differs(&answer)) == Some(true) {
                job.try_update(|job| job.take(answer));
            }
        }
    });
    let what = Memo::new(move |_| {
        job.with(|job| match (&job.value, &job.trouble) {
            // One that was removed is not shown as if it were there.
            (_, Some(trouble)) if trouble.is_not_found() => (1, Some(trouble.clone())),
            (Some(_), _) => (2, None),
            (None, Some(trouble)) => (1, Some(trouble.clone())),
            (None, None) => (0, None),
        })
    });
    view! {
        <p class="crumbs"><a href="recurring">"Recurring jobs"</a></p>
        <Head title=title />
        {move || match what.get() {
            (2, _) => view! { <Details job=job /> }.into_any(),
            (_, Some(trouble)) => view! { <Failed what="recurring job" trouble=trouble /> }.into_any(),
            _ => view! { <Loading what="the recurring job" /> }.into_any(),
        }}
    }
}

#[component]
fn Details(job: RwSignal<Loaded<Entry>>) -> impl IntoView {
    let shared = Shared::of_page();
    let there = Memo::new(move |_| job.with(|job| job.value.clone()));
    let may_change = Memo::new(move |_| shared.may(Role::Operator));
    let missed = Memo::new(move |_| {
        let late = there.with(|there| there.as_ref().and_then(|there| missed_ms(there, shared.now.get())));
        late.map(|late| late / 60_000 * 60_000)
    });
    let next = move || {
        there.get().map(|there| {
            let zone = there.request.time_zone.clone();
            let runs = there.next_runs.iter().map(|&at| view! { <li><InZone at=at zone=zone.clone() /></li> });
            match (there.paused, there.next_runs.is_empty()) {
                (true, _) => {
                    view! { <p class="quiet">"It is paused. What passes meanwhile is left out."</p> }.into_any()
                }
                (_, true) => view! { <p class="quiet">"It will never be due again."</p> }.into_any(),
                _ => view! { <ol class="next-runs">{runs.collect_view()}</ol> }.into_any(),
            }
        })
    };
    let last = Memo::new(move |_| there.get().map(|there| there.last));
    let facts = move || there.get().map(facts);
    let is_changing = RwSignal::new(false);
    let payload = Memo::new(move |_| {
        there
            .with(|there| there.as_ref().map(|there| there.request.job.payload.as_str().to_owned()))
            .unwrap_or_default()
    });
    // Made once, of what is there by then: what is typed is not overwritten by what others change.
    let form = move || match may_change.get() && is_changing.get() {
        true => there.get_untracked().map(|there| {
            provide_context(Changing(there));
            view! { <Later page=Page::ChangeRecurring /> }.into_any()
        }),
        false => Some(
            view! { <section class="card"><h2>"Payload"</h2><Code what="payload" json=payload /></section> }.into_any(),
        ),
    };
    view! {
        <Stale trouble=Signal::derive(move || job.with(|job| job.trouble.clone())) />
        <Buttons job=there.into()>
            <button class="button primary" hidden=move || is_changing.get() on:click=move |_| is_changing.set(true)>"Change it"</button>
        </Buttons>
        {move || missed.get().map(|late| view! {
            <p class="stale" role="alert">{format!("It was due {} ago and has not run: is there a host that takes jobs?", span(late))}</p>
        })}
        <div class="columns">
            <section class="card"><h2>"Next times"</h2>{next}</section>
            <section class="card"><h2>"Last time"</h2>{move || last.get().map(|last| view! { <Last last=last /> })}</section>
            <section class="card"><h2>"Facts"</h2>{facts}</section>
        </div>
        {form}
    }
}

fn facts(there: Entry) -> impl IntoView {
    let Entry { request, module, since, .. } = there;
    let handler = request.job.handler;
    let misfire = match (request.misfire, request.catch_up_limit) {
        (Misfire::CatchUp, limit) => {
            format!("{}, the newest {}", misfire_words(Misfire::CatchUp), limit.unwrap_or(100))
        }
        (other, _) => misfire_words(other).to_owned(),
    };
    view! {
        <dl class="facts">
            <Fact name="Schedule"><code>{request.schedule}</code></Fact>
            <Fact name="Time zone"><Name text=request.time_zone.unwrap_or_else(|| "UTC".to_owned()) /></Fact>
            <Fact name="Handler"><a href=format!("modules/{}", handler.module)><Name text=handler.to_string() /></a></Fact>
            <Fact name="If missed">{misfire}</Fact>
            {module.map(|module| view! { <Fact name="Comes with"><a href=format!("modules/{module}")><Name text=module.to_string() /></a></Fact> })}
            <Fact name="Since"><Instant at=since /></Fact>
        </dl>
    }
}
