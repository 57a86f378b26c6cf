//! Small facts: a name and its value, a meter, a name that comes from others.

use leptos::prelude::*;

use crate::format::{decimal, visible};

/// A fact in a list of facts.
#[component]
pub(in crate::ui) fn Fact(
    #[prop(into)] name: String,
    /// Whether the name is from others, and so may be of any length.
    #[prop(optional)]
    given: bool,
    children: Children,
) -> impl IntoView {
    view! {
        <div class="fact" class:given=given>
            <dt>{name}</dt>
            <dd>{children()}</dd>
        </div>
    }
}

/// A name that comes from others: shown whole on hover, kept apart from the text around it whatever its direction.
#[component]
pub(in crate::ui) fn Name(#[prop(into)] text: String) -> impl IntoView {
    let text = visible(&text);
    view! { <bdi class="name" title=text.clone()>{text.clone()}</bdi> }
}

/// A sentence that comes from a component, as its author wrote it: what stands between backticks is code.
pub(in crate::ui) fn prose(text: &str) -> AnyView {
    let text = visible(text);
    if text.matches('`').count() % 2 == 1 {
        return text.into_any();
    }
    let pieces = text.split('`').enumerate().map(|(at, piece)| match at % 2 {
        0 => piece.to_owned().into_any(),
        _ => view! { <code>{piece.to_owned()}</code> }.into_any(),
    });
    pieces.collect_view().into_any()
}

/// How much of something is in use.
#[component]
pub(in crate::ui) fn Meter(#[prop(into)] label: String, used: u32, total: u32) -> impl IntoView {
    let width = f64::from(used) / f64::from(total.max(1)) * 100.0;
    view! {
        <div class="meter-line">
            <svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=format!("{label}: {used} of {total}")>
                <rect class="meter-all" width="100" height="6"></rect>
                <rect class="meter-used" width=decimal(width) height="6"></rect>
            </svg>
            <span class="number">{format!("{used} / {total}")}</span>
        </div>
    }
}
