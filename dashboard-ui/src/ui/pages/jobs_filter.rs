//! The fields that narrow the list. Each writes into the URL, and shows what stands there.

use leptos::prelude::*;

use super::jobs::JobsPage;
use crate::{
    filter::{SIZES, Shown},
    order::sorted,
    ui::browser,
};

#[component]
pub(super) fn Filters(page: JobsPage) -> impl IntoView {
    let shared = page.shared;
    let set = move |key: &'static str, value: &str| page.show(&page.shown.get_untracked().with(key, value));
    let modules = move || {
        shared
            .modules
            .with(|modules| modules.value.iter().flatten().map(|module| module.name.to_string()).collect::<Vec<_>>())
    };
    let handlers = move || {
        let chosen = page.shown.get().filter.module;
        shared.modules.with(|modules| {
            let chosen =
                modules.value.iter().flatten().filter(|module| chosen.as_ref().is_none_or(|name| module.name == *name));
            let names = chosen
                .flat_map(|module| &module.versions)
                .flat_map(|version| &version.handlers)
                .map(|handler| handler.name.to_string())
                .collect();
            let mut names = sorted(names, String::cmp);
            names.dedup();
            names
        })
    };
    let queues = move || {
        shared
            .queues
            .with(|queues| queues.value.iter().flatten().map(|queue| queue.name.to_string()).collect::<Vec<_>>())
    };
    let select = move |key: &'static str,
                       all: &'static str,
                       names: Signal<Vec<String>>,
                       chosen: fn(&Shown) -> Option<String>| {
        let options = Memo::new(move |_| {
            let mut names = names.get();
            // What the URL names may be gone, and is shown all the same.
            names.extend(page.shown.with(chosen).filter(|chosen| !names.contains(chosen)));
            names
        });
        view! {
            <select aria-label=key class:set=move || page.shown.with(chosen).is_some() on:change=move |event| set(key, &event_target_value(&event))>
                <option value="" selected=move || page.shown.with(chosen).is_none()>{all}</option>
                {move || options.get().into_iter().map(|name| {
                    let value = name.clone();
                    view! { <option value=name.clone() selected=move || page.shown.with(chosen).as_deref() == Some(value.as_str())>{name.clone()}</option> }
                }).collect_view()}
            </select>
        }
    };
    let instant = move |key: &'static str,
                        label: &'static str,
                        chosen: fn(&Shown) -> Option<windlass_api::Timestamp>| {
        let change = move |event| {
            let instant = browser::read_local(&event_target_value(&event));
            set(key, &instant.map(|instant| instant.to_string()).unwrap_or_default());
        };
        view! {
            <label class="labelled">
                <span>{label}</span>
                <input type="datetime-local" class:set=move || page.shown.with(chosen).is_some() prop:value=move || page.shown.with(chosen).map(browser::write_local).unwrap_or_default() on:change=change />
            </label>
        }
    };
    view! {
        <form class="filters" role="search" aria-label="Filter jobs" on:submit=|event| event.prevent_default()>
            <input type="search" id="find" class="find" placeholder="Text in payload or error" aria-label="Text in payload or error"
                prop:value=move || page.shown.get().filter.text.unwrap_or_default()
                on:change=move |event| set("text", &event_target_value(&event)) />
            {select("module", "all modules", Signal::derive(modules), |shown| shown.filter.module.as_ref().map(ToString::to_string))}
            {select("handler", "all handlers", Signal::derive(handlers), |shown| shown.filter.handler.as_ref().map(ToString::to_string))}
            {select("queue", "all queues", Signal::derive(queues), |shown| shown.filter.queue.as_ref().map(ToString::to_string))}
            <input type="search" class="tag" placeholder="Tag" aria-label="Tag" prop:value=move || page.shown.get().filter.tag.unwrap_or_default()
                on:change=move |event| set("tag", &event_target_value(&event)) />
            <details class="more" prop:open=move || page.shown.with(|shown| shown.filter.created_from.is_some() || shown.filter.created_before.is_some())>
                <summary class="button small">"More"</summary>
                <div class="more-fields">
                    {instant("created_from", "Made from", |shown| shown.filter.created_from)}
                    {instant("created_before", "Made before", |shown| shown.filter.created_before)}
                    <label class="labelled">
                        <span>"Jobs at once"</span>
                        <select on:change=move |event| set("limit", &event_target_value(&event))>
                            {SIZES.map(|size| view! { <option value=size.to_string() selected=move || page.shown.get().size == size>{size.to_string()}</option> }).into_iter().collect_view()}
                        </select>
                    </label>
                </div>
            </details>
            {move || page.shown.get().is_narrow().then(|| view! {
                <button type="button" class="button quiet small" on:click=move |_| {
                    let state = page.shown.get_untracked().filter.state;
                    page.show(&state.map(Shown::of_state).unwrap_or_default());
                }>"Clear"</button>
            })}
        </form>
    }
}
