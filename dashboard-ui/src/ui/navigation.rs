//! The navigation, with counts, and the line that tells of a lost host.

use leptos::prelude::*;
use leptos_router::hooks::use_location;
use windlass_api::{Role, State};

use super::{
    browser,
    parts::{Glyph, Icon, Logo},
    shared::Shared,
    sign_in::SignedIn,
};
use crate::{
    filter::state_in,
    format::{compact, count},
    model::{access::Access, connection::Source},
};

/// The pages, by their paths relative to the dashboard's own.
const PAGES: [(&str, &str, Glyph); 8] = [
    ("", "Overview", Glyph::Overview),
    ("jobs", "Jobs", Glyph::Jobs),
    ("run", "Run a job", Glyph::Run),
    ("queues", "Queues", Glyph::Queues),
    ("recurring", "Recurring", Glyph::Recurring),
    ("modules", "Modules", Glyph::Modules),
    ("servers", "Servers", Glyph::Servers),
    ("audit", "Audit", Glyph::Audit),
];

/// Whether a page is of any use to the viewer; read reactively.
fn is_of_use(shared: Shared, page: &str) -> bool {
    match page {
        "run" => shared.may(Role::Operator),
        "audit" => shared.may_read(Role::Admin),
        _ => true,
    }
}

/// The navigation.
#[component]
pub(super) fn Navigation() -> impl IntoView {
    let shared = Shared::of_page();
    let location = use_location();
    let (path, search) = (location.pathname, location.search);
    let here = Memo::new(move |_| {
        let path = path.get();
        path.strip_prefix(&browser::base_path()).unwrap_or(&path).trim_matches('/').to_owned()
    });
    let is_open = RwSignal::new(false);
    Effect::new(move |_| {
        here.track();
        search.track();
        is_open.set(false);
    });
    let is_current = move |page: &'static str| {
        let here = here.get();
        here == page || !page.is_empty() && here.starts_with(page) && here[page.len()..].starts_with('/')
    };
    let note = move |page: &str| match page {
        "queues" => shared.queues.with(|queues| {
            let paused = queues.value.iter().flatten().filter(|queue| queue.paused).count();
            (paused > 0).then(|| format!("{paused} paused"))
        }),
        "modules" => shared.modules.with(|modules| modules.value.as_ref().map(|modules| modules.len().to_string())),
        "servers" => shared.servers.with(|servers| servers.value.as_ref().map(|servers| servers.len().to_string())),
        _ => None,
    };
    let link = move |(page, label, glyph): (&'static str, &'static str, Glyph)| {
        // An empty reference would be the present page, query and all.
        let href = if page.is_empty() { "./" } else { page };
        view! {
            <li hidden=move || !is_of_use(shared, page)>
                <a class="nav-link" href=href aria-current=move || is_current(page).then_some("page")>
                    <Icon glyph=glyph />
                    <span>{label}</span>
                    <span class="nav-note number">{move || note(page)}</span>
                </a>
                {(page == "jobs").then(|| view! { <States here=here search=search /> })}
            </li>
        }
    };
    view! {
        <header class="side">
            <div class="brand">
                <a href="./" class="brand-link">
                    <Logo />
                    "Windlass"
                </a>
                <button class="button quiet icon-only menu" aria-label="Menu" aria-expanded=move || is_open.get().to_string()
                    on:click=move |_| is_open.update(|open| *open = !*open)>
                    <Icon glyph=Glyph::Menu />
                </button>
            </div>
            <nav aria-label="Pages" class:open=move || is_open.get()>
                <ul>
                    {PAGES.map(link).collect_view()}
                </ul>
                <ul class="nav-end">
                    {link(("settings", "Settings", Glyph::Settings))}
                    <li><Live /></li>
                    <li><SignedIn /></li>
                </ul>
            </nav>
        </header>
    }
}

/// Jobs by state, each with its count.
#[component]
fn States(here: Memo<String>, search: Memo<String>) -> impl IntoView {
    let shared = Shared::of_page();
    let chosen = Memo::new(move |_| (here.get() == "jobs").then(|| state_in(&search.get())).flatten());
    let states = State::ALL.iter().map(|&state| {
        let number = move || shared.counts.with(|counts| counts.value.as_ref().map(|counts| counts.of(state)));
        view! {
            <li>
                <a class=format!("nav-state state-{state}") href=format!("jobs?state={state}")
                    aria-current=move || (chosen.get() == Some(state)).then_some("page")>
                    <span class="dot" aria-hidden="true"></span>
                    <span class="nav-word">{state.to_string()}</span>
                    <span class="nav-note number" title=move || number().map(count)>{move || number().map(compact)}</span>
                </a>
            </li>
        }
    });
    view! { <ul class="nav-states">{states.collect_view()}</ul> }
}

/// Whether the page follows by itself.
#[component]
fn Live() -> impl IntoView {
    let shared = Shared::of_page();
    let toggle = move |_| {
        shared.live.update(|live| *live = !*live);
        shared.look();
    };
    let word = move || match (shared.connection.get(), shared.live.get()) {
        (connection, _) if connection.is_lost() => "Not connected",
        (_, false) => "Paused",
        (connection, true) => match connection.source {
            Source::Events => "Live",
            Source::Polling => "Live, each second",
            Source::Unknown => "Connecting",
        },
    };
    view! {
        <button class="live" class:lost=move || shared.connection.get().is_lost() class:paused=move || !shared.live.get()
            aria-pressed=move || (!shared.live.get()).to_string() title="Stop or resume following by itself" on:click=toggle>
            <span class="dot" aria-hidden="true"></span>
            <span>{word}</span>
            {move || view! { <Icon glyph=if shared.live.get() { Glyph::Pause } else { Glyph::Play } /> }}
        </button>
    }
}

/// Says that the host is lost, as long as it is.
#[component]
pub(super) fn Connection() -> impl IntoView {
    let shared = Shared::of_page();
    let is_lost = Memo::new(move |_| shared.connection.get().is_lost());
    let told = move || {
        is_lost.get().then(|| view! {
        <div class="banner" role="alert">
            <Icon glyph=Glyph::Warning />
            <p><strong>"The host does not answer. "</strong>"What is shown may be out of date; the page tries again by itself."</p>
            <button class="button small" on:click=move |_| shared.look()>"Try now"</button>
        </div>
    })
    };
    Effect::new(move |_| {
        if let Some(root) = document().document_element() {
            let _ = root.toggle_attribute_with_force("data-lost", is_lost.get());
        }
    });
    told
}

/// Says that the host changes nothing, where that is so.
#[component]
pub(super) fn ReadOnly() -> impl IntoView {
    let shared = Shared::of_page();
    let is_read_only = Memo::new(move |_| shared.access.with(Access::is_read_only));
    view! {
        <p class="read-only quiet" hidden=move || !is_read_only.get()>
            "This host is read-only: everything can be looked at here, and nothing be changed."
        </p>
    }
}
