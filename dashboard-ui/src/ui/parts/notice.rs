//! What stands in the place of what is not there: nothing yet, nothing at all, or an error.

use leptos::prelude::*;

use super::icon::{Glyph, Icon};
use crate::{trouble::Trouble, ui::shared::Shared};

/// Something is on its way. Shows only after a moment, so that quick answers do not flicker.
#[component]
pub(in crate::ui) fn Loading(#[prop(into)] what: String) -> impl IntoView {
    view! {
        <div class="notice loading" role="status">
            <span class="spinner" aria-hidden="true"></span>
            <p>{format!("Loading {what} …")}</p>
        </div>
    }
}

/// There is nothing, and what to do about it.
#[component]
pub(in crate::ui) fn Empty(#[prop(into)] title: String, children: Children) -> impl IntoView {
    view! {
        <div class="notice empty">
            <h2>{title}</h2>
            {children()}
        </div>
    }
}

/// Something could not be had.
#[component]
pub(in crate::ui) fn Failed(#[prop(into)] what: String, trouble: Trouble) -> impl IntoView {
    let shared = Shared::of_page();
    let title = match &trouble {
        _ if trouble.is_not_found() => format!("There is no such {what}"),
        Trouble::NotOffered => "Not offered by this host".to_owned(),
        _ => format!("The {what} could not be loaded"),
    };
    view! {
        <div class="notice failed" role="alert">
            <Icon glyph=Glyph::Warning />
            <h2>{title}</h2>
            <p>{sentence(&trouble.to_string())}</p>
            <button class="button" on:click=move |_| shared.look()>"Try again"</button>
        </div>
    }
}

/// What is shown is not the latest, and why.
#[component]
pub(in crate::ui) fn Stale(#[prop(into)] trouble: Signal<Option<Trouble>>) -> impl IntoView {
    let shown = move || trouble.get().filter(|trouble| *trouble != Trouble::Unreachable);
    view! {
        {move || shown().map(|trouble| view! {
            <p class="stale" role="alert">
                <Icon glyph=Glyph::Warning />
                {sentence(&trouble.to_string())}
            </p>
        })}
    }
}

/// A message of the host's as a sentence.
pub(in crate::ui) fn sentence(message: &str) -> String {
    let mut text = message.to_owned();
    // The host's messages are in English: a table of the capitals of all languages takes 12 kB.
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}
