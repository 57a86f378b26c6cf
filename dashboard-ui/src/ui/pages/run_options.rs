//! What may be said of a job besides its payload.

use leptos::prelude::*;
use windlass_api::{ContinueOn, OnConflict};

use crate::{
    model::asking::{self, Asking, OnlyOne, conflict_words, on_words},
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
            {field(asking, "Limit key", "none", "text", None, |asking| &mut asking.limit_key)}
        </div>
    }
}

/// What must be so before it runs, and beside which other jobs it may stand.
#[component]
pub(super) fn Conditions(asking: RwSignal<Asking>) -> impl IntoView {
    let has_parents = Memo::new(move |_| asking.with(|asking| !asking.after.trim().is_empty()));
    let only_one = Memo::new(move |_| asking.with(|asking| asking.only_one));
    let on: Vec<_> = ContinueOn::ALL.iter().map(|on| (on.as_str(), on_words(*on))).collect();
    let only: Vec<_> = OnlyOne::ALL.iter().map(|(_, word, means)| (*word, *means)).collect();
    let conflict: Vec<_> = OnConflict::ALL.iter().map(|what| (what.as_str(), conflict_words(*what))).collect();
    let conflict = StoredValue::new(conflict);
    view! {
        <details class="conditions">
            <summary>"Conditions"</summary>
            <div class="options">
                {field(asking, "Runs after these jobs, by id", "none", "text", None, |asking| &mut asking.after)}
                {move || has_parents.get().then(|| chosen("when all of them", &on, "success", move |value| {
                    asking.update(|asking| asking.on = value.parse().unwrap_or_default());
                }))}
                <label class="labelled">
                    <span>"Deleted if not started by"</span>
                    <input type="datetime-local" on:change=move |event| asking.update(|asking| asking.expires_at = browser::read_local(&event_target_value(&event))) />
                </label>
                {chosen("Beside others of its handler", &only, "no", move |value| {
                    let only_one = OnlyOne::ALL.iter().find(|(_, word, _)| *word == value).map_or(OnlyOne::No, |(only, ..)| *only);
                    asking.update(|asking| asking.only_one = only_one);
                })}
                {move || (only_one.get() == OnlyOne::Key).then(|| field(asking, "Key", "order-7", "text", None, |asking| &mut asking.unique_key))}
                {move || (only_one.get() != OnlyOne::No).then(|| conflict.with_value(|conflict| chosen("Where one is there", conflict, "reject", move |value| {
                    asking.update(|asking| asking.on_conflict = value.parse().unwrap_or_default());
                })))}
            </div>
        </details>
    }
}

/// A list to choose from: words, and what they mean.
fn chosen(
    label: &'static str,
    choices: &[(&'static str, &'static str)],
    first: &'static str,
    choose: impl Fn(String) + 'static,
) -> AnyView {
    let options: Vec<_> = choices
        .iter()
        .map(|(word, means)| view! { <option value=*word selected=*word == first>{*means}</option> }.into_any())
        .collect();
    view! {
        <label class="labelled">
            <span>{label}</span>
            <select on:change=move |event| choose(event_target_value(&event))>{options}</select>
        </label>
    }
    .into_any()
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
        asking::When::After => field(asking, "Delay, in seconds", "60", "decimal", None, |asking| &mut asking.delay),
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
) -> AnyView {
    let value = move || asking.with(|asking| part(&mut asking.clone()).clone());
    view! {
        <label class="labelled">
            <span>{label}</span>
            <input type="text" inputmode=keyboard list=list placeholder=hint autocomplete="off" prop:value=value
                on:input=move |event| asking.update(|asking| *part(asking) = event_target_value(&event)) />
        </label>
    }
    .into_any()
}
