//! The rows of the list. A row is made once for its job; what changes in it changes in place, so that neither focus nor
//! selection is lost.

use leptos::{ev::FocusEvent, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::Node;
use windlass_api::{JobId, JobSummary, Role, State};

use super::jobs::JobsPage;
use crate::{
    format::{clip, decimal, micros, plural, span, visible},
    model::jobs::{Event, Waiting},
    ui::parts::{Instant, Name, StateBadge},
};

/// How much of an error a row shows, in characters.
const ERROR: usize = 160;

#[component]
pub(super) fn Table(page: JobsPage) -> impl IntoView {
    let ids = move || page.jobs.with(|jobs| jobs.rows().iter().map(|row| row.job.id).collect::<Vec<_>>());
    let waiting = Memo::new(move |_| page.jobs.with(crate::model::jobs::Jobs::waiting));
    // Somebody works in the list while the pointer is over it, or the keyboard's focus in it.
    let (pointed, focused) = (RwSignal::new(false), RwSignal::new(false));
    let settle = move || {
        let is_busy = pointed.get_untracked() || focused.get_untracked();
        page.is_busy.set(is_busy);
        if !is_busy && page.jobs.with_untracked(|jobs| jobs.selected.is_empty()) {
            page.happen(Event::ShowHeld);
        }
    };
    // What is under the pointer no more does not tell that the pointer has left.
    on_cleanup(move || {
        page.is_busy.try_set(false);
    });
    let point = move |is: bool| {
        pointed.set(is);
        settle();
    };
    let focus = move |event: FocusEvent, is_in: bool| {
        // From one thing in the list to another it does not leave.
        let card = event.current_target().and_then(|card| card.dyn_into::<Node>().ok());
        let next = event.related_target().and_then(|next| next.dyn_into::<Node>().ok());
        let stays = card.zip(next).is_some_and(|(card, next)| card.contains(Some(&next)));
        focused.set(is_in || stays);
        settle();
    };
    // Whoever may do nothing with jobs has nothing to select them for.
    let may_not = move || !page.shared.may(Role::Operator);
    let is_all = move || page.jobs.with(crate::model::jobs::Jobs::is_all_selected);
    let is_some = move || page.jobs.with(|jobs| !jobs.selected.is_empty()) && !is_all();
    view! {
        <div class="card flush list-card" on:pointerenter=move |_| point(true) on:pointerleave=move |_| point(false) on:focusin=move |event| focus(event, true) on:focusout=move |event| focus(event, false)>
            {move || (waiting.get() != Waiting::Nothing).then(|| view! {
                <button class="held" on:click=move |_| page.happen(Event::ShowHeld)>
                    {move || match waiting.get() {
                        Waiting::Newer(number) => format!("Show {}", plural(number as u64, "newer job", "newer jobs")),
                        _ => "Show the list as it is now".to_owned(),
                    }}
                </button>
            })}
            <table class="table jobs">
                <thead>
                    <tr>
                        <th class="check" hidden=may_not>
                            <input type="checkbox" aria-label="Select all shown" prop:checked=is_all prop:indeterminate=is_some on:change=move |_| page.happen(Event::ToggledAll) />
                        </th>
                        <th>"State"</th><th>"Job"</th><th>"Queue"</th><th class="number">"Attempt"</th><th class="number">"Run time"</th><th class="number">"Made"</th>
                    </tr>
                </thead>
                <tbody>
                    <For each=ids key=|id| *id children=move |id| view! { <Row page=page id=id /> } />
                </tbody>
            </table>
        </div>
    }
}

#[component]
fn Row(page: JobsPage, id: JobId) -> impl IntoView {
    let row = Memo::new(move |_| page.jobs.with(|jobs| jobs.row(id).cloned()));
    let is_selected = Memo::new(move |_| page.jobs.with(|jobs| jobs.is_whole || jobs.selected.contains(&id)));
    let first = row.get_untracked();
    let Some(first) = first else { return ().into_any() };
    let job = move || row.get().map(|row| row.job);
    let name = format!("{}/{}", first.job.module, first.job.handler);
    let tags = first
        .job
        .tags
        .iter()
        .take(4)
        .map(|tag| view! { <span class="tag-chip"><Name text=clip(tag, 40) /></span> })
        .collect_view();
    view! {
        <tr class:selected=is_selected class:left=move || row.get().is_some_and(|row| row.has_left)
            title=move || row.get().is_some_and(|row| row.has_left).then_some("No longer passes the filter")>
            <td class="check" hidden=move || !page.shared.may(Role::Operator)>
                <input type="checkbox" aria-label=format!("Select job {id}") prop:checked=is_selected
                    on:click=move |event| page.happen(Event::Toggled { id, range: event.shift_key() }) />
            </td>
            <td class="state-cell">{move || job().map(|job| view! { <StateBadge state=job.state reason=job.reason /> })}</td>
            <th scope="row" class="job-cell">
                <a href=format!("jobs/{id}")><Name text=name /></a>
                {tags}
                {move || job().map(|job| note(&job))}
            </th>
            <td data-label="Queue"><Name text=first.job.queue.to_string() /></td>
            <td class="number" data-label="Attempt">{move || job().map(|job| format!("{} / {}", job.attempt, job.max_attempts))}</td>
            <td class="number" data-label="Run time">{move || job().map(|job| run_time(page, &job))}</td>
            <td class="number" data-label="Made"><Instant at=first.job.created_at /></td>
        </tr>
    }
    .into_any()
}

/// The line below a job's name: what it is doing, or what became of it.
fn note(job: &JobSummary) -> AnyView {
    match (job.state, &job.failure, &job.progress) {
        (State::Processing, _, Some(progress)) => {
            let note = progress.note.clone().map(|note| clip(&note, ERROR)).unwrap_or_default();
            view! {
                <div class="row-note">
                    <svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=format!("{} %", progress.percent)>
                        <rect class="meter-all" width="100" height="6"></rect>
                        <rect class="meter-used" width=decimal(f64::from(progress.percent).clamp(0.0, 100.0)) height="6"></rect>
                    </svg>
                    {format!("{} %", decimal(f64::from(progress.percent).round()))}" "{visible(&note)}
                </div>
            }
            .into_any()
        }
        (State::Scheduled | State::Failed, Some(failure), _) => view! {
            <div class="row-note bad">
                {job.run_at.map(|at| view! { "again " <Instant at=at /> " · " })}
                {visible(&clip(&failure.message, ERROR))}
            </div>
        }
        .into_any(),
        (State::Scheduled, None, _) => {
            job.run_at.map(|at| view! { <div class="row-note"><Instant at=at /></div> }).into_any()
        }
        (State::Awaiting | State::Deleted, ..) => {
            job.reason.clone().map(|reason| view! { <div class="row-note">{visible(&reason)}</div> }).into_any()
        }
        _ => ().into_any(),
    }
}

fn run_time(page: JobsPage, job: &JobSummary) -> AnyView {
    match (job.state, job.started_at, job.usage) {
        (State::Processing, Some(started), _) => {
            let now = page.shared.now;
            view! { <span>{move || span(now.get().ms_since(started) / 1_000 * 1_000)}</span> }.into_any()
        }
        (_, _, Some(usage)) => micros(usage.wall_us).into_any(),
        _ => view! { <span class="quiet">"–"</span> }.into_any(),
    }
}
