//! What the page asks of the browser besides requests: where it is, what time it is, its clipboard and its memory.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{HtmlElement, VisibilityState};
use windlass_api::Timestamp;

use crate::format::offset_from;

/// The address that everything is relative to; ends in a slash.
pub(super) fn base() -> String {
    document().base_uri().ok().flatten().unwrap_or_else(|| "/".to_owned())
}

/// The path of that address, without its last slash; empty where the dashboard is at the root.
pub(super) fn base_path() -> String {
    let path = web_sys::Url::new(&base()).map(|url| url.pathname()).unwrap_or_default();
    path.trim_end_matches('/').to_owned()
}

/// The present instant.
pub(super) fn now() -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds, far from any bound")]
    Timestamp(js_sys::Date::now() as i64)
}

/// What the viewer's zone is ahead of UTC at an instant, in minutes.
pub(super) fn offset_minutes(at: Timestamp) -> i32 {
    #[expect(clippy::cast_precision_loss, reason = "no instant is that far")]
    let date = js_sys::Date::new(&(at.0 as f64).into());
    #[expect(clippy::cast_possible_truncation, reason = "some hundreds of minutes; not a number becomes 0")]
    let behind = date.get_timezone_offset() as i32;
    -behind
}

/// What a zone is ahead of UTC at an instant, in minutes; nothing where the browser does not know the zone.
pub(super) fn offset_in(zone: &str, at: Timestamp) -> Option<i32> {
    #[expect(clippy::cast_precision_loss, reason = "no instant is that far")]
    let date = js_sys::Date::new(&(at.0 as f64).into());
    let options = js_sys::Object::new();
    let parts = ["year", "month", "day", "hour", "minute", "second"].map(|part| (part, "numeric"));
    for (key, value) in [("timeZone", zone), ("hourCycle", "h23")].into_iter().chain(parts) {
        js_sys::Reflect::set(&options, &key.into(), &value.into()).ok()?;
    }
    // Called so that it may throw, as it does for a zone that is not known.
    let write: js_sys::Function = js_sys::Reflect::get(&date, &"toLocaleString".into()).ok()?.dyn_into().ok()?;
    offset_from(at, &write.call2(&date, &"en-US".into(), &options).ok()?.as_string()?)
}

/// The zones that the browser knows, for a field to offer.
pub(super) fn zones() -> Vec<String> {
    let intl = js_sys::Reflect::get(&js_sys::global(), &"Intl".into());
    let list = intl.and_then(|intl| {
        let list: js_sys::Function = js_sys::Reflect::get(&intl, &"supportedValuesOf".into())?.dyn_into()?;
        list.call1(&intl, &"timeZone".into())
    });
    // A browser that cannot tell lets one type it.
    list.map(|list| js_sys::Array::from(&list).iter().filter_map(|zone| zone.as_string()).collect()).unwrap_or_default()
}

/// The viewer's zone, by its name.
pub(super) fn zone() -> Option<String> {
    let intl = js_sys::Reflect::get(&js_sys::global(), &"Intl".into()).ok()?;
    let format: js_sys::Function = js_sys::Reflect::get(&intl, &"DateTimeFormat".into()).ok()?.dyn_into().ok()?;
    let format = format.call0(&intl).ok()?;
    let options: js_sys::Function = js_sys::Reflect::get(&format, &"resolvedOptions".into()).ok()?.dyn_into().ok()?;
    js_sys::Reflect::get(&options.call0(&format).ok()?, &"timeZone".into()).ok()?.as_string()
}

/// Reads an instant as the viewer types it into a field for date and time.
pub(super) fn read_local(text: &str) -> Option<Timestamp> {
    let time = js_sys::Date::new(&text.into()).get_time();
    #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds, and checked to be a number")]
    (!text.is_empty() && time.is_finite()).then_some(Timestamp(time as i64))
}

/// Writes an instant as a field for date and time takes it.
pub(super) fn write_local(at: Timestamp) -> String {
    let ahead = i64::from(offset_minutes(at)) * 60_000;
    Timestamp(at.0.saturating_add(ahead)).to_string().chars().take(16).collect()
}

/// Whether anybody can see the page.
pub(super) fn is_visible() -> bool {
    document().visibility_state() == VisibilityState::Visible
}

/// Puts text on the clipboard. Tells whether that was allowed.
pub(super) async fn copy(text: &str) -> bool {
    JsFuture::from(window().navigator().clipboard().write_text(text)).await.is_ok()
}

/// What was kept under a name.
pub(super) fn recall(name: &str) -> Option<String> {
    window().local_storage().ok().flatten()?.get_item(name).ok().flatten()
}

/// Keeps a value under a name, or forgets it. A browser that keeps nothing shows its defaults the next time.
pub(super) fn keep(name: &str, value: Option<&str>) {
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = match value {
            Some(value) => storage.set_item(name, value),
            None => storage.remove_item(name),
        };
    }
}

/// Shows the page light, dark, or as the system says.
pub(super) fn set_theme(theme: Option<&str>) {
    if let Some(root) = document().document_element() {
        let _ = match theme {
            Some(theme) => root.set_attribute("data-theme", theme),
            None => root.remove_attribute("data-theme"),
        };
    }
    keep("windlass-theme", theme);
}

/// Puts the keyboard's focus on an element.
pub(super) fn focus(id: &str) {
    if let Some(element) = document().get_element_by_id(id) {
        // Links of pictures are no elements of HTML, and take the focus in the same way.
        let _ = element.unchecked_into::<HtmlElement>().focus();
    }
}

/// Scrolls what an element holds across, so that a place of it is in the middle: so many pixels from its left edge.
pub(super) fn centre(id: &str, place: f64) {
    if let Some(element) = document().get_element_by_id(id) {
        #[expect(clippy::cast_possible_truncation, reason = "pixels; what is out of reach is scrolled to the edge")]
        element.set_scroll_left(place as i32 - element.client_width() / 2);
    }
}

/// Follows a link as a click on it does.
pub(super) fn follow(selector: &str) {
    let link = document().query_selector(selector).ok().flatten();
    if let Some(link) = link.and_then(|link| link.dyn_into::<HtmlElement>().ok()) {
        link.click();
    }
}

/// What the page is called, in the browser's list of pages.
pub(super) fn set_title(title: &str) {
    document().set_title(&format!("{title} · Windlass"));
}
