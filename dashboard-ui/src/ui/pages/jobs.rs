//! The list of jobs.

use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_navigate};
use windlass_api::{FilteredCount, JobFilter, Role, State};

use super::{Head, jobs_bulk::BulkBar, jobs_filter::Filters, jobs_table::Table};
use crate::{
    filter::Shown,
    format::{compact, count, plural},
    model::{
        Loaded,
        bulk::Passing,
        jobs::{self, Event},
        news::Topic,
    },
    ui::{
        bulk::{self, BulkActions},
        parts::{Empty, Failed, Instant, Loading, Stale},
        shared::{Rounds, Shared},
    },
};

/// What the parts of the page share.
#[derive(Clone, Copy)]
pub(super) struct JobsPage {
    pub(super) shared: Shared,
    pub(super) jobs: RwSignal<jobs::Jobs>,
    /// What the URL asks for.
    pub(super) shown: Memo<Shown>,
    /// Whether somebody works in the list, so that nothing may move.
    pub(super) is_busy: RwSignal<bool>,
    /// How many jobs pass the filter, where more than the state narrows it.
    counted: RwSignal<Loaded<FilteredCount>>,
    go: StoredValue<Box<dyn Fn(String) + Send + Sync>>,
}

impl JobsPage {
    pub(super) fn happen(self, event: Event) {
        let _ = self.jobs.try_update(|jobs| jobs::update(event, jobs));
    }

    /// Shows something else: by way of the URL, so that the browser's own buttons lead back.
    pub(super) fn show(self, shown: &Shown) {
        let query = shown.write();
        let path = if query.is_empty() { "/jobs".to_owned() } else { format!("/jobs?{query}") };
        self.go.with_value(|go| go(path));
    }

    /// How many jobs pass the filter; read reactively.
    pub(super) fn passing(self) -> Option<Passing> {
        let shown = self.shown.get();
        if shown.is_narrow() {
            return self
                .counted
                .with(|counted| counted.value.map(|FilteredCount { count, more }| Passing { count, more }));
        }
        self.shared.counts.with(|counts| {
            let counts = counts.value.as_ref()?;
            let count = shown.filter.state.map_or_else(|| counts.0.values().sum(), |state| counts.of(state));
            Some(Passing { count, more: false })
        })
    }

    /// How many jobs the whole filter would be about; absent where it does not narrow anything: nothing is done to all
    /// jobs that there are by a click. Read reactively.
    pub(super) fn whole(self) -> Option<Passing> {
        let is_some = self.shown.with(|shown| shown.filter != JobFilter::default());
        self.passing().filter(|_| is_some)
    }

    fn must_hold(self) -> bool {
        self.is_busy.try_get_untracked().unwrap_or_default()
            || self.jobs.try_with_untracked(|jobs| !jobs.selected.is_empty()).unwrap_or_default()
    }
}

#[component]
pub(in crate::ui) fn Jobs() -> impl IntoView {
    let shared = Shared::of_page();
    let search = use_location().search;
    let read = Memo::new(move |_| Shown::read(&search.get()));
    let navigate = use_navigate();
    let page = JobsPage {
        shared,
        jobs: RwSignal::new(jobs::Jobs::default()),
        shown: Memo::new(move |_| read.get().0),
        is_busy: RwSignal::new(false),
        counted: RwSignal::new(Loaded::default()),
        go: StoredValue::new(Box::new(move |path| navigate(&path, Default::default()))),
    };
    let counted = page.counted;
    Effect::new(move |_| {
        page.shown.track();
        page.happen(Event::Asked);
        counted.set(Loaded::default());
        shared.news_of(&[Topic::Counts, Topic::Second]);
    });
    let news = shared.of_topic(Topic::Counts);
    shared.follow(&[Topic::Counts, Topic::Second], move || async move {
        let is_news = news.are_there();
        // No event tells how far a job is that runs.
        let runs =
            page.jobs.try_with_untracked(|jobs| jobs.rows().iter().any(|row| row.job.state == State::Processing));
        if !is_news && runs != Some(true) {
            return;
        }
        let (Some(shown), Some(question)) =
            (page.shown.try_get_untracked(), page.jobs.try_with_untracked(jobs::Jobs::question))
        else {
            return;
        };
        let answer = shared.api().jobs(&shown).await;
        page.happen(Event::Arrived { question, answer, hold: page.must_hold() });
    });
    let rounds = Rounds::new();
    shared.follow(&[Topic::Second], move || async move {
        let Some(shown) = page.shown.try_get_untracked().filter(Shown::is_narrow) else { return };
        // A count may take the host 50 ms: not each second.
        let is_known = counted.try_with_untracked(|counted| counted.value.is_some() || counted.trouble.is_some());
        if !rounds.is_turn(5) && is_known == Some(true) {
            return;
        }
        let answer = shared.api().count(&shown).await;
        counted.try_update(|counted| counted.take(answer));
    });
    bulk::adopt(shared);
    let nonsense = move || read.get().1.into_iter().map(|reason| view! { <li>{reason}</li> }).collect_view();
    view! {
        <Head title="Jobs">
            <span class="quiet number">{move || counted.get().value.map(|counted| match counted.more {
                true => format!("{} or more jobs", count(counted.count)),
                false => plural(counted.count, "job", "jobs"),
            })}</span>
            <a class="button primary" hidden=move || !shared.may(Role::Operator) href="run">"Run a job"</a>
        </Head>
        <Tabs page=page />
        <Filters page=page />
        {move || (!read.get().1.is_empty()).then(|| view! {
            <div class="stale" role="alert">
                <p>"Some of this address makes no sense and was left out:"</p>
                <ul>{nonsense}</ul>
            </div>
        })}
        <Stale trouble=Signal::derive(move || page.jobs.with(|jobs| jobs.listed.value.is_some().then(|| jobs.listed.trouble.clone()).flatten())) />
        <BulkActions shared=shared />
        <BulkBar page=page />
        <List page=page />
        <Pager page=page />
    }
}

/// The states, with what is in each.
#[component]
fn Tabs(page: JobsPage) -> impl IntoView {
    let tab = move |state: Option<State>| {
        let label = state.map_or("all", State::as_str);
        let number = move || {
            page.shared.counts.with(|counts| {
                let counts = counts.value.as_ref()?;
                Some(compact(state.map_or_else(|| counts.0.values().sum(), |state| counts.of(state))))
            })
        };
        let href = move || format!("jobs?{}", page.shown.get().with("state", state.map_or("", State::as_str)).write());
        view! {
            <a class="tab" href=href aria-current=move || (page.shown.get().filter.state == state).then_some("page")>
                {label}
                <span class="number">{number}</span>
            </a>
        }
    };
    let tabs = std::iter::once(None).chain(State::ALL.iter().copied().map(Some)).map(tab);
    view! { <nav class="tabs" aria-label="Jobs by state">{tabs.collect_view()}</nav> }
}

/// The jobs, or what stands in their place.
#[component]
fn List(page: JobsPage) -> impl IntoView {
    let what = Memo::new(move |_| {
        page.jobs.with(|jobs| match (&jobs.listed.value, &jobs.listed.trouble) {
            (Some(listed), _) if listed.rows.is_empty() => (1, None),
            (Some(_), _) => (2, None),
            (None, Some(trouble)) => (3, Some(trouble.clone())),
            (None, None) => (0, None),
        })
    });
    move || match what.get() {
        (2, _) => view! { <Table page=page /> }.into_any(),
        (1, _) => view! { <NoJobs page=page /> }.into_any(),
        (_, Some(trouble)) => view! { <Failed what="list of jobs" trouble=trouble /> }.into_any(),
        _ => view! { <Loading what="jobs" /> }.into_any(),
    }
}

#[component]
fn NoJobs(page: JobsPage) -> impl IntoView {
    move || {
        let shown = page.shown.get();
        if shown.is_narrow() {
            return view! {
                <Empty title="No job passes this filter">
                    <button class="button" on:click=move |_| page.show(&Shown::default())>"Show all jobs"</button>
                </Empty>
            }
            .into_any();
        }
        match shown.filter.state {
            Some(state) => view! {
                <Empty title=format!("No job is {state}")><p>"As soon as one is, it shows here by itself."</p></Empty>
            }
            .into_any(),
            None => view! {
                <Empty title="There are no jobs yet">
                    <p>"Deploy a module, then run one of its handlers. Finished jobs are kept for a day, failed ones for thirty."</p>
                    <a class="button primary" hidden=move || !page.shared.may(Role::Operator) href="run">"Run a job"</a>
                    <a class="button" hidden=move || !page.shared.may(Role::Deployer) href="modules">"Deploy a module"</a>
                </Empty>
            }
            .into_any(),
        }
    }
}

/// To the other pages of the list.
#[component]
fn Pager(page: JobsPage) -> impl IntoView {
    let next = move || page.jobs.with(|jobs| jobs.listed.value.as_ref().and_then(|listed| listed.next.clone()));
    let searched = move || page.jobs.with(|jobs| jobs.listed.value.as_ref().and_then(|listed| listed.searched_to));
    view! {
        <nav class="pager" aria-label="Pages of the list">
            {move || searched().map(|to| view! { <p class="quiet">"Searched back to " <Instant at=to time_of_day=true /></p> })}
            {move || page.shown.get().cursor.is_some().then(|| view! {
                <a class="button" href=move || format!("jobs?{}", page.shown.get().with("cursor", "").write())>"Newest"</a>
            })}
            {move || next().map(|next| view! {
                <a class="button" href=format!("jobs?{}", page.shown.get().with("cursor", &next).write())>
                    {move || if searched().is_some() { "Search further back" } else { "Older" }}
                </a>
            })}
        </nav>
    }
}
