//! Reading and writing the bytes that the scripts keep: numbers in network order, texts with their length.

use uuid::Uuid;
use windlass_api::{Mode, State, Timestamp};

/// What stands for an instant that is not there.
pub(super) const NONE: i64 = -9_007_199_254_740_992;

/// Why something that is kept cannot be read.
pub(super) type Why = String;

/// Reads from the beginning to the end.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Why> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Why> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| "it ends too early".to_owned())
    }

    pub(super) fn u8(&mut self) -> Result<u8, Why> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<usize, Why> {
        self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Why> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Why> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Why> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn f32(&mut self) -> Result<f32, Why> {
        self.array().map(f32::from_be_bytes)
    }

    pub(super) fn instant(&mut self) -> Result<Timestamp, Why> {
        self.i64().map(Timestamp)
    }

    pub(super) fn state(&mut self) -> Result<State, Why> {
        let number = self.u8()?;
        State::ALL.get(usize::from(number)).copied().ok_or_else(|| format!("there is no state {number}"))
    }

    pub(super) fn mode(&mut self) -> Result<Mode, Why> {
        let number = self.u8()?;
        Mode::ALL.get(usize::from(number)).copied().ok_or_else(|| format!("there is no mode {number}"))
    }

    /// A text of so many bytes.
    pub(super) fn text(&mut self, count: usize) -> Result<&'a str, Why> {
        std::str::from_utf8(self.take(count)?).map_err(|error| error.to_string())
    }

    pub(super) fn short_text(&mut self) -> Result<&'a str, Why> {
        let count = usize::from(self.u8()?);
        self.text(count)
    }

    pub(super) fn long_text(&mut self) -> Result<&'a str, Why> {
        let count = self.u16()?;
        self.text(count)
    }

    /// The rest.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// The number of a state, as the scripts know it.
pub(super) fn state_number(state: State) -> u8 {
    position(State::ALL, state)
}

/// The number of a mode.
pub(super) fn mode_number(mode: Mode) -> u8 {
    position(Mode::ALL, mode)
}

pub(super) fn position<T: PartialEq + Copy>(all: &[T], one: T) -> u8 {
    all.iter().position(|it| *it == one).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

/// Writes a text with its length in two bytes; one that is longer than that can say is cut short.
pub(super) fn put_text(to: &mut Vec<u8>, text: &str) {
    let text = cut(text);
    to.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    to.extend(text.as_bytes());
}

/// The text as far as a length of two bytes can say.
pub(super) fn cut(text: &str) -> &str {
    if text.len() <= usize::from(u16::MAX) {
        return text;
    }
    &text[..text.floor_char_boundary(usize::from(u16::MAX))]
}

pub(super) fn uuid(bytes: &[u8]) -> Result<Uuid, Why> {
    Uuid::from_slice(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_numbers_of_states_and_modes_are_the_words() {
        let numbers = [State::Scheduled, State::Awaiting, State::Enqueued, State::Processing, State::Succeeded];
        assert_eq!(numbers.map(state_number), [0, 1, 2, 3, 4]);
        assert_eq!((state_number(State::Failed), state_number(State::Deleted)), (5, 6));
        assert_eq!((mode_number(Mode::Sync), mode_number(Mode::Async)), (0, 1));
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_its_letters() {
        let mut bytes = Vec::new();
        put_text(&mut bytes, &"é".repeat(40_000));
        let mut reader = Reader(&bytes);
        assert_eq!(reader.long_text().unwrap().len(), 65_534);
    }
}
