//! What stands at an address where nothing is.

use leptos::prelude::*;

use super::Head;
use crate::ui::parts::Empty;

#[component]
pub(in crate::ui) fn NotFound() -> impl IntoView {
    view! {
        <Head title="Nothing here" />
        <Empty title="There is no page at this address">
            <p>"It may have been typed wrongly, or come from another version of the dashboard."</p>
            <a class="button" href="./">"To the overview"</a>
        </Empty>
    }
}
