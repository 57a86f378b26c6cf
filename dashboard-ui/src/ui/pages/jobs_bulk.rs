//! What can be done with the selected jobs, be they those of the page or all that pass the filter.

use futures::future::join_all;
use leptos::{prelude::*, task::spawn_local};
use windlass_api::{JobFilter, JobId, Role, State};

use super::jobs::JobsPage;
use crate::{
    format::{count, plural},
    model::{
        bulk::{AT_ONCE, Bulk, Passing, fits_filter, request},
        job::Action,
        jobs::Event,
    },
    ui::{
        bulk,
        parts::{Glyph, Icon},
        shared::Offer,
    },
};

/// Which jobs something is done to.
#[derive(Clone, PartialEq)]
enum Target {
    These(Vec<(JobId, State)>),
    Filter(JobFilter, Passing),
}

impl Target {
    fn total(&self) -> u64 {
        match self {
            Self::These(jobs) => jobs.len() as u64,
            Self::Filter(_, passing) => passing.in_one_go(),
        }
    }
}

/// An action that goes on, or may be begun.
#[derive(Clone, Copy)]
struct Work {
    page: JobsPage,
    /// How many were treated, and of how many.
    running: RwSignal<Option<(usize, usize)>>,
    stop: RwSignal<bool>,
}

#[component]
pub(super) fn BulkBar(page: JobsPage) -> impl IntoView {
    let work = Work { page, running: RwSignal::new(None), stop: RwSignal::new(false) };
    // The bar stays while what is selected changes, and with it the focus.
    let is_offered = Memo::new(move |_| {
        work.running.get().is_none()
            && page.shared.may(Role::Operator)
            && page.jobs.with(|jobs| jobs.is_whole || !jobs.selection().is_empty())
    });
    let progress = move || {
        work.running.get().map(|(treated, total)| {
            #[expect(clippy::cast_precision_loss, reason = "pixels")]
            let width = (treated as f64 / total.max(1) as f64 * 100.0).min(100.0);
            view! {
                <div class="bulk" role="status">
                    <span class="number">{format!("{} of {} …", count(treated as u64), count(total.max(treated) as u64))}</span>
                    <svg class="meter wide" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
                        <rect class="meter-all" width="100" height="6"></rect>
                        <rect class="meter-used" width=width.to_string() height="6"></rect>
                    </svg>
                    <button class="button small" on:click=move |_| work.stop.set(true)><Icon glyph=Glyph::Close />"Stop"</button>
                </div>
            }
        })
    };
    view! {
        <div class="bulk-place">
            {move || is_offered.get().then(|| view! { <Offered work=work /> })}
            {progress}
        </div>
    }
}

#[component]
fn Offered(work: Work) -> impl IntoView {
    let page = work.page;
    let is_whole = Memo::new(move |_| page.jobs.with(|jobs| jobs.is_whole));
    let selected = Memo::new(move |_| {
        page.jobs.with(|jobs| jobs.selection().into_iter().map(|job| (job.id, job.state)).collect::<Vec<_>>())
    });
    // The whole filter is offered to whoever has selected the whole page, where there is more than that.
    let beyond = move || {
        let passing = page.whole()?;
        let is_all = page.jobs.with(|jobs| jobs.is_all_selected() && !jobs.is_whole);
        (is_all && passing.count > selected.get().len() as u64).then_some(passing)
    };
    let target = move |action: Action| match page.passing() {
        Some(passing) if is_whole.get() => {
            let filter = page.shown.get().filter;
            fits_filter(action, filter.state).then_some(Target::Filter(filter, passing))
        }
        _ => {
            let fitting: Vec<_> = selected.get().into_iter().filter(|(_, state)| action.fits(*state)).collect();
            (!fitting.is_empty()).then_some(Target::These(fitting))
        }
    };
    let button = move |action: Action| {
        let target = Memo::new(move |_| target(action));
        let label = move || target.with(|target| target.as_ref().map(|target| label(action, target)));
        let act = move |_| {
            if let Some(target) = target.get_untracked() {
                ask(work, action, target);
            }
        };
        view! {
            <button class="button small" class:danger=action.destroys() hidden=move || target.with(Option::is_none) on:click=act>{label}</button>
        }
    };
    let told = move || match page.passing() {
        Some(passing) if is_whole.get() => format!("{} of this filter selected", passing.words()),
        _ => format!("{} selected", plural(selected.get().len() as u64, "job", "jobs")),
    };
    view! {
        <div class="bulk" role="region" aria-label="Selected jobs">
            <span class="number">{told}</span>
            {move || beyond().map(|passing| view! {
                <button class="button quiet small" on:click=move |_| page.happen(Event::WholeSelected)>{format!("Select {} of this filter", passing.words())}</button>
            })}
            {Action::ALL.map(button).into_iter().collect_view()}
            <button class="button quiet small" on:click=move |_| page.happen(Event::Cleared)>"Select none"</button>
        </div>
    }
}

fn label(action: Action, target: &Target) -> String {
    let state = match target {
        Target::These(jobs) => {
            jobs.first().map(|(_, first)| *first).filter(|first| jobs.iter().all(|(_, state)| state == first))
        }
        Target::Filter(filter, _) => filter.state,
    };
    format!("{} {}", action.label(state), count(target.total()))
}

/// Asks first where something is destroyed, or where not everything that it is done to can be seen.
fn ask(work: Work, action: Action, target: Target) {
    let (jobs, whole) = match &target {
        Target::These(jobs) => (plural(jobs.len() as u64, "job", "jobs"), ""),
        Target::Filter(_, passing) => {
            (passing.words(), "This is about every job of the filter, those on other pages included. ")
        }
    };
    let is_of_any_state = matches!(&target, Target::Filter(filter, _) if filter.state.is_none());
    let (verb, consequence) = match action {
        Action::Delete if is_of_any_state => (
            "Delete",
            "Those that run are stopped; what they have done outside stays done. Until their retention ends they can be \
             enqueued again.",
        ),
        Action::Delete => ("Delete", "They will not run. Until their retention ends they can be enqueued again."),
        Action::Cancel => ("Cancel", "Their sandboxes are stopped; what they have done outside stays done."),
        Action::Requeue | Action::RequeueNewest if whole.is_empty() => return run(work, action, target),
        Action::Requeue => ("Enqueue", "They run again on the version that they started with."),
        Action::RequeueNewest => ("Enqueue", "They run again on the version that is active now."),
    };
    let yes = format!("{verb} {}", plural(target.total(), "job", "jobs"));
    let go = move || run(work, action, target.clone());
    work.page.shared.ask(format!("{verb} {jobs}?"), format!("{whole}{consequence}"), yes, go);
}

fn run(work: Work, action: Action, target: Target) {
    let page = work.page;
    // What is selected is known by now; without a selection the list follows what happens.
    page.happen(Event::Cleared);
    match target {
        Target::These(jobs) => treat(work, action, jobs),
        Target::Filter(filter, _) => bulk::begin(page.shared, request(action, filter)),
    }
}

/// Treats these, some at a time.
fn treat(work: Work, action: Action, jobs: Vec<(JobId, State)>) {
    let Work { page, running, stop } = work;
    let mut bulk = Bulk::new(action, jobs.len());
    stop.try_set(false);
    running.try_set(Some((0, bulk.total)));
    spawn_local(async move {
        for some in jobs.chunks(AT_ONCE) {
            if stop.try_get_untracked() == Some(true) {
                bulk.stopped = Some("somebody stopped it".to_owned());
            }
            if bulk.stopped.is_some() {
                break;
            }
            let api = page.shared.api();
            let answers = join_all(some.iter().map(|(id, state)| api.act(action, *id, Some(*state)))).await;
            for ((id, _), answer) in some.iter().zip(answers) {
                bulk.take(*id, answer);
            }
            running.try_set(Some((bulk.treated(), bulk.total)));
        }
        running.try_set(None);
        page.happen(Event::ShowHeld);
        page.shared.look();
        let is_bad = !bulk.refused.is_empty() || bulk.stopped.is_some();
        let undo = (action == Action::Delete && !bulk.done.is_empty()).then(|| {
            let deleted: Vec<_> = bulk.done.iter().map(|id| (*id, State::Deleted)).collect();
            Offer {
                label: "Enqueue them again".to_owned(),
                action: Callback::new(move |()| treat(work, Action::Requeue, deleted.clone())),
            }
        });
        page.shared.toast(bulk.summary(), is_bad, undo);
    });
}
