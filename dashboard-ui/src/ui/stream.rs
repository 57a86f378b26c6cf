//! The one place that listens. The host's events say that something has changed, and what is on the page is asked for
//! again; where the host sends none, the page asks each second, as long as somebody can see it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use leptos::prelude::*;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{EventSource, MessageEvent};
use windlass_api::Event as Kind;

use super::{api, browser, shared::Shared};
use crate::model::connection::{Event, Source};

/// How often the page looks at most while events come in, in milliseconds: the eye follows no faster.
const CALM_MS: u64 = 400;

/// While events come, every how many seconds the page looks all the same.
const BESIDES_EVENTS: u32 = 5;

/// How often a stream that was refused is asked for again, in beats.
const OPEN_EVERY: u32 = 5;

/// What changes rarely, and the bit that says that an event has named it: queues, servers and modules.
const RARE: [(Kind, u8); 3] = [(Kind::Queues, 1), (Kind::Servers, 2), (Kind::Modules, 4)];

/// Starts to listen, for as long as the page is open.
pub(super) fn start(shared: Shared) {
    let stream = Rc::new(Stream::new(shared));
    if browser::is_visible() {
        stream.open();
    }
    beat(shared, Rc::clone(&stream), 0);
    watch_time(shared);
    let on_visible = Closure::<dyn Fn()>::new(move || {
        if browser::is_visible() {
            shared.now.set(browser::now());
            stream.open();
            look(shared);
        } else {
            stream.close(shared);
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

/// Queues, servers and modules change rarely, and every page names them: each is asked for where an event names it, and at every
/// third news.
fn follow_rarely(shared: Shared, what: u64) {
    shared.follow(move || async move {
        let news = shared.news.get_untracked();
        let bit = 1 << what;
        if news > 0 && news % 3 != what && shared.named.get_value() & bit == 0 {
            return;
        }
        shared.named.update_value(|named| *named &= !bit);
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
fn beat(shared: Shared, stream: Rc<Stream>, number: u32) {
    let wait = shared.connection.get_untracked().wait_ms();
    let next = move || {
        let connection = shared.connection.get_untracked();
        // Of a job that runs, no event tells how far it is and what it logs.
        let tells = connection.source == Source::Events && !connection.is_lost() && !shared.closely.get_untracked();
        if browser::is_visible() && number % OPEN_EVERY == 0 {
            stream.open();
        }
        if browser::is_visible() && (!tells || number % BESIDES_EVENTS == 0) {
            // A lost host is looked for even where the viewer has stopped the list.
            if connection.misses > 0 { shared.look() } else { look(shared) }
        }
        beat(shared, stream, number.wrapping_add(1));
    };
    set_timeout(next, Duration::from_millis(u64::from(wait)));
}

/// The stream of events. It is open while somebody can see the page: a browser keeps few connections to one host, and pages in
/// the background must not take them all.
struct Stream {
    source: RefCell<Option<EventSource>>,
    on_event: Closure<dyn Fn(MessageEvent)>,
    on_open: Closure<dyn Fn()>,
    on_error: Closure<dyn Fn()>,
}

impl Stream {
    fn new(shared: Shared) -> Self {
        let waits = Rc::new(Cell::new(false));
        let on_event = Closure::new(move |event: MessageEvent| {
            let kind = event.type_().parse::<Kind>().ok();
            let named = RARE.iter().filter(|(rare, _)| kind == Some(Kind::Missed) || kind == Some(*rare));
            let named = named.fold(0, |bits, (_, bit)| bits | bit);
            shared.named.update_value(|bits| *bits |= named);
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
        let on_open = Closure::new(move || {
            shared.notice(Event::StreamOpened);
            // What happened before it was open is told by nobody.
            look(shared);
        });
        let on_error = Closure::new(move || shared.notice(Event::StreamEnded));
        Self { source: RefCell::new(None), on_event, on_open, on_error }
    }

    /// Opens it where it is not: a browser comes back by itself after a connection broke, but not after a refusal.
    fn open(&self) {
        let mut source = self.source.borrow_mut();
        if source.as_ref().is_some_and(|source| source.ready_state() != EventSource::CLOSED) {
            return;
        }
        let Ok(opened) = EventSource::new(&api::url("events")) else { return };
        for kind in Kind::ALL {
            let on_event = self.on_event.as_ref().unchecked_ref();
            let _ = opened.add_event_listener_with_callback(kind.as_str(), on_event);
        }
        opened.set_onopen(Some(self.on_open.as_ref().unchecked_ref()));
        opened.set_onerror(Some(self.on_error.as_ref().unchecked_ref()));
        *source = Some(opened);
    }

    fn close(&self, shared: Shared) {
        if let Some(source) = self.source.take() {
            source.close();
            shared.notice(Event::StreamEnded);
        }
    }
}
