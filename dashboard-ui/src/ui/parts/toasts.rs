//! Short messages at the edge of the page.

use leptos::prelude::*;

use super::icon::{Glyph, Icon};
use crate::ui::shared::{Shared, Toast};

/// The messages of the moment. Read aloud as they come.
#[component]
pub(in crate::ui) fn Toasts() -> impl IntoView {
    let shared = Shared::of_page();
    let toast = move |toast: Toast| {
        let number = toast.number;
        let offer = toast.offer.map(|offer| {
            let take = move |_| {
                shared.dismiss(number);
                (offer.action)();
            };
            view! { <button class="button quiet small" on:click=take>{offer.label}</button> }
        });
        view! {
            <div class="toast" class:bad=toast.is_bad>
                <Icon glyph=if toast.is_bad { Glyph::Warning } else { Glyph::Check } />
                <p>{toast.text}</p>
                {offer}
                <button class="button quiet small icon-only" aria-label="Dismiss" on:click=move |_| shared.dismiss(number)>
                    <Icon glyph=Glyph::Close />
                </button>
            </div>
        }
    };
    view! {
        <div class="toasts" role="status" aria-live="polite">
            <For each=move || shared.toasts.get() key=|toast| toast.number children=toast />
        </div>
    }
}
