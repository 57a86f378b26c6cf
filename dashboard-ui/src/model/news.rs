//! What may have changed at the host, and so what is asked for again: as its events tell it, and by the beat of the page
//! where they do not.

use windlass_api::Event;

/// Something that may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// How many jobs there are in some states, and so the list of jobs.
    Counts,
    /// The job that the page shows.
    Job,
    /// The queues.
    Queues,
    /// The servers.
    Servers,
    /// The modules.
    Modules,
    /// A second has passed: for what no event tells, such as lines of a log.
    Second,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Counts, Self::Job, Self::Queues, Self::Servers, Self::Modules, Self::Second];
}

/// While events come, every how many seconds all is asked for the same: what changes and changes back between two looks of
/// the host is not told.
const BESIDES_EVENTS: u32 = 10;

/// What an event tells of.
#[must_use]
pub const fn told_by(event: Event) -> &'static [Topic] {
    match event {
        Event::Counts => &[Topic::Counts],
        Event::Job => &[Topic::Job],
        Event::Queues => &[Topic::Queues],
        Event::Servers => &[Topic::Servers],
        Event::Modules => &[Topic::Modules],
        Event::Missed => &Topic::ALL,
    }
}

/// What is asked for at a beat, of which there is one each second. `tells` says that events come.
#[must_use]
pub const fn at_beat(number: u32, tells: bool) -> &'static [Topic] {
    match (tells, number % BESIDES_EVENTS, number % 3) {
        (true, 0, _) => &Topic::ALL,
        (true, ..) => &[Topic::Second],
        // These three change rarely, and every page names them: one of them each time.
        (false, _, 0) => &[Topic::Second, Topic::Counts, Topic::Job, Topic::Queues],
        (false, _, 1) => &[Topic::Second, Topic::Counts, Topic::Job, Topic::Servers],
        (false, ..) => &[Topic::Second, Topic::Counts, Topic::Job, Topic::Modules],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_tells_of_something_and_a_missed_one_of_everything() {
        for event in Event::ALL {
            assert!(!told_by(*event).is_empty(), "{event}");
        }
        assert_eq!(told_by(Event::Missed), Topic::ALL);
    }

    #[test]
    fn without_events_everything_is_asked_for_within_three_seconds() {
        for topic in Topic::ALL {
            assert!((7..10).any(|beat| at_beat(beat, false).contains(&topic)), "{topic:?}");
            assert!((7..17).any(|beat| at_beat(beat, true).contains(&topic)), "{topic:?}");
        }
        assert_eq!(at_beat(1, true), [Topic::Second]);
    }
}
