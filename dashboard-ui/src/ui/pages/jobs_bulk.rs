//! What can be done with the selected jobs, be they those of the page or all that pass the filter.

use futures::future::join_all;
use leptos::{prelude::*, task::spawn_local};
use windlass_api::{JobId, State};

use super::jobs::JobsPage;
use crate::{
    filter::Shown,
    format::{count, plural},
    model::{
        bulk::{AT_ONCE, Bulk, Passing, fits_filter},
        job::Action,
        jobs::Event,
    },
    ui::{
        parts::{Glyph, Icon},
        shared::Offer,
    },
};

/// How many jobs of a filter are read at once; the most that the host gives.
const READ: usize = 1_000;

/// Which jobs something is done to.
#[derive(Clone, PartialEq)]
enum Target {
    These(Vec<(JobId, State)>),
    Filter(Shown, Passing),
}

impl Target {
    fn total(&self) -> usize {
        match self {
            Self::These(jobs) => jobs.len(),
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
        work.running.get().is_none() && page.jobs.with(|jobs| jobs.is_whole || !jobs.selection().is_empty())
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
        let passing = page.passing()?;
        let is_all = page.jobs.with(|jobs| jobs.is_all_selected() && !jobs.is_whole);
        (is_all && passing.count > selected.get().len() as u64).then_some(passing)
    };
    let target = move |action: Action| match page.passing() {
        Some(passing) if is_whole.get() => {
            let shown = page.shown.get();
            fits_filter(action, shown.filter.state).then_some(Target::Filter(shown, passing))
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
        Target::Filter(shown, _) => shown.filter.state,
    };
    format!("{} {}", action.label(state), count(target.total() as u64))
}

/// Asks first where something is destroyed, or where not everything that it is done to can be seen.
fn ask(work: Work, action: Action, target: Target) {
    let (jobs, whole) = match &target {
        Target::These(jobs) => (plural(jobs.len() as u64, "job", "jobs"), ""),
        Target::Filter(_, passing) => {
            (passing.words(), "This is about every job of the filter, those on other pages included. ")
        }
    };
    let (verb, consequence) = match action {
        Action::Delete => ("Delete", "They will not run. Until their retention ends they can be enqueued again."),
        Action::Cancel => ("Cancel", "Their sandboxes are stopped; what they have done outside stays done."),
        Action::Requeue | Action::RequeueNewest if whole.is_empty() => return run(work, action, target),
        Action::Requeue => ("Enqueue", "They run again on the version that they started with."),
        Action::RequeueNewest => ("Enqueue", "They run again on the version that is active now."),
    };
    let yes = format!("{verb} {}", plural(target.total() as u64, "job", "jobs"));
    let go = move || run(work, action, target.clone());
    work.page.shared.ask(format!("{verb} {jobs}?"), format!("{whole}{consequence}"), yes, go);
}

fn run(work: Work, action: Action, target: Target) {
    let Work { page, running, stop } = work;
    let mut bulk = Bulk::new(action, target.total());
    stop.set(false);
    running.set(Some((0, bulk.total)));
    // What is selected is known by now; without a selection the list follows what happens.
    page.happen(Event::Cleared);
    spawn_local(async move {
        match target {
            Target::These(jobs) => treat(work, &mut bulk, &jobs).await,
            Target::Filter(shown, _) => treat_filter(work, &mut bulk, shown).await,
        }
        running.try_set(None);
        page.happen(Event::ShowHeld);
        page.shared.look();
        let is_bad = !bulk.refused.is_empty() || bulk.stopped.is_some();
        let undo = (action == Action::Delete && !bulk.done.is_empty()).then(|| {
            let deleted: Vec<_> = bulk.done.iter().map(|id| (*id, State::Deleted)).collect();
            Offer {
                label: "Enqueue them again".to_owned(),
                action: Callback::new(move |()| run(work, Action::Requeue, Target::These(deleted.clone()))),
            }
        });
        page.shared.toast(bulk.summary(), is_bad, undo);
    });
}

/// Treats these, some at a time.
async fn treat(work: Work, bulk: &mut Bulk, jobs: &[(JobId, State)]) {
    let api = work.page.shared.api();
    for some in jobs.chunks(AT_ONCE) {
        // Whoever leaves the page stops it too.
        if work.stop.try_get_untracked() != Some(false) {
            bulk.stopped = Some("somebody stopped it".to_owned());
        }
        if bulk.stopped.is_some() {
            return;
        }
        let answers = join_all(some.iter().map(|(id, state)| api.act(bulk.action, *id, Some(*state)))).await;
        for ((id, _), answer) in some.iter().zip(answers) {
            bulk.take(*id, answer);
        }
        work.running.try_set(Some((bulk.treated(), bulk.total)));
    }
}

/// Treats what passes a filter, from the newest back. Each page begins behind the one before, so that a job which fails
/// anew meanwhile is not treated twice, and none that comes meanwhile is.
async fn treat_filter(work: Work, bulk: &mut Bulk, shown: Shown) {
    let mut shown = Shown { cursor: None, size: READ, ..shown };
    loop {
        let listed = match work.page.shared.api().jobs(&shown).await {
            Ok(listed) => listed,
            Err(trouble) => {
                bulk.stopped = Some(trouble.to_string());
                return;
            }
        };
        let read = listed.items.len();
        let mut jobs: Vec<_> = listed.items.into_iter().map(|job| (job.id, job.state)).collect();
        jobs.retain(|(_, state)| bulk.action.fits(*state));
        bulk.unfit += read - jobs.len();
        let room = bulk.room();
        bulk.more = jobs.len() > room || jobs.len() == room && listed.next.is_some();
        jobs.truncate(room);
        treat(work, bulk, &jobs).await;
        if bulk.stopped.is_some() || bulk.room() == 0 || listed.next.is_none() {
            return;
        }
        shown.cursor = listed.next;
    }
}
