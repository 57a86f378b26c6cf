//! What can be done with the selected jobs, be they those of the page or all that pass the filter.

use leptos::prelude::*;
use windlass_api::{JobFilter, JobId, Role, State};

use super::jobs::JobsPage;
use crate::{
    format::{count, plural},
    model::{
        bulk::{Passing, common_state, fits_filter, request, request_on},
        job::Action,
        jobs::Event,
    },
    ui::bulk,
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

#[component]
pub(super) fn BulkBar(page: JobsPage) -> impl IntoView {
    // The bar stays while what is selected changes, and with it the focus.
    let is_offered = Memo::new(move |_| {
        page.shared.may(Role::Operator) && page.jobs.with(|jobs| jobs.is_whole || !jobs.selection().is_empty())
    });
    view! { <div class="bulk-place">{move || is_offered.get().then(|| view! { <Offered page=page /> })}</div> }
}

#[component]
fn Offered(page: JobsPage) -> impl IntoView {
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
                ask(page, action, target);
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
        Target::These(jobs) => common_state(jobs),
        Target::Filter(filter, _) => filter.state,
    };
    format!("{} {}", action.label(state), count(target.total()))
}

/// Asks first where something is destroyed, or where not everything that it is done to can be seen.
fn ask(page: JobsPage, action: Action, target: Target) {
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
        Action::Requeue | Action::RequeueNewest if whole.is_empty() => return run(page, action, &target),
        Action::Requeue => ("Enqueue", "They run again on the version that they started with."),
        Action::RequeueNewest => ("Enqueue", "They run again on the version that is active now."),
    };
    let yes = format!("{verb} {}", plural(target.total(), "job", "jobs"));
    let go = move || run(page, action, &target);
    page.shared.ask(format!("{verb} {jobs}?"), format!("{whole}{consequence}"), yes, go);
}

fn run(page: JobsPage, action: Action, target: &Target) {
    // What is selected is known by now; without a selection the list follows what happens.
    page.happen(Event::Cleared);
    page.happen(Event::ShowHeld);
    match target {
        Target::These(jobs) => {
            // What was deleted by hand is as easily brought back.
            let undo = (action == Action::Delete).then(|| {
                let deleted: Vec<_> = jobs.iter().map(|(id, _)| (*id, State::Deleted)).collect();
                request_on(Action::Requeue, &deleted)
            });
            bulk::begin(page.shared, request_on(action, jobs), undo);
        }
        Target::Filter(filter, _) => bulk::begin(page.shared, request(action, filter.clone()), None),
    }
}
