//! What the pages know, and how each piece of news changes it. Nothing here draws, fetches or asks for the time: an
//! event carries all that is needed, so that every rule is tested without a browser.

pub mod access;
pub mod asking;
pub mod attention;
pub mod bulk;
pub mod connection;
pub mod flow;
pub mod job;
pub mod jobs;
pub mod limits;
pub mod news;
pub mod recurring;
pub mod traffic;
pub mod versions;

use crate::trouble::Trouble;

/// Something that was asked for: what is there of it, and what went wrong last.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded<T> {
    /// What arrived last; kept while later requests fail, since old news are better than none.
    pub value: Option<T>,
    /// Why the last request failed.
    pub trouble: Option<Trouble>,
}

impl<T> Default for Loaded<T> {
    fn default() -> Self {
        Self { value: None, trouble: None }
    }
}

impl<T> Loaded<T> {
    /// Takes an answer.
    pub fn take(&mut self, answer: Result<T, Trouble>) {
        match answer {
            Ok(value) => *self = Self { value: Some(value), trouble: None },
            Err(trouble) => self.trouble = Some(trouble),
        }
    }

    /// Whether an answer says anything else than what is known, so that something is to be drawn anew.
    #[must_use]
    pub fn differs(&self, answer: &Result<T, Trouble>) -> bool
    where
        T: PartialEq,
    {
        match answer {
            Ok(value) => self.trouble.is_some() || self.value.as_ref() != Some(value),
            Err(trouble) => self.trouble.as_ref() != Some(trouble),
        }
    }

    /// Whether nothing has arrived yet, neither an answer nor a failure.
    #[must_use]
    pub const fn is_loading(&self) -> bool {
        self.value.is_none() && self.trouble.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_news_where_it_says_something_else() {
        let mut known = Loaded::<u8>::default();
        assert!(known.differs(&Ok(1)) && known.differs(&Err(Trouble::NotOffered)), "nothing is known yet");
        known.take(Ok(1));
        assert!(!known.differs(&Ok(1)) && known.differs(&Ok(2)));
        known.take(Err(Trouble::Unreachable));
        assert!(known.differs(&Ok(1)) && !known.differs(&Err(Trouble::Unreachable)));
    }
}
