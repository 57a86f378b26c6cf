//! The page as a whole: its frame, its routes, and what starts it.

use leptos::prelude::*;
use leptos_router::{
    components::{FlatRoutes, Route, Router},
    hooks::use_location,
    path,
};

use super::{
    browser,
    later::Later,
    navigation::{Connection, Navigation, ReadOnly},
    pages::NotFound,
    parts::{Confirmation, Toasts},
    shared::Shared,
    shortcuts, stream,
};
use crate::{
    model::access::Access,
    pages::{self, Page},
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
                // By their shape: one for each page is code for each, and one for all of them breaks where the dashboard is
                // under a path.
                <Route path=path!("/") view=Routed />
                <Route path=path!("/:page") view=Routed />
                <Route path=path!("/:page/:name") view=Routed />
            </FlatRoutes>
        </main>
    }
}

/// What the path of the present page names, such as the id of a job.
#[derive(Clone, Copy)]
pub(super) struct Named(pub(super) Memo<String>);

impl Named {
    /// That of this page.
    pub(super) fn of_page() -> Memo<String> {
        use_context::<Self>().map_or_else(|| Memo::new(|_| String::new()), |named| named.0)
    }
}

/// The page at the present path. Where only what the path names changes, the page stays.
#[component]
fn Routed() -> impl IntoView {
    let path = use_location().pathname;
    let here = Memo::new(move |_| {
        let path = path.get();
        let path = path.strip_prefix(&browser::base_path()).unwrap_or(&path).trim_matches('/');
        pages::at(path).map(|(page, name)| (page, name.to_owned()))
    });
    let page = Memo::new(move |_| here.with(|here| here.as_ref().map(|(page, _)| *page)));
    move || {
        let Some(page) = page.get() else { return view! { <NotFound /> }.into_any() };
        // What the next page is named is not this one's.
        let name = Memo::new(move |before: Option<&String>| {
            here.with(|here| match here {
                Some((now, name)) if *now == page => name.clone(),
                _ => before.cloned().unwrap_or_default(),
            })
        });
        provide_context(Named(name));
        view! { <Later page=page /> }.into_any()
    }
}
