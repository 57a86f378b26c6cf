//! The one place that listens. The host's events say that something has changed, and what is on the page is asked for
//! again; where the host sends none, the page asks each second, as long as somebody can see it.

use std::{cell::Cell, rc::Rc, time::Duration};

use leptos::prelude::*;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Event as DomEvent, EventSource, MessageEvent};

use super::{api, browser, shared::Shared};
use crate::model::connection::{Event, Source};

/// How often the page looks at most while events come in, in milliseconds: the eye follows no faster.
const CALM_MS: u64 = 400;

/// While events come, every how many seconds the page looks all the same.
const BESIDES_EVENTS: u32 = 10;

/// Starts to listen, for as long as the page is open.
pub(super) fn start(shared: Shared) {
    listen(shared);
    beat(shared, 0);
    watch_time(shared);
    let on_visible = Closure::<dyn Fn()>::new(move || {
        if browser::is_visible() {
            shared.now.set(browser::now());
            look(shared);
        }
    });
    let _ = document().add_event_listener_with_callback("visibilitychange", on_visible.as_ref().unchecked_ref());
    on_visible.forget();
    shared.follow(move || async move {
        let counts = shared.api().counts().await;
        shared.counts.update(|known| known.take(counts));
    });
    for ask in [0, 1, 2] {
        follow_rarely(shared, ask);
    }
}

/// Queues, servers and modules change rarely, and every page names them: each is asked for at every third news.
fn follow_rarely(shared: Shared, what: u64) {
    shared.follow(move || async move {
        let news = shared.news.get_untracked();
        if news > 0 && news % 3 != what {
            return;
        }
        match what {
            0 => {
                let answer = shared.api().queues().await;
                shared.queues.update(|known| known.take(answer));
            }
            1 => {
                let answer = shared.api().servers().await;
                shared.servers.update(|known| known.take(answer));
            }
            _ => {
                let answer = shared.api().modules().await;
                // Many versions with their schemas: not drawn anew where nothing changed.
                if shared.modules.with_untracked(|known| known.differs(&answer)) {
                    shared.modules.update(|known| known.take(answer));
                }
            }
        }
    });
}

fn look(shared: Shared) {
    if shared.live.get_untracked() {
        shared.look();
    }
}

fn watch_time(shared: Shared) {
    let tick = move || {
        if browser::is_visible() {
            shared.now.set(browser::now());
        }
    };
    let _ = set_interval_with_handle(tick, Duration::from_secs(1));
}

/// One look after the other: each second, less often while the host is lost or tells by itself.
fn beat(shared: Shared, number: u32) {
    let wait = shared.connection.get_untracked().wait_ms();
    let next = move || {
        let connection = shared.connection.get_untracked();
        let tells = connection.source == Source::Events && !connection.is_lost();
        if browser::is_visible() && (!tells || number.is_multiple_of(BESIDES_EVENTS)) {
            // A lost host is looked for even where the viewer has stopped the list.
            if connection.misses > 0 { shared.look() } else { look(shared) }
        }
        beat(shared, number.wrapping_add(1));
    };
    set_timeout(next, Duration::from_millis(u64::from(wait)));
}

fn listen(shared: Shared) {
    let Ok(source) = EventSource::new(&api::url("events")) else {
        return;
    };
    let waits = Rc::new(Cell::new(false));
    let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |_| {
        if waits.replace(true) {
            return;
        }
        let waits = Rc::clone(&waits);
        let later = move || {
            waits.set(false);
            look(shared);
        };
        set_timeout(later, Duration::from_millis(CALM_MS));
    });
    let on_open = Closure::<dyn Fn()>::new(move || shared.notice(Event::StreamOpened));
    let ended = source.clone();
    let on_error = Closure::<dyn Fn(DomEvent)>::new(move |_| {
        shared.notice(Event::StreamEnded);
        // Refused for good, as by a host that has no events. Anything else the browser tries again by itself.
        if ended.ready_state() == EventSource::CLOSED {
            ended.close();
        }
    });
    source.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    source.set_onopen(Some(on_open.as_ref().unchecked_ref()));
    source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
    on_message.forget();
    on_open.forget();
    on_error.forget();
}
