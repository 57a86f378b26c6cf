//! The state of a job, told by word, shape and colour.

use leptos::prelude::*;
use windlass_api::State;

/// A state. Reads as its word also for those who see no colours.
#[component]
pub(in crate::ui) fn StateBadge(state: State, #[prop(optional_no_strip)] reason: Option<String>) -> impl IntoView {
    let word = match (state, reason.as_deref()) {
        (State::Scheduled, Some("retry")) => "retrying".to_owned(),
        (State::Scheduled, Some("snooze")) => "snoozed".to_owned(),
        (State::Deleted, Some("cancelled")) => "cancelled".to_owned(),
        _ => state.to_string(),
    };
    view! {
        <span class=format!("badge state-{state}")>
            <span class="dot" aria-hidden="true"></span>
            {word}
        </span>
    }
}
