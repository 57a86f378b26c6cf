//! The buttons of a job: each with a question where it destroys, and a result that says what happened.

use std::sync::Arc;

use leptos::{prelude::*, task::spawn_local};
use windlass_api::{JobDetail, JobId, Role, State};

use crate::{
    commands,
    model::job::{Action, JobModel, again},
    ui::{
        browser,
        parts::{Copy, sentence},
        shared::{Offer, Shared},
    },
};

#[component]
pub(super) fn Actions(model: RwSignal<JobModel>, id: JobId) -> impl IntoView {
    let shared = Shared::of_page();
    let detail = move || model.with(|model| model.detail.value.clone());
    let state = Memo::new(move |_| model.with(|model| model.detail.value.as_ref().map(|detail| detail.job.state)));
    let is_cancelling = Memo::new(move |_| {
        model.with(|model| model.detail.value.as_ref().is_some_and(|detail| detail.job.cancel_requested))
    });
    let button = move |action: Action| {
        let label = move || match (action, is_cancelling.get()) {
            (Action::Cancel, true) => "Cancelling …",
            _ => action.label(state.get()),
        };
        let is_first = move || action == Action::Requeue && state.get() == Some(State::Failed);
        view! {
            <button class="button" class:danger=action.destroys() class:primary=is_first
                hidden=move || !shared.may(Role::Operator) || !state.get().is_some_and(|state| action.fits(state))
                disabled=move || action == Action::Cancel && is_cancelling.get()
                on:click=move |_| begin(shared, action, id, state.get_untracked())>{label}</button>
        }
    };
    let request = move |write: fn(&windlass_api::JobRequest, &str) -> String| {
        move |()| {
            let base = browser::base();
            detail()
                .map(|detail: JobDetail| write(&again(&detail, detail.payload.clone()), base.trim_end_matches('/')))
                .unwrap_or_default()
        }
    };
    view! {
        <div class="buttons">
            {Action::ALL.into_iter().filter(|action| *action != Action::Delete).map(button).collect_view()}
            <a class="button" hidden=move || !shared.may(Role::Operator) href=format!("run?from={id}")>"Edit and run again"</a>
            <details class="menu-button">
                <summary class="button">"Copy as"</summary>
                <div class="menu-items">
                    <Copy label="Command line" text=request(commands::command_line) />
                    <Copy label="curl" text=request(commands::curl) />
                    <Copy label="Job id" text=move |()| id.to_string() />
                </div>
            </details>
            // Apart from what is pressed often.
            {button(Action::Delete)}
        </div>
    }
}

fn begin(shared: Shared, action: Action, id: JobId, state: Option<State>) {
    let go = move || act(shared, action, id, state);
    match action {
        Action::Delete => shared.ask(
            "Delete this job?",
            "It will not run. Until its retention ends it can be enqueued again.",
            "Delete",
            go,
        ),
        Action::Cancel => shared.ask(
            "Cancel this job?",
            "Its sandbox is stopped; what it has done outside stays done.",
            "Cancel the job",
            go,
        ),
        Action::Requeue | Action::RequeueNewest => go(),
    }
}

fn act(shared: Shared, action: Action, id: JobId, state: Option<State>) {
    spawn_local(async move {
        match shared.api().act(action, id, state).await {
            Ok(reply) if reply.pending => shared.say("Asked for; it takes effect when the job's sandbox has stopped."),
            Ok(_) if action == Action::Delete => {
                let undo = Offer {
                    label: "Enqueue it again".to_owned(),
                    action: Arc::new(move || act(shared, Action::Requeue, id, Some(State::Deleted))),
                };
                shared.toast("The job is deleted.".to_owned(), false, Some(undo));
            }
            Ok(_) => shared.say(format!("The job is {}.", action.done())),
            Err(trouble) => shared.complain(sentence(&trouble.to_string())),
        }
        shared.look();
    });
}
