//! An instant: how long ago, and exactly on hover.

use leptos::prelude::*;
use windlass_api::Timestamp;

use crate::{
    format::{clock, exact, relative},
    ui::{browser, shared::Shared},
};

/// An instant. With `time_of_day` it is shown as that and not as an age.
#[component]
pub(in crate::ui) fn Instant(at: Timestamp, #[prop(optional)] time_of_day: bool) -> impl IntoView {
    let now = Shared::of_page().now;
    let offset = browser::offset_minutes(at);
    let shown = move || match time_of_day {
        true => clock(at, now.get(), offset),
        false => relative(at, now.get()),
    };
    view! { <time datetime=at.to_string() title=exact(at, offset)>{shown}</time> }
}
