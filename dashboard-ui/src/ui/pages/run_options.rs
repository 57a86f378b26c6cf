//! What may be said of a job besides its payload.

use leptos::prelude::*;

use crate::{
    model::asking::{self, Asking},
    ui::{browser, shared::Shared},
};

#[component]
pub(super) fn Options(asking: RwSignal<Asking>) -> impl IntoView {
    let shared = Shared::of_page();
    let queues = move || {
        shared.queues.with(|queues| {
            queues
                .value
                .iter()
                .flatten()
                .map(|queue| view! { <option value=queue.name.to_string()></option> })
                .collect_view()
        })
    };
    view! {
        <datalist id="queues">{queues}</datalist>
        <div class="options">
            {field(asking, "Queue", "the handler's", "text", Some("queues"), |asking| &mut asking.queue)}
            {field(asking, "Priority", "0, the first, to 9", "numeric", None, |asking| &mut asking.priority)}
            {field(asking, "Attempts", "the handler's", "numeric", None, |asking| &mut asking.max_attempts)}
            {field(asking, "Timeout, in seconds", "the handler's", "decimal", None, |asking| &mut asking.timeout)}
            {field(asking, "Tags, with commas", "none", "text", None, |asking| &mut asking.tags)}
        </div>
    }
}

/// When it is to run.
#[component]
pub(super) fn When(asking: RwSignal<Asking>) -> impl IntoView {
    let when = [(asking::When::Now, "Now"), (asking::When::After, "After a delay"), (asking::When::At, "At a time")].map(|(when, label)| view! {
        <label class="choice">
            <input type="radio" name="when" prop:checked=move || asking.with(|asking| asking.when == when) on:change=move |_| asking.update(|asking| asking.when = when) />
            {label}
        </label>
    });
    let timing = move || {
        match asking.with(|asking| asking.when) {
        asking::When::Now => ().into_any(),
        asking::When::After => field(asking, "Delay, in seconds", "60", "decimal", None, |asking| &mut asking.delay).into_any(),
        asking::When::At => view! {
            <label class="labelled">
                <span>"Run at, in your time zone"</span>
                <input type="datetime-local" on:change=move |event| asking.update(|asking| asking.at = browser::read_local(&event_target_value(&event))) />
            </label>
        }
        .into_any(),
    }
    };
    view! {
        <fieldset class="choices"><legend>"When"</legend>{when.into_iter().collect_view()}</fieldset>
        {timing}
    }
}

/// A field of the request.
fn field(
    asking: RwSignal<Asking>,
    label: &'static str,
    hint: &'static str,
    keyboard: &'static str,
    list: Option<&'static str>,
    part: fn(&mut Asking) -> &mut String,
) -> impl IntoView {
    let value = move || asking.with(|asking| part(&mut asking.clone()).clone());
    view! {
        <label class="labelled">
            <span>{label}</span>
            <input type="text" inputmode=keyboard list=list placeholder=hint autocomplete="off" prop:value=value
                on:input=move |event| asking.update(|asking| *part(asking) = event_target_value(&event)) />
        </label>
    }
}
