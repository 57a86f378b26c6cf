//! How words are kept: as small numbers in the order in which they are declared.

use uuid::Uuid;
use windlass_api::{ContinueOn, Digest, Grain, LogLevel, Mode, State};

use super::fault::Fault;

/// A word that is kept as a number. The order of its values must never change; new ones go to the end.
pub(super) trait Word: Copy + PartialEq + Sized + 'static {
    const WHAT: &'static str;
    const VALUES: &'static [Self];

    fn number(self) -> i64 {
        let at = Self::VALUES.iter().position(|value| *value == self);
        at.and_then(|at| i64::try_from(at).ok()).unwrap_or(i64::MAX)
    }

    fn from_number(number: i64) -> Result<Self, Fault> {
        let value = usize::try_from(number).ok().and_then(|at| Self::VALUES.get(at));
        value.copied().ok_or_else(|| Fault::damaged(Self::WHAT, format!("there is no number {number}")))
    }
}

impl Word for State {
    const WHAT: &'static str = "a job's state";
    const VALUES: &'static [Self] = Self::ALL;

    fn number(self) -> i64 {
        // On the hot path; the order is that of `ALL`, which a test holds it to.
        self as i64
    }
}

impl Word for Mode {
    const WHAT: &'static str = "a job's mode";
    const VALUES: &'static [Self] = Self::ALL;
}

impl Word for Grain {
    const WHAT: &'static str = "the grain of a counter";
    const VALUES: &'static [Self] = Self::ALL;
}

impl Word for ContinueOn {
    const WHAT: &'static str = "what a continuation waits for";
    const VALUES: &'static [Self] = Self::ALL;
}

impl Word for LogLevel {
    const WHAT: &'static str = "a log line's level";
    const VALUES: &'static [Self] = Self::ALL;
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

pub(super) fn uuid(bytes: &[u8]) -> Result<Uuid, Fault> {
    Uuid::from_slice(bytes).map_err(|error| Fault::damaged("an id", error))
}

pub(super) fn digest(bytes: &[u8]) -> Result<Digest, Fault> {
    bytes.try_into().map(Digest).map_err(|_| Fault::damaged("a version's digest", "it does not have 32 bytes"))
}

/// SQLite's integers are signed; nothing that is counted here reaches half of what an unsigned one can hold.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn count(value: i64) -> u32 {
    u32::try_from(value.max(0)).unwrap_or(u32::MAX)
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
    fn the_schema_s_numbers_of_states_are_the_words() {
        assert_eq!((State::Processing.number(), State::Succeeded.number(), State::Deleted.number()), (3, 4, 6));
    }
}
