//! Claims whose answer did not come: PostgreSQL may have handed jobs over that their server does not know of. Each claim
//! marks its jobs with a token; those of a token that is known to be lost are handed over by a later claim.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use uuid::Uuid;
use windlass_api::ServerId;

/// How long a statement that nobody waits for any more may still take effect, with a wide margin.
const MAY_COME_LATE: Duration = Duration::from_secs(120);

/// The tokens that were lost, by server.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<HashMap<ServerId, Vec<Lost>>>);

#[derive(Debug)]
struct Lost {
    token: i64,
    since: Instant,
}

/// A claim under way. Where it is dropped before its answer was handed on, the answer counts as lost.
pub(super) struct UnderWay<'a> {
    claims: &'a Claims,
    server: ServerId,
    pub(super) token: i64,
    sent: AtomicBool,
}

impl Claims {
    pub(super) fn begin(&self, server: ServerId) -> UnderWay<'_> {
        let (token, _) = Uuid::new_v4().as_u64_pair();
        UnderWay { claims: self, server, token: token.cast_signed(), sent: AtomicBool::new(false) }
    }

    /// The tokens of which jobs may be left.
    pub(super) fn lost(&self, server: ServerId) -> Vec<i64> {
        self.all().get(&server).map(|lost| lost.iter().map(|lost| lost.token).collect()).unwrap_or_default()
    }

    /// Nothing is left of what was lost before this instant, but for what comes late.
    pub(super) fn none_left(&self, server: ServerId, looked_at: Instant) {
        let mut all = self.all();
        let Some(lost) = all.get_mut(&server) else { return };
        lost.retain(|lost| lost.since + MAY_COME_LATE > looked_at);
        if lost.is_empty() {
            all.remove(&server);
        }
    }

    /// The server has ended.
    pub(super) fn forget(&self, server: ServerId) {
        self.all().remove(&server);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<ServerId, Vec<Lost>>> {
        // Only ever held to look something up, to add it or to take it out.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay<'_> {
    /// From now on it may take effect.
    pub(super) fn is_sent(&self) {
        self.sent.store(true, Ordering::Release);
    }

    /// It has surely not taken effect, or its answer is here.
    pub(super) fn is_over(&self) {
        self.sent.store(false, Ordering::Release);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if *self.sent.get_mut() {
            let lost = Lost { token: self.token, since: Instant::now() };
            self.claims.all().entry(self.server).or_default().push(lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_and_not_answered_is_lost_until_nothing_can_come_late() {
        let (claims, server) = (Claims::default(), ServerId(Uuid::nil()));
        drop(claims.begin(server));
        let answered = claims.begin(server);
        answered.is_sent();
        answered.is_over();
        drop(answered);
        assert!(claims.lost(server).is_empty());
        let lost = claims.begin(server);
        let token = lost.token;
        lost.is_sent();
        drop(lost);
        claims.none_left(server, Instant::now());
        assert_eq!(claims.lost(server), [token], "it may take effect even now");
        claims.none_left(server, Instant::now() + MAY_COME_LATE + Duration::from_secs(1));
        assert!(claims.lost(server).is_empty());
    }
}
