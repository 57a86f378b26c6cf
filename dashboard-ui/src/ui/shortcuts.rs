//! Keys: `g` and a letter lead to a page, `/` to the filter. They can be switched off, since they are in the way of some
//! who speak to their computer.

use std::time::Duration;

use leptos::{ev, prelude::*};
use leptos_router::hooks::use_navigate;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent};

use super::{browser, shared::Shared};

/// The letters after `g`, and where they lead.
pub(super) const PAGES: [(&str, &str, &str); 9] = [
    ("o", "/", "Overview"),
    ("j", "/jobs", "Jobs"),
    ("f", "/jobs?state=failed", "Failed jobs"),
    ("r", "/run", "Run a job"),
    ("q", "/queues", "Queues"),
    ("e", "/recurring", "Recurring"),
    ("m", "/modules", "Modules"),
    ("s", "/servers", "Servers"),
    ("a", "/audit", "Audit"),
];

/// How long the second key may take, in milliseconds.
const CHORD_MS: u64 = 1_500;

/// Listens, for as long as the page is open.
pub(super) fn listen(shared: Shared) {
    let navigate = use_navigate();
    let began = RwSignal::new(false);
    let on_key = move |event: KeyboardEvent| {
        let is_plain = !event.ctrl_key() && !event.meta_key() && !event.alt_key();
        if !shared.shortcuts.get_untracked()
            || !is_plain
            || is_typing(&event)
            || shared.question.with_untracked(Option::is_some)
            || shared.access.with_untracked(|access| !access.may_ask())
        {
            return;
        }
        let key = event.key();
        if began.get_untracked() {
            began.set(false);
            if let Some((_, path, _)) = PAGES.iter().find(|(letter, ..)| *letter == key) {
                event.prevent_default();
                match *path {
                    // Below a path of a proxy, the router would leave out the slash that all else is relative to.
                    "/" => browser::follow(".brand-link"),
                    path => navigate(path, Default::default()),
                }
            }
        } else if key == "g" {
            began.set(true);
            set_timeout(move || began.set(false), Duration::from_millis(CHORD_MS));
        } else if key == "/" {
            event.prevent_default();
            browser::focus("find");
        }
    };
    let _ = window_event_listener(ev::keydown, on_key);
}

fn is_typing(event: &KeyboardEvent) -> bool {
    let element = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok());
    element.is_some_and(|element| matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT"))
}
