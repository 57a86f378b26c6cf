//! The one place that listens. The host's events say that something has changed, and what is on the page is asked for
//! again; where none come, the page asks each second, as long as somebody can see it.

use std::{cell::RefCell, rc::Rc, time::Duration};

use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Event as DomEvent, EventSource};
use windlass_api::{Event as Kind, JobId};

use super::{api, browser, shared::Shared};
use crate::{
    model::{
        access::{self, Access},
        connection::Event,
        news::{Topic, at_beat, told_by},
    },
    trouble::Trouble,
};

/// How often the page looks at most while events come in, in milliseconds: the eye follows no faster.
const CALM_MS: u64 = 400;

/// Starts to listen, for as long as the page is open.
pub(super) fn start(shared: Shared) {
    let is_visible = RwSignal::new(browser::is_visible());
    listen(shared, is_visible);
    beat(shared, 0);
    watch_time(shared);
    let on_visible = Closure::<dyn Fn()>::new(move || {
        let is = browser::is_visible();
        is_visible.set(is);
        if is {
            shared.now.set(browser::now());
            look(shared, &Topic::ALL);
            if shared.access.with_untracked(|access| !access.may_ask()) {
                // Somebody may have signed in in another window.
                ask_who(shared);
            }
        }
    });
    let _ = document().add_event_listener_with_callback("visibilitychange", on_visible.as_ref().unchecked_ref());
    on_visible.forget();
    ask_who(shared);
    shared.follow(&[Topic::Counts], move || async move {
        let counts = shared.api().counts().await;
        shared.counts.update(|known| known.take(counts));
    });
    shared.follow(&[Topic::Queues], move || async move {
        let answer = shared.api().queues().await;
        shared.queues.update(|known| known.take(answer));
    });
    shared.follow(&[Topic::Servers], move || async move {
        let answer = shared.api().servers().await;
        shared.servers.update(|known| known.take(answer));
    });
    shared.follow(&[Topic::Modules], move || async move {
        let answer = shared.api().modules().await;
        // Many versions with their schemas: not drawn anew where nothing changed.
        if shared.modules.with_untracked(|known| known.differs(&answer)) {
            shared.modules.update(|known| known.take(answer));
        }
    });
}

/// Asks the host who the viewer is.
pub(super) fn ask_who(shared: Shared) {
    spawn_local(async move {
        match shared.api().session().await {
            Ok(session) => shared.hear(access::Event::Told(session)),
            Err(Trouble::NotOffered) => shared.hear(access::Event::NotOffered),
            // The beat finds out when the host is there again.
            Err(_) => {}
        }
    });
}

fn look(shared: Shared, topics: &[Topic]) {
    if shared.live.get_untracked() {
        shared.news_of(topics);
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

/// One look after the other: each second, less often while the host is lost.
fn beat(shared: Shared, number: u32) {
    let wait = shared.connection.get_untracked().wait_ms();
    let next = move || {
        let connection = shared.connection.get_untracked();
        if browser::is_visible() {
            if shared.access.with_untracked(|access| *access == Access::Unknown) {
                ask_who(shared);
            }
            // A lost host is looked for even where the viewer has stopped the list.
            if connection.misses > 0 {
                shared.look();
            } else {
                look(shared, at_beat(number, connection.tells()));
            }
        }
        beat(shared, number.wrapping_add(1));
    };
    set_timeout(next, Duration::from_millis(u64::from(wait)));
}

/// Follows the host's events while somebody can see the page, and is signed in where that is asked for: a browser has few
/// connections to one host, and other windows need some too.
fn listen(shared: Shared, is_visible: RwSignal<bool>) {
    let may_ask = Memo::new(move |_| shared.access.with(Access::may_ask));
    // Grows when the wait after a refusal is over.
    let tries = RwSignal::new(0_u64);
    Effect::new(move |before: Option<Option<Stream>>| {
        tries.track();
        // The one before is closed first; another job is watched by another stream.
        drop(before);
        let watched = shared.watched.get();
        (may_ask.get() && is_visible.get()).then(|| Stream::open(shared, watched, tries)).flatten()
    });
}

/// A stream of events. It is closed when it goes out of scope.
struct Stream {
    source: EventSource,
    // Kept for as long as the browser may call them.
    _told: Vec<Closure<dyn Fn(DomEvent)>>,
}

impl Stream {
    fn open(shared: Shared, watched: Option<JobId>, tries: RwSignal<u64>) -> Option<Self> {
        let query = watched.map(|id| format!("?job={id}")).unwrap_or_default();
        let source = EventSource::new(&api::url(&format!("events{query}"))).ok()?;
        let pending = Rc::new(RefCell::new(Vec::new()));
        let mut told = Vec::new();
        for &kind in Kind::ALL {
            let pending = Rc::clone(&pending);
            let on_event = Closure::<dyn Fn(DomEvent)>::new(move |_| soon(shared, &pending, told_by(kind)));
            let _ = source.add_event_listener_with_callback(kind.as_str(), on_event.as_ref().unchecked_ref());
            told.push(on_event);
        }
        let on_open = Closure::<dyn Fn(DomEvent)>::new(move |_| {
            shared.notice(Event::StreamOpened);
            // What has changed before is not told any more.
            soon(shared, &pending, &Topic::ALL);
        });
        source.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        let ended = source.clone();
        let on_error = Closure::<dyn Fn(DomEvent)>::new(move |_| {
            if ended.ready_state() != EventSource::CLOSED {
                return shared.notice(Event::StreamCut);
            }
            // Any answer but a good one ends it for the browser: a host that is started anew, one that has too many
            // readers, or a session that is over.
            shared.notice(Event::StreamRefused);
            let wait = shared.connection.get_untracked().stream_wait_ms();
            let again = move || {
                // Another may have been opened meanwhile.
                if !shared.connection.get_untracked().tells() {
                    tries.update(|tries| *tries += 1);
                }
            };
            set_timeout(again, Duration::from_millis(u64::from(wait)));
        });
        source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        told.extend([on_open, on_error]);
        Some(Self { source, _told: told })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.source.set_onopen(None);
        self.source.set_onerror(None);
        self.source.close();
    }
}

/// Has these looked at in a moment, together with what is told until then.
fn soon(shared: Shared, pending: &Rc<RefCell<Vec<Topic>>>, topics: &[Topic]) {
    let is_first = pending.borrow().is_empty();
    for topic in topics {
        let is_new = !pending.borrow().contains(topic);
        if is_new {
            pending.borrow_mut().push(*topic);
        }
    }
    if is_first {
        let pending = Rc::clone(pending);
        set_timeout(move || look(shared, &pending.take()), Duration::from_millis(CALM_MS));
    }
}
