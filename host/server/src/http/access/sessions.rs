//! Browsers that are signed in. They are known to this host alone and forgotten with it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use windlass_api::Timestamp;

use crate::secret::{self, NoRandomness};

/// No more browsers are signed in at once; the one that would end first makes room.
const MAX_SESSIONS: usize = 1_000;

#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The name of the token that it began with.
    pub(super) name: String,
    pub(super) expires_at: Timestamp,
    /// Told when it ends before its time.
    pub(super) end: SessionEnd,
}

/// The end of a session, for what goes on for as long as it lasts.
#[derive(Clone, Debug)]
pub(in super::super) struct SessionEnd(watch::Receiver<()>);

impl SessionEnd {
    /// Returns when the session was ended; never because its time is up.
    pub(in super::super) async fn come(mut self) {
        // Nothing is ever sent: an error says that the session was removed.
        while self.0.changed().await.is_ok() {}
    }
}

impl PartialEq for SessionEnd {
    fn eq(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Eq for SessionEnd {}

/// A session with what ends when it is removed.
#[derive(Debug)]
struct Kept {
    session: Session,
    _ends: watch::Sender<()>,
}

/// By the SHA-256 of the cookie: to look one up takes as long whatever is guessed.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Kept>>);

impl Sessions {
    /// Begins one and gives the cookie's value.
    pub(super) fn begin(&self, name: &str, expires_at: Timestamp, now: Timestamp) -> Result<String, NoRandomness> {
        let value = secret::random()?;
        let mut sessions = self.locked();
        sessions.retain(|_, kept| kept.session.expires_at > now);
        if sessions.len() >= MAX_SESSIONS
            && let Some(first) = sessions.iter().min_by_key(|(_, kept)| kept.session.expires_at).map(|(key, _)| *key)
        {
            sessions.remove(&first);
        }
        let (ends, end) = watch::channel(());
        let session = Session { name: name.to_owned(), expires_at, end: SessionEnd(end) };
        sessions.insert(key(&value), Kept { session, _ends: ends });
        Ok(value)
    }

    pub(super) fn find(&self, value: &str, now: Timestamp) -> Option<Session> {
        self.locked().get(&key(value)).map(|kept| &kept.session).filter(|session| session.expires_at > now).cloned()
    }

    pub(super) fn end(&self, value: &str) {
        self.locked().remove(&key(value));
    }

    /// Held for short synchronous sections only.
    fn locked(&self) -> MutexGuard<'_, HashMap<[u8; 32], Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(value: &str) -> [u8; 32] {
    Sha256::digest(value.as_bytes()).into()
}
