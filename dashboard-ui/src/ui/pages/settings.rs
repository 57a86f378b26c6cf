//! Settings of this browser, and what there is to know about the page itself.

use leptos::prelude::*;

use super::Head;
use crate::{
    model::access::Access,
    order::sorted,
    ui::{
        browser,
        parts::{Fact, Instant, Name},
        shared::Shared,
        shortcuts, sign_in,
    },
};

#[component]
pub(in crate::ui) fn Settings() -> impl IntoView {
    let shared = Shared::of_page();
    let theme = RwSignal::new(browser::recall("windlass-theme").unwrap_or_default());
    let choices = [("", "As the system"), ("light", "Light"), ("dark", "Dark")].map(|(value, label)| {
        let choose = move |_| {
            theme.set(value.to_owned());
            browser::set_theme(Some(value).filter(|value| !value.is_empty()));
        };
        view! {
            <label class="choice">
                <input type="radio" name="theme" value=value prop:checked=move || theme.get() == value on:change=choose />
                {label}
            </label>
        }
    });
    let keys =
        shortcuts::PAGES.map(|(letter, _, page)| view! { <Fact name=page><kbd>"g"</kbd>" "<kbd>{letter}</kbd></Fact> });
    let set_shortcuts = move |event| {
        let on = event_target_checked(&event);
        shared.shortcuts.set(on);
        browser::keep("windlass-shortcuts", (!on).then_some("off"));
    };
    let hosts = move || {
        let versions = shared
            .servers
            .with(|servers| servers.value.iter().flatten().map(|server| server.version.clone()).collect());
        let mut versions = sorted(versions, String::cmp);
        versions.dedup();
        if versions.is_empty() { "not known".to_owned() } else { versions.join(", ") }
    };
    let session = move || match shared.access.get() {
        Access::In(viewer) => Some(view! {
            <section class="card">
                <h2>"Session"</h2>
                <dl class="facts">
                    <Fact name={if viewer.by_token { "Token" } else { "Name" }}><Name text=viewer.name /></Fact>
                    <Fact name="Role">{viewer.role.to_string()}</Fact>
                    {viewer.expires_at.map(|at| view! { <Fact name="Ends"><Instant at=at /></Fact> })}
                </dl>
                {viewer.by_token.then(|| view! {
                    <button class="button" on:click=move |_| sign_in::sign_out(shared)>"Sign out"</button>
                })}
            </section>
        }),
        _ => None,
    };
    view! {
        <Head title="Settings" />
        <div class="columns">
            {session}
            <section class="card">
                <h2>"Appearance"</h2>
                <fieldset class="choices"><legend class="unseen">"Appearance"</legend>{choices.into_iter().collect_view()}</fieldset>
                <p class="quiet">"Kept in this browser."</p>
            </section>
            <section class="card">
                <h2>"Keys"</h2>
                <label class="choice">
                    <input type="checkbox" prop:checked=move || shared.shortcuts.get() on:change=set_shortcuts />
                    "Single keys are shortcuts"
                </label>
                <dl class="facts">{keys.into_iter().collect_view()}<Fact name="Find"><kbd>"/"</kbd></Fact></dl>
            </section>
            <section class="card">
                <h2>"About"</h2>
                <dl class="facts">
                    <Fact name="Dashboard">{env!("CARGO_PKG_VERSION")}</Fact>
                    <Fact name="Hosts">{hosts}</Fact>
                    <Fact name="API"><a href="api/v1/counts" rel="external" target="_self">"api/v1"</a></Fact>
                </dl>
            </section>
        </div>
    }
}
