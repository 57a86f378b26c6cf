//! Whether the host is there, and how news come from it.

/// No wait between two attempts to reach a lost host is longer, in milliseconds.
const LONGEST_WAIT_MS: u32 = 10_000;

/// No wait before the events are asked for anew is longer, in milliseconds.
const LONGEST_STREAM_WAIT_MS: u32 = 30_000;

/// How long the page waits between two looks where the host sends no events, in milliseconds.
pub const POLL_MS: u32 = 1_000;

/// How news come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Nothing has been heard yet.
    #[default]
    Unknown,
    /// The host sends events.
    Events,
    /// The host sends none: the page asks each second.
    Polling,
}

/// The connection to the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// How news come.
    pub source: Source,
    /// How many requests in a row found nobody.
    pub misses: u32,
    /// Whether it was lost and has just come back; until the next answer.
    pub is_back: bool,
    /// How many times in a row the host refused to send events.
    pub refusals: u32,
}

/// What is noticed about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An answer came, whatever it said.
    Answered,
    /// No answer came.
    Missed,
    /// The event stream is open.
    StreamOpened,
    /// The event stream was cut; the browser asks for it again by itself.
    StreamCut,
    /// The host, or what is in between, sends no events now. No browser asks for them again after that.
    StreamRefused,
}

impl Connection {
    /// Whether the host is lost. One miss is not yet told: a host that is restarted is back within a second.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.misses >= 2
    }

    /// How long to wait until the next look, in milliseconds.
    #[must_use]
    pub fn wait_ms(&self) -> u32 {
        let doublings = self.misses.saturating_sub(2).min(8);
        (POLL_MS << doublings).min(LONGEST_WAIT_MS)
    }

    /// How long to wait before events are asked for anew, in milliseconds.
    #[must_use]
    pub fn stream_wait_ms(&self) -> u32 {
        let doublings = self.refusals.saturating_sub(1).min(8);
        (1_000 << doublings).min(LONGEST_STREAM_WAIT_MS)
    }

    /// Whether the host tells by itself what has changed.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.source == Source::Events && !self.is_lost()
    }
}

/// Takes in what was noticed.
pub fn update(event: Event, connection: &mut Connection) {
    match event {
        Event::Answered => {
            connection.is_back = connection.is_lost();
            connection.misses = 0;
            if connection.source == Source::Unknown {
                connection.source = Source::Polling;
            }
        }
        Event::Missed => {
            connection.misses = connection.misses.saturating_add(1);
            connection.is_back = false;
        }
        Event::StreamOpened => (connection.source, connection.refusals) = (Source::Events, 0),
        Event::StreamCut => connection.source = Source::Polling,
        Event::StreamRefused => {
            connection.source = Source::Polling;
            connection.refusals = connection.refusals.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_lost_at_the_second_miss_and_back_at_the_first_answer() {
        let mut connection = Connection::default();
        update(Event::Missed, &mut connection);
        assert!(!connection.is_lost());
        update(Event::Missed, &mut connection);
        assert!(connection.is_lost());
        update(Event::Answered, &mut connection);
        assert!(!connection.is_lost() && connection.is_back);
        update(Event::Answered, &mut connection);
        assert!(!connection.is_back);
    }

    #[test]
    fn a_lost_host_is_asked_less_and_less_often() {
        let mut connection = Connection::default();
        let mut waits = Vec::new();
        for _ in 0..40 {
            waits.push(connection.wait_ms());
            update(Event::Missed, &mut connection);
        }
        assert_eq!(waits[..7], [1_000, 1_000, 1_000, 2_000, 4_000, 8_000, 10_000]);
        assert_eq!(waits[39], 10_000);
    }

    #[test]
    fn where_no_events_come_the_page_polls() {
        let mut connection = Connection::default();
        update(Event::Answered, &mut connection);
        assert_eq!(connection.source, Source::Polling);
        update(Event::StreamOpened, &mut connection);
        update(Event::Answered, &mut connection);
        assert_eq!(connection.source, Source::Events);
        update(Event::StreamCut, &mut connection);
        assert_eq!(connection.source, Source::Polling);
    }

    #[test]
    fn events_that_are_refused_are_asked_for_less_and_less_often_until_they_come() {
        let mut connection = Connection::default();
        let mut waits = Vec::new();
        for _ in 0..7 {
            update(Event::StreamRefused, &mut connection);
            waits.push(connection.stream_wait_ms());
        }
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert!(!connection.tells());
        update(Event::StreamOpened, &mut connection);
        assert!(connection.tells());
        update(Event::StreamRefused, &mut connection);
        assert_eq!(connection.stream_wait_ms(), 1_000);
    }
}
