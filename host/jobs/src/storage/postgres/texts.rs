//! Statements in the words of a namespace. In the source, `@` stands before each name that lies in it, and `@now` for
//! the instant of the statement, which its first parameter may set.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

/// The instant of a statement, by the database's clock where the parameter is absent.
const NOW: &str = "coalesce($1::bigint, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)";

/// The statements of a namespace, each made once.
#[derive(Debug)]
pub(super) struct Texts {
    prefix: String,
    /// By where their source stands in the program.
    made: RwLock<HashMap<(usize, usize), Arc<str>>>,
}

impl Texts {
    /// The namespace must have been checked: it becomes a part of each statement.
    pub(super) fn new(namespace: &str) -> Self {
        Self { prefix: format!("\"{namespace}\"."), made: RwLock::default() }
    }

    /// A statement of the program's.
    pub(super) fn of(&self, source: &'static str) -> Arc<str> {
        let place = (source.as_ptr() as usize, source.len());
        // A map that a panic left behind is whole all the same: it is only ever added to.
        if let Some(made) = self.made.read().unwrap_or_else(PoisonError::into_inner).get(&place) {
            return Arc::clone(made);
        }
        let made = Arc::<str>::from(self.write(source));
        self.made.write().unwrap_or_else(PoisonError::into_inner).insert(place, Arc::clone(&made));
        made
    }

    /// A statement that is put together while the program runs.
    pub(super) fn write(&self, source: &str) -> String {
        source.replace("@now", NOW).replace('@', &self.prefix)
    }
}
