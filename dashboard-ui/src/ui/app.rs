//! The page as a whole: its frame, its routes, and what starts it.

use leptos::prelude::*;
use leptos_router::{
    components::{FlatRoutes, Route, Router},
    hooks::use_location,
    path,
};

use super::{
    browser,
    navigation::{Connection, Navigation},
    pages::{Job, Jobs, Module, Modules, NotFound, Overview, Queues, Run, Servers, Settings},
    parts::{Confirmation, Toasts},
    shared::Shared,
    shortcuts, stream,
};

/// Puts the dashboard on the page.
pub fn start() {
    // What stood there said that it was loading.
    if let Some(loading) = document().get_element_by_id("loading") {
        loading.remove();
    }
    mount_to_body(App);
}

#[component]
fn App() -> impl IntoView {
    let shared = Shared::new();
    provide_context(shared);
    stream::start(shared);
    view! {
        <Router base=browser::base_path()>
            <Frame />
        </Router>
    }
}

#[component]
fn Frame() -> impl IntoView {
    let shared = Shared::of_page();
    shortcuts::listen(shared);
    let path = use_location().pathname;
    // Whoever cannot see the page hears that it is another one.
    Effect::new(move |before: Option<String>| {
        let path = path.get();
        if before.is_some_and(|before| before != path) {
            browser::focus("main");
        }
        path
    });
    view! {
        <button class="skip" on:click=move |_| browser::focus("main")>"Skip to content"</button>
        <Navigation />
        <main id="main" tabindex="-1">
            <Connection />
            <FlatRoutes fallback=|| view! { <NotFound /> }>
                <Route path=path!("/") view=Overview />
                <Route path=path!("/jobs") view=Jobs />
                <Route path=path!("/jobs/:id") view=Job />
                <Route path=path!("/run") view=Run />
                <Route path=path!("/queues") view=Queues />
                <Route path=path!("/modules") view=Modules />
                <Route path=path!("/modules/:name") view=Module />
                <Route path=path!("/servers") view=Servers />
                <Route path=path!("/settings") view=Settings />
            </FlatRoutes>
        </main>
        <Confirmation />
        <Toasts />
    }
}
