//! What the pages of recurring jobs have in common: an instant in two zones, what came of the last time, the buttons.

use std::sync::Arc;

use leptos::{prelude::*, task::spawn_local};
use leptos_router::hooks::use_navigate;
use windlass_api::{RecurringJob, RecurringName, RecurringOutcome, Role, Timestamp};

use crate::{
    format::{clip, clock, exact, relative, visible},
    ui::{
        browser,
        parts::{Glyph, Icon, Instant, StateBadge, sentence},
        shared::{Offer, Shared},
    },
};

/// How much of a reason a row shows, in characters.
const REASON: usize = 200;

/// The one that is to be changed, as its page knows it.
#[derive(Clone)]
pub(super) struct Changing(pub(super) RecurringJob);

/// An instant by the entry's own clock, and by the viewer's where that shows another time.
#[component]
pub(super) fn InZone(at: Timestamp, zone: Option<String>) -> impl IntoView {
    let now = Shared::of_page().now;
    let zone = zone.unwrap_or_else(|| "UTC".to_owned());
    let here = browser::offset_minutes(at);
    // A zone that this browser does not know is shown by the viewer's clock alone.
    let there = browser::offset_in(&zone, at).filter(|there| *there != here);
    let title = exact(at, here);
    let shown = move |offset: i32| move || clock(at, now.get(), offset);
    match there {
        Some(there) => view! {
            <time class="number" datetime=at.to_string() title=title>{shown(there)}</time>
            <div class="row-note">{move || relative(at, now.get())}" · "{shown(here)}" here"</div>
        }
        .into_any(),
        None => view! {
            <time class="number" datetime=at.to_string() title=title>{shown(here)}</time>
            <div class="row-note">{move || relative(at, now.get())}</div>
        }
        .into_any(),
    }
}

/// Whether nothing was enqueued the last time.
pub(super) fn is_refused(job: &RecurringJob) -> bool {
    job.last.as_ref().is_some_and(|last| last.refused.is_some())
}

/// What came of the last time.
#[component]
pub(super) fn Last(last: Option<RecurringOutcome>) -> impl IntoView {
    let Some(last) = last else { return view! { <span class="quiet">"not yet"</span> }.into_any() };
    let left_out = last.left_out.then(|| view! { <span class="quiet">"left out, since this job was there: "</span> });
    let came = match (last.job, last.state, last.refused) {
        (_, _, Some(reason)) => {
            view! { <span class="bad">"nothing was enqueued: "{visible(&clip(&reason, REASON))}</span> }.into_any()
        }
        (Some(id), Some(state), None) => {
            let label = format!("The job of that time, {state}");
            view! { <a href=format!("jobs/{id}") aria-label=label><StateBadge state=state reason=None /></a> }
                .into_any()
        }
        (Some(_), None, None) => view! { <span class="quiet">"the job was removed after its time"</span> }.into_any(),
        (None, _, None) => view! { <span class="quiet">"left out"</span> }.into_any(),
    };
    let failure = last.failure.map(|failure| {
        view! { <div class="row-note bad">{visible(&clip(&failure.message, REASON))}</div> }
    });
    view! {
        {left_out}
        {came}
        <div class="row-note"><Instant at=last.at /></div>
        {failure}
    }
    .into_any()
}

/// Pause or resume, run now, remove.
#[component]
pub(super) fn Buttons(
    job: Signal<Option<RecurringJob>>,
    #[prop(optional)] is_small: bool,
    /// What else there is to be done, first.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    let shared = Shared::of_page();
    let navigate = use_navigate();
    let is_paused = Memo::new(move |_| job.with(|job| job.as_ref().is_some_and(|job| job.paused)));
    let name = Memo::new(move |_| job.with(|job| job.as_ref().map(|job| job.name.clone())));
    let described =
        move |what: &'static str| move || name.get().filter(|_| is_small).map(|name| format!("{what} {name}"));
    let pause_label = move || if is_paused.get() { "Resume" } else { "Pause" };
    let pause_described = move || name.get().filter(|_| is_small).map(|name| format!("{} {name}", pause_label()));
    let pause = move |_| {
        if let Some(name) = name.get_untracked() {
            set_paused(shared, name, !is_paused.get_untracked());
        }
    };
    let trigger = move |_| {
        let Some(name) = name.get_untracked() else { return };
        let navigate = navigate.clone();
        let show = move |path: String| navigate(&path, Default::default());
        trigger(shared, name, show);
    };
    let remove = move |_| {
        let Some(job) = job.get_untracked() else { return };
        let text = match &job.module {
            Some(module) => format!(
                "It came with the module {module}, and is back when a version of that is activated or a host starts. To keep \
                 it from running, pause it instead. The jobs that it made stay."
            ),
            None => "It is not run any more. The jobs that it made stay.".to_owned(),
        };
        shared.ask(format!("Remove {}?", job.name), text, "Remove it", move || remove(shared, job.clone()));
    };
    view! {
        <div class="buttons recurring-buttons" hidden=move || !shared.may(Role::Operator)>
            {children.map(|children| children())}
            <button class="button" class:small=is_small aria-label=pause_described on:click=pause>
                {move || view! { <Icon glyph=if is_paused.get() { Glyph::Play } else { Glyph::Pause } /> }}
                {pause_label}
            </button>
            <button class="button" class:small=is_small aria-label=described("Run now:") on:click=trigger>"Run now"</button>
            <button class="button danger" class:small=is_small aria-label=described("Remove") on:click=remove>"Remove"</button>
        </div>
    }
}

fn set_paused(shared: Shared, name: RecurringName, paused: bool) {
    spawn_local(async move {
        match shared.api().set_recurring_paused(&name, paused).await {
            Ok(job) if job.paused => shared.say(format!("{name} is paused: what passes meanwhile is left out.")),
            Ok(_) => shared.say(format!("{name} goes on with its next time.")),
            Err(trouble) => shared.complain(format!("{name} was not changed: {}.", visible(&trouble.to_string()))),
        }
        shared.look();
    });
}

fn trigger(shared: Shared, name: RecurringName, show: impl Fn(String) + Send + Sync + 'static) {
    spawn_local(async move {
        match shared.api().trigger_recurring(&name).await {
            Ok(enqueued) => {
                let path = format!("/jobs/{}", enqueued.id);
                let action = Arc::new(move || show(path.clone()));
                let offer = Offer { label: "Show the job".to_owned(), action };
                let text = if enqueued.replaced {
                    format!("A job of {name} waited already, and got this payload and time.")
                } else if enqueued.existing {
                    format!("A job of {name} is there already; no other one was made.")
                } else {
                    format!("{name} is enqueued. When it is due next does not change.")
                };
                shared.toast(text, false, Some(offer));
            }
            Err(trouble) => shared.complain(sentence(&visible(&trouble.to_string()))),
        }
        shared.look();
    });
}

fn remove(shared: Shared, job: RecurringJob) {
    spawn_local(async move {
        match shared.api().remove_recurring(&job.name).await {
            Ok(()) => {
                let text = format!("{} is removed.", job.name);
                let action = Arc::new(move || put_back(shared, job.clone()));
                shared.toast(text, false, Some(Offer { label: "Put it back".to_owned(), action }));
            }
            Err(trouble) => shared.complain(sentence(&visible(&trouble.to_string()))),
        }
        shared.look();
    });
}

/// Puts in place again what was removed, paused where it was.
fn put_back(shared: Shared, job: RecurringJob) {
    spawn_local(async move {
        let put = async {
            shared.api().put_recurring(&job.name, &job.request).await?;
            if job.paused {
                shared.api().set_recurring_paused(&job.name, true).await?;
            }
            Ok::<_, crate::trouble::Trouble>(())
        };
        match put.await {
            Ok(()) => shared.say(format!("{} is back; its schedule begins now.", job.name)),
            Err(trouble) => shared.complain(sentence(&visible(&trouble.to_string()))),
        }
        shared.look();
    });
}
