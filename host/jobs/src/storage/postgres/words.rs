//! How words are kept: as small numbers in the order in which they are declared.

use std::collections::BTreeSet;

use windlass_api::{ContinueOn, Digest, Grain, LogLevel, Mode, OnConflict, State};

use super::fault::Fault;

/// A word that is kept as a number. The order of its values must never change; new ones go to the end.
pub(super) trait Word: Copy + PartialEq + Sized + 'static {
    const WHAT: &'static str;
    const VALUES: &'static [Self];

    fn number(self) -> i16 {
        let at = Self::VALUES.iter().position(|value| *value == self);
        at.and_then(|at| i16::try_from(at).ok()).unwrap_or(i16::MAX)
    }

    fn from_number(number: i16) -> Result<Self, Fault> {
        let value = usize::try_from(number).ok().and_then(|at| Self::VALUES.get(at));
        value.copied().ok_or_else(|| Fault::damaged(Self::WHAT, format!("there is no number {number}")))
    }
}

impl Word for State {
    const WHAT: &'static str = "a job's state";
    const VALUES: &'static [Self] = Self::ALL;
}

impl Word for Mode {
    const WHAT: &'static str = "a job's mode";
    const VALUES: &'static [Self] = Self::ALL;
}

impl Word for LogLevel {
    const WHAT: &'static str = "a log line's level";
    const VALUES: &'static [Self] = Self::ALL;
}

impl Word for Grain {
    const WHAT: &'static str = "a counter's span";
    const VALUES: &'static [Self] = Self::ALL;
}

impl Word for ContinueOn {
    const WHAT: &'static str = "how a job's parents must have ended";
    const VALUES: &'static [Self] = Self::ALL;
}

impl Word for OnConflict {
    const WHAT: &'static str = "what becomes of a job that conflicts";
    const VALUES: &'static [Self] = Self::ALL;
}

/// States as bits, by their numbers.
pub(super) fn bits_of(states: &BTreeSet<State>) -> i16 {
    states.iter().fold(0, |bits, state| bits | 1 << state.number())
}

pub(super) fn states_of(bits: i16) -> BTreeSet<State> {
    State::ALL.iter().copied().filter(|state| bits & 1 << state.number() != 0).collect()
}

/// What somebody asked to be done with a job that is being run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Cancel,
    Delete,
}

impl Word for Ask {
    const WHAT: &'static str = "what is asked of a job";
    const VALUES: &'static [Self] = &[Self::Cancel, Self::Delete];
}

pub(super) fn digest(bytes: &[u8]) -> Result<Digest, Fault> {
    bytes.try_into().map(Digest).map_err(|_| Fault::damaged("a version's digest", "it does not have 32 bytes"))
}

/// PostgreSQL's integers are signed; nothing that is counted here reaches half of what an unsigned one can hold.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn count(value: i64) -> u32 {
    u32::try_from(value.max(0)).unwrap_or(u32::MAX)
}

/// A number of things in PostgreSQL's terms.
pub(super) fn amount(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// PostgreSQL's text holds everything but a NUL; its picture stands for it.
pub(super) fn plain(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_reads_back_what_it_writes() {
        assert!(State::ALL.iter().all(|state| State::from_number(state.number()).is_ok_and(|it| it == *state)));
        assert!(Mode::ALL.iter().all(|mode| Mode::from_number(mode.number()).is_ok_and(|it| it == *mode)));
        assert!(State::from_number(7).is_err() && Mode::from_number(-1).is_err());
    }

    #[test]
    fn the_schema_s_numbers_are_the_words() {
        let states = State::ALL.iter().map(|state| state.number()).collect::<Vec<_>>();
        assert_eq!(states, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!((Mode::Sync.number(), Grain::Hour.number()), (0, 1));
        assert_eq!((ContinueOn::Finished.number(), OnConflict::Replace.number()), (2, 2));
    }

    #[test]
    fn states_are_bits_and_back() {
        let some = BTreeSet::from([State::Scheduled, State::Enqueued, State::Deleted]);
        assert_eq!((bits_of(&some), states_of(bits_of(&some))), (0b100_0101, some));
    }
}
