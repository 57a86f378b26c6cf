//! What can be done with the selected jobs, one after the other.

use leptos::{prelude::*, task::spawn_local};
use windlass_api::{JobId, State};

use super::jobs::JobsPage;
use crate::{
    format::plural,
    model::{bulk::Bulk, job::Action, jobs::Event},
    ui::{
        parts::{Glyph, Icon},
        shared::Offer,
    },
};

#[component]
pub(super) fn BulkBar(page: JobsPage) -> impl IntoView {
    let running = RwSignal::new(None::<Bulk>);
    let stop = RwSignal::new(false);
    let selected = Memo::new(move |_| {
        page.jobs.with(|jobs| jobs.selection().into_iter().map(|job| (job.id, job.state)).collect::<Vec<_>>())
    });
    let fitting =
        move |action: Action| selected.get().into_iter().filter(|(_, state)| action.fits(*state)).collect::<Vec<_>>();
    let button = move |action: Action| {
        let number = move || fitting(action).len();
        let label = move || {
            let states: Vec<_> = fitting(action).into_iter().map(|(_, state)| state).collect();
            let one = states.first().copied().filter(|first| states.iter().all(|state| state == first));
            format!("{} {}", action.label(one), number())
        };
        let act = move |_| start(page, action, fitting(action), running, stop);
        view! {
            <button class="button small" class:danger=action.destroys() disabled=move || number() == 0 hidden=move || number() == 0 on:click=act>{label}</button>
        }
    };
    // The bar stays while what is selected changes, and with it the focus.
    let is_offered = Memo::new(move |_| !selected.get().is_empty() && running.get().is_none());
    let bar = move || {
        is_offered.get().then(|| view! {
        <div class="bulk" role="region" aria-label="Selected jobs">
            <span class="number">{move || format!("{} selected", plural(selected.get().len() as u64, "job", "jobs"))}</span>
            {Action::ALL.map(button).into_iter().collect_view()}
            <button class="button quiet small" on:click=move |_| page.happen(Event::Cleared)>"Select none"</button>
        </div>
    })
    };
    let progress = move || {
        running.get().map(|bulk| {
        #[expect(clippy::cast_precision_loss, reason = "pixels")]
        let width = bulk.treated() as f64 / bulk.total.max(1) as f64 * 100.0;
        view! {
            <div class="bulk" role="status">
                <span class="number">{format!("{} of {} …", bulk.treated(), bulk.total)}</span>
                <svg class="meter wide" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
                    <rect class="meter-all" width="100" height="6"></rect>
                    <rect class="meter-used" width=width.to_string() height="6"></rect>
                </svg>
                <button class="button small" on:click=move |_| stop.set(true)><Icon glyph=Glyph::Close />"Stop"</button>
            </div>
        }
    })
    };
    view! { <div class="bulk-place">{bar}{progress}</div> }
}

fn start(
    page: JobsPage,
    action: Action,
    jobs: Vec<(JobId, State)>,
    running: RwSignal<Option<Bulk>>,
    stop: RwSignal<bool>,
) {
    let number = plural(jobs.len() as u64, "job", "jobs");
    let go = move || run(page, action, jobs.clone(), running, stop);
    match action {
        Action::Delete => page.shared.ask(
            format!("Delete {number}?"),
            "They will not run. Until their retention ends they can be enqueued again.",
            format!("Delete {number}"),
            go,
        ),
        Action::Cancel => page.shared.ask(
            format!("Cancel {number}?"),
            "Their sandboxes are stopped; what they have done outside stays done.",
            format!("Cancel {number}"),
            go,
        ),
        Action::Requeue | Action::RequeueNewest => go(),
    }
}

fn run(
    page: JobsPage,
    action: Action,
    jobs: Vec<(JobId, State)>,
    running: RwSignal<Option<Bulk>>,
    stop: RwSignal<bool>,
) {
    stop.set(false);
    running.set(Some(Bulk::new(action, jobs.len())));
    spawn_local(async move {
        let mut bulk = Bulk::new(action, jobs.len());
        for (id, state) in jobs {
            // Whoever leaves the page stops it too.
            if stop.try_get_untracked() != Some(false) {
                bulk.stopped = Some("somebody stopped it".to_owned());
                break;
            }
            bulk.take(id, page.shared.api().act(action, id, Some(state)).await);
            running.try_set(Some(bulk.clone()));
            if bulk.is_over() {
                break;
            }
        }
        running.try_set(None);
        page.happen(Event::Cleared);
        page.happen(Event::ShowHeld);
        page.shared.look();
        let is_bad = !bulk.refused.is_empty() || bulk.stopped.is_some();
        let undo = (action == Action::Delete && !bulk.done.is_empty()).then(|| {
            let deleted: Vec<_> = bulk.done.iter().map(|id| (*id, State::Deleted)).collect();
            Offer {
                label: "Enqueue them again".to_owned(),
                action: Callback::new(move |()| run(page, Action::Requeue, deleted.clone(), running, stop)),
            }
        });
        page.shared.toast(bulk.summary(), is_bad, undo);
    });
}
