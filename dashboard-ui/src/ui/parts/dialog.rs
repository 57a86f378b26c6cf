//! The question before something is destroyed.

use leptos::{html, prelude::*};

use crate::ui::shared::Shared;

/// Shows the question of the moment. The browser's own dialog keeps the focus in it and closes at Escape.
#[component]
pub(in crate::ui) fn Confirmation() -> impl IntoView {
    let shared = Shared::of_page();
    let dialog = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        let is_asked = shared.question.with(Option::is_some);
        let Some(dialog) = dialog.get() else { return };
        if is_asked && !dialog.open() {
            let _ = dialog.show_modal();
        } else if !is_asked && dialog.open() {
            dialog.close();
        }
    });
    let no = move || shared.question.set(None);
    let yes = move |_| {
        let question = shared.question.get_untracked();
        no();
        if let Some(question) = question {
            (question.action)();
        }
    };
    let part = move |part: fn(&crate::ui::shared::Question) -> &String| {
        move || {
            shared
                .question
                .with(|question| question.as_ref().map(|question| part(question).clone()).unwrap_or_default())
        }
    };
    view! {
        <dialog node_ref=dialog class="dialog" aria-labelledby="question" on:close=move |_| no()>
            <h2 id="question">{part(|question| &question.title)}</h2>
            <p>{part(|question| &question.text)}</p>
            <div class="buttons">
                <button class="button" autofocus on:click=move |_| no()>"Not now"</button>
                <button class="button danger" on:click=yes>{part(|question| &question.yes)}</button>
            </div>
        </dialog>
    }
}
