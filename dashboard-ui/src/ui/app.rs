//! The page as a whole: its frame, its routes, and what starts it.

use leptos::prelude::*;
use leptos_router::{
    components::{FlatRoutes, Route, Router},
    hooks::use_location,
    path,
};

use super::{
    browser,
    later::{Later, Page},
    navigation::{Connection, Navigation, ReadOnly},
    pages::NotFound,
    parts::{Confirmation, Toasts},
    shared::Shared,
    shortcuts,
    stream,
};
use crate::model::access::Access;

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
    let is_out = Memo::new(move |_| shared.access.with(|access| matches!(access, Access::Out(_))));
    view! {
        {move || is_out.get().then(|| view! { <div class="sign-in-place"><Later page=Page::SignIn /></div> })}
        // Behind the question who one is all stays as it was, so that nothing that was typed is lost.
        <div class="frame" hidden=is_out>
            {move || {
                // Nothing that was shown to somebody else.
                shared.viewers.track();
                view! { <Pages /> }
            }}
        </div>
        <Confirmation />
        <Toasts />
    }
}

#[component]
fn Pages() -> impl IntoView {
    view! {
        <button class="skip" on:click=move |_| browser::focus("main")>"Skip to content"</button>
        <Navigation />
        <main id="main" tabindex="-1">
            <Connection />
            <ReadOnly />
            <FlatRoutes fallback=|| view! { <NotFound /> }>
                <Route path=path!("/") view=|| view! { <Later page=Page::Overview /> } />
                <Route path=path!("/jobs") view=|| view! { <Later page=Page::Jobs /> } />
                <Route path=path!("/jobs/:id") view=|| view! { <Later page=Page::Job /> } />
                <Route path=path!("/flow/:id") view=|| view! { <Later page=Page::Flow /> } />
                <Route path=path!("/run") view=|| view! { <Later page=Page::Run /> } />
                <Route path=path!("/queues") view=|| view! { <Later page=Page::Queues /> } />
                <Route path=path!("/recurring") view=|| view! { <Later page=Page::Recurring /> } />
                <Route path=path!("/recurring/:name") view=|| view! { <Later page=Page::RecurringJob /> } />
                <Route path=path!("/new-recurring") view=|| view! { <Later page=Page::NewRecurring /> } />
                <Route path=path!("/modules") view=|| view! { <Later page=Page::Modules /> } />
                <Route path=path!("/modules/:name") view=|| view! { <Later page=Page::Module /> } />
                <Route path=path!("/servers") view=|| view! { <Later page=Page::Servers /> } />
                <Route path=path!("/audit") view=|| view! { <Later page=Page::Audit /> } />
                <Route path=path!("/settings") view=|| view! { <Later page=Page::Settings /> } />
            </FlatRoutes>
        </main>
    }
}
