//! A button that puts text on the clipboard and says so.

use std::time::Duration;

use leptos::{prelude::*, task::spawn_local};

use super::icon::{Glyph, Icon};
use crate::ui::{browser, shared::Shared};

/// Copies what `text` gives at that moment.
#[component]
pub(in crate::ui) fn Copy(
    #[prop(into)] label: String,
    #[prop(into)] text: Callback<(), String>,
    /// Shows the icon alone; the label is read all the same.
    #[prop(optional)]
    small: bool,
) -> impl IntoView {
    let shared = Shared::of_page();
    let done = RwSignal::new(false);
    let copy = move |_| {
        let text = text.run(());
        spawn_local(async move {
            if browser::copy(&text).await {
                done.try_set(true);
                let back = move || {
                    done.try_set(false);
                };
                set_timeout(back, Duration::from_secs(2));
            } else {
                shared.complain("The browser did not allow copying; pages that are not served over HTTPS or from this machine may not.");
            }
        });
    };
    let class = if small { "button quiet small icon-only" } else { "button quiet small" };
    let shown = label.clone();
    view! {
        <button type="button" class=class on:click=copy title=label.clone() aria-label=label>
            {move || view! { <Icon glyph=if done.get() { Glyph::Check } else { Glyph::Copy } /> }}
            {(!small).then_some(move || if done.get() { "Copied".to_owned() } else { shown.clone() })}
        </button>
    }
}
