//! What all pages share: what the host said last, the time, and how to speak to the viewer.

use std::{future::Future, pin::Pin, sync::Arc};

use leptos::{prelude::*, task::spawn_local};
use windlass_api::{BulkAction, Counts, JobId, ModuleView, QueueView, Role, ServerView, Timestamp};

use super::{api::Api, browser};
use crate::model::{
    Loaded,
    access::{self, Access},
    connection::{self, Connection, Event},
    news::Topic,
};

/// What all pages share; small handles, so that it is copied wherever it is needed.
#[derive(Clone, Copy)]
pub(super) struct Shared {
    pub(super) access: RwSignal<Access>,
    /// Grows whenever what is on the page must go, since somebody else looks at it now.
    pub(super) viewers: RwSignal<u64>,
    pub(super) connection: RwSignal<Connection>,
    pub(super) counts: RwSignal<Loaded<Counts>>,
    pub(super) queues: RwSignal<Loaded<Vec<QueueView>>>,
    pub(super) servers: RwSignal<Loaded<Vec<ServerView>>>,
    pub(super) modules: RwSignal<Loaded<Vec<ModuleView>>>,
    /// The time, by the second.
    pub(super) now: RwSignal<Timestamp>,
    /// The job that the page shows, of which the host is to tell.
    pub(super) watched: RwSignal<Option<JobId>>,
    /// The bulk actions that go on.
    pub(super) bulk: RwSignal<Vec<BulkAction>>,
    /// Each grows whenever its topic may have changed at the host.
    news: [RwSignal<u64>; Topic::ALL.len()],
    /// Whether the page follows by itself.
    pub(super) live: RwSignal<bool>,
    pub(super) toasts: RwSignal<Vec<Toast>>,
    pub(super) question: RwSignal<Option<Question>>,
    /// Whether keys are shortcuts.
    pub(super) shortcuts: RwSignal<bool>,
}

/// A short message at the edge of the page.
#[derive(Clone)]
pub(super) struct Toast {
    pub(super) number: u64,
    pub(super) text: String,
    pub(super) is_bad: bool,
    pub(super) offer: Option<Offer>,
}

/// What is done after a click. It is kept by whoever shows the button, since what was drawn when it was made may be gone by then.
pub(super) type Deed = Arc<dyn Fn() + Send + Sync>;

/// Something that a message offers to do.
#[derive(Clone)]
pub(super) struct Offer {
    pub(super) label: String,
    pub(super) action: Deed,
}

/// Something to be confirmed.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) title: String,
    pub(super) text: String,
    pub(super) yes: String,
    pub(super) action: Deed,
}

/// A question to the host, put anew each time. Of one type for all, since what follows is much code.
type Ask = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()>>>>;

/// Whose turn it is, of what is looked at less often than there are news.
#[derive(Clone, Copy)]
pub(super) struct Rounds(StoredValue<u32>);

impl Rounds {
    pub(super) fn new() -> Self {
        Self(StoredValue::new(0))
    }

    /// Whether it is the first time, or as many times later as these.
    pub(super) fn is_turn(self, times: u32) -> bool {
        let round = self.0.try_update_value(|rounds| std::mem::replace(rounds, rounds.wrapping_add(1)));
        round.unwrap_or_default().is_multiple_of(times)
    }
}

/// Tells news of one topic from those of others that are followed with it.
#[derive(Clone, Copy)]
pub(super) struct News {
    all: RwSignal<u64>,
    known: StoredValue<Option<u64>>,
}

impl News {
    /// Whether there are some since the last time that this was asked.
    pub(super) fn are_there(self) -> bool {
        let all = self.all.get_untracked();
        self.known.try_update_value(|known| known.replace(all) != Some(all)) == Some(true)
    }
}

/// How long a message stays, in milliseconds: long enough to be read and acted upon.
const TOAST_MS: u64 = 8_000;

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            access: RwSignal::new(Access::default()),
            viewers: RwSignal::new(0),
            connection: RwSignal::new(Connection::default()),
            counts: RwSignal::new(Loaded::default()),
            queues: RwSignal::new(Loaded::default()),
            servers: RwSignal::new(Loaded::default()),
            modules: RwSignal::new(Loaded::default()),
            now: RwSignal::new(browser::now()),
            watched: RwSignal::new(None),
            bulk: RwSignal::new(Vec::new()),
            news: Topic::ALL.map(|_| RwSignal::new(0)),
            live: RwSignal::new(true),
            toasts: RwSignal::new(Vec::new()),
            question: RwSignal::new(None),
            shortcuts: RwSignal::new(browser::recall("windlass-shortcuts").is_none_or(|kept| kept != "off")),
        }
    }

    /// The one of this page.
    pub(super) fn of_page() -> Self {
        use_context().unwrap_or_else(Self::new)
    }

    pub(super) const fn api(self) -> Api {
        Api::new(self)
    }

    pub(super) fn notice(self, event: Event) {
        let before = self.connection.get_untracked();
        let mut after = before;
        connection::update(event, &mut after);
        if after != before {
            self.connection.set(after);
        }
        if after.is_back && !before.is_back {
            self.say("Connected again.");
        }
    }

    /// Takes in what is heard of who the viewer is.
    pub(super) fn hear(self, event: access::Event) {
        let mut after = self.access.get_untracked();
        let must_go = access::update(event, &mut after);
        if self.access.with_untracked(|before| *before != after) {
            if !after.may_ask() {
                // A question that nobody may answer now must not stand before the one who one is.
                self.question.set(None);
            }
            self.access.set(after);
        }
        if must_go {
            self.counts.set(Loaded::default());
            self.queues.set(Loaded::default());
            self.servers.set(Loaded::default());
            self.modules.set(Loaded::default());
            self.bulk.set(Vec::new());
            self.toasts.set(Vec::new());
            self.viewers.update(|viewers| *viewers += 1);
        }
    }

    /// Whether what changes something and takes this role is offered; read reactively.
    pub(super) fn may(self, role: Role) -> bool {
        self.access.with(|access| access.may(role))
    }

    /// Whether what only shows something and takes this role is offered; read reactively.
    pub(super) fn may_read(self, role: Role) -> bool {
        self.access.with(|access| access.may_read(role))
    }

    /// Looks again at once, after something was done.
    pub(super) fn look(self) {
        self.news_of(&Topic::ALL);
    }

    /// Has what may have changed asked for again.
    pub(super) fn news_of(self, topics: &[Topic]) {
        for topic in topics {
            self.news[*topic as usize].update(|news| *news += 1);
        }
    }

    /// To tell news of a topic from those of others.
    pub(super) fn of_topic(self, topic: Topic) -> News {
        News { all: self.news[topic as usize], known: StoredValue::new(None) }
    }

    pub(super) fn say(self, text: impl Into<String>) {
        self.toast(text.into(), false, None);
    }

    pub(super) fn complain(self, text: impl Into<String>) {
        self.toast(text.into(), true, None);
    }

    pub(super) fn toast(self, text: String, is_bad: bool, offer: Option<Offer>) {
        let number = self.toasts.with_untracked(|toasts| toasts.last().map_or(0, |toast| toast.number + 1));
        self.toasts.update(|toasts| {
            toasts.push(Toast { number, text, is_bad, offer });
            // No pile: what is older than the last four was seen or will not be.
            if toasts.len() > 4 {
                toasts.remove(0);
            }
        });
        // What went wrong stays until it is closed.
        if !is_bad {
            set_timeout(move || self.dismiss(number), std::time::Duration::from_millis(TOAST_MS));
        }
    }

    pub(super) fn dismiss(self, number: u64) {
        self.toasts.update(|toasts| toasts.retain(|toast| toast.number != number));
    }

    /// Does something, after a question where it destroys.
    pub(super) fn ask(
        self,
        title: impl Into<String>,
        text: impl Into<String>,
        yes: impl Into<String>,
        action: impl Fn() + Send + Sync + 'static,
    ) {
        let action = Arc::new(action);
        self.question.set(Some(Question { title: title.into(), text: text.into(), yes: yes.into(), action }));
    }

    /// Asks the host now and whenever there are news of these, one request at a time, as long as the present page is shown.
    pub(super) fn follow<Asking: Future<Output = ()> + 'static>(
        self,
        topics: &'static [Topic],
        ask: impl Fn() -> Asking + 'static,
    ) {
        self.follow_any(topics, Box::new(move || Box::pin(ask())));
    }

    fn follow_any(self, topics: &'static [Topic], ask: Ask) {
        let is_asking = StoredValue::new(false);
        let asked_again = StoredValue::new(false);
        let again = RwSignal::new(0_u64);
        // Whoever is not signed in gets no answers, and signs in some time.
        let may_ask = Memo::new(move |_| self.access.with(Access::may_ask));
        Effect::new(move |_| {
            for topic in topics {
                self.news[*topic as usize].track();
            }
            again.track();
            if !may_ask.get() {
                return;
            }
            if is_asking.get_value() {
                asked_again.set_value(true);
                return;
            }
            is_asking.set_value(true);
            asked_again.set_value(false);
            // What it reads is not what brings it about: a page says itself when to look again.
            let asking = untrack(&ask);
            spawn_local(async move {
                asking.await;
                // The page may be gone by now, and what it kept with it.
                is_asking.try_set_value(false);
                if asked_again.try_get_value() == Some(true) {
                    again.try_update(|again| *again += 1);
                }
            });
        });
    }
}
