//! Pages, which are fetched when they are first shown: whoever opens one does not wait for the code of all. What stands
//! together here is fetched together; it is split off from the whole when the dashboard is built
//! (`xtask/src/dashboard/split.rs`).

use leptos::{
    prelude::*,
    task::spawn_local,
    wasm_split::{SplitLoaderError, wasm_split},
};

use super::{
    pages::{
        Audit, ChangeRecurring, Flow, Job, Jobs, Module, Modules, NewRecurring, Overview, Queues, Recurring,
        RecurringJob, Run, Servers, Settings,
    },
    parts::{Empty, Loading},
    sign_in::SignIn,
};
use crate::pages::Page;

/// Draws a page. A plain function, so that what is fetched is drawn under the page's own owner.
type Draw = fn() -> AnyView;

/// What draws a page.
async fn fetch(page: Page) -> Result<Draw, SplitLoaderError> {
    match page {
        Page::Overview => overview(page).await,
        Page::Jobs => jobs(page).await,
        Page::Job => job(page).await,
        Page::Flow => flow(page).await,
        Page::Run => run(page).await,
        Page::Recurring | Page::RecurringJob => recurring(page).await,
        Page::NewRecurring | Page::ChangeRecurring => schedule(page).await,
        Page::Modules | Page::Module => modules(page).await,
        Page::Queues | Page::Servers | Page::Audit | Page::Settings => hosts(page).await,
        Page::SignIn => sign_in(page).await,
    }
}

#[wasm_split(overview, wasm_split_path = leptos::wasm_split, fallible)]
fn overview(_: Page) -> Result<Draw, SplitLoaderError> {
    Ok(|| view! { <Overview /> }.into_any())
}

#[wasm_split(jobs, wasm_split_path = leptos::wasm_split, fallible)]
fn jobs(_: Page) -> Result<Draw, SplitLoaderError> {
    Ok(|| view! { <Jobs /> }.into_any())
}

#[wasm_split(job, wasm_split_path = leptos::wasm_split, fallible)]
fn job(_: Page) -> Result<Draw, SplitLoaderError> {
    Ok(|| view! { <Job /> }.into_any())
}

#[wasm_split(flow, wasm_split_path = leptos::wasm_split, fallible)]
fn flow(_: Page) -> Result<Draw, SplitLoaderError> {
    Ok(|| view! { <Flow /> }.into_any())
}

#[wasm_split(run, wasm_split_path = leptos::wasm_split, fallible)]
fn run(_: Page) -> Result<Draw, SplitLoaderError> {
    Ok(|| view! { <Run /> }.into_any())
}

#[wasm_split(recurring, wasm_split_path = leptos::wasm_split, fallible)]
fn recurring(page: Page) -> Result<Draw, SplitLoaderError> {
    Ok(match page {
        Page::RecurringJob => || view! { <RecurringJob /> }.into_any(),
        _ => || view! { <Recurring /> }.into_any(),
    })
}

#[wasm_split(schedule, wasm_split_path = leptos::wasm_split, fallible)]
fn schedule(page: Page) -> Result<Draw, SplitLoaderError> {
    Ok(match page {
        Page::ChangeRecurring => || view! { <ChangeRecurring /> }.into_any(),
        _ => || view! { <NewRecurring /> }.into_any(),
    })
}

#[wasm_split(modules, wasm_split_path = leptos::wasm_split, fallible)]
fn modules(page: Page) -> Result<Draw, SplitLoaderError> {
    Ok(match page {
        Page::Module => || view! { <Module /> }.into_any(),
        _ => || view! { <Modules /> }.into_any(),
    })
}

#[wasm_split(hosts, wasm_split_path = leptos::wasm_split, fallible)]
fn hosts(page: Page) -> Result<Draw, SplitLoaderError> {
    Ok(match page {
        Page::Queues => || view! { <Queues /> }.into_any(),
        Page::Servers => || view! { <Servers /> }.into_any(),
        Page::Audit => || view! { <Audit /> }.into_any(),
        _ => || view! { <Settings /> }.into_any(),
    })
}

#[wasm_split(sign_in, wasm_split_path = leptos::wasm_split, fallible)]
fn sign_in(_: Page) -> Result<Draw, SplitLoaderError> {
    Ok(|| view! { <SignIn /> }.into_any())
}

/// A page, as soon as it is there.
#[component]
pub(super) fn Later(page: Page) -> impl IntoView {
    let drawn = RwSignal::new(None::<Option<Draw>>);
    let begin = move || {
        drawn.set(None);
        spawn_local(async move {
            let fetched = fetch(page).await.ok();
            // The viewer may be elsewhere by now.
            drawn.try_set(Some(fetched));
        });
    };
    begin();
    move || match drawn.get() {
        Some(Some(draw)) => draw(),
        Some(None) => view! {
            <Empty title="This page could not be fetched">
                <p>"The host does not answer, or it is of another version by now: then reload the dashboard."</p>
                <button class="button primary" on:click=move |_| begin()>"Try again"</button>
                <a class="button" rel="external" href="">"Reload"</a>
            </Empty>
        }
        .into_any(),
        None => view! { <Loading what="the page" /> }.into_any(),
    }
}
