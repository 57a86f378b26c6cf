//! A storage that fails on purpose, for tests of those who use one.
//!
//! Where a verb gives [`StorageError::Unavailable`], its answer may only have been lost: it took effect, or it did not.
//! What the caller must do then hangs on the verb:
//!
//! | verb | after a lost answer |
//! | --- | --- |
//! | all that only read; `heartbeat`, `leave`, `set_paused`, `activate`, `set_canary`, `retire`, `put_checkpoint`, `put_limit` | repeat it: the same effect and the same answer |
//! | `enqueue` | repeat it with the same ids: no job is made twice, but those that were stored are said to exist already |
//! | `record_audit` | repeat it: an entry may be there twice |
//! | `add_version`, `import`, `remove_recurring`, `remove_limit`, `end_canary` | repeat it: the same effect; the answer says that it was done already |
//! | `promote`, `prune`, `sweep`, `unpin` | repeat it: the rest is done, and only the rest is counted |
//! | `cancel`, `delete`, `remove_all`, `requeue` | repeat it: it is refused with the state that it has led to, if it did; with an expected state nothing that came in between is undone |
//! | `settle` | repeat it: a run that was settled is [`Superseded`](crate::storage::Superseded), which its server must take as "no longer mine" |
//! | `put_recurring` | read the entry first: where it is as it was put, the jobs are there as well; otherwise try again with its revision |
//! | `note` | do not repeat it: its lines may be there already, and would be kept twice; progress comes with the next one |
//! | `claim` | the server may hold jobs that it does not know of, which nobody will run: it must `leave` once its own runs are settled and register under a new id, which gives them back; or end, and be swept |
//! | `register` | register under another id: the first one is swept when it does not beat |

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    decorate::{decorate, decorated_names},
    random::Random,
};

decorated_names!();

/// What comes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is carried out and answered.
    Done,
    /// It fails as unavailable and is not carried out.
    Refused,
    /// It is carried out and fails as unavailable all the same.
    AnswerLost,
    /// It is carried out and answered after this time.
    Delayed(Duration),
}

/// Decides what comes of each call.
pub trait Plan: Send + Sync + 'static {
    /// What comes of a call: the `number`th of this verb, counted from 0.
    fn outcome(&self, verb: &'static str, number: u64) -> Outcome;
}

impl<F: Fn(&'static str, u64) -> Outcome + Send + Sync + 'static> Plan for F {
    fn outcome(&self, verb: &'static str, number: u64) -> Outcome {
        self(verb, number)
    }
}

/// These outcomes one after the other, whatever the verbs are; then all goes well.
#[must_use]
pub fn scripted(outcomes: impl IntoIterator<Item = Outcome>) -> impl Plan {
    let left = Mutex::new(outcomes.into_iter().collect::<VecDeque<_>>());
    move |_, _| left.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or(Outcome::Done)
}

/// Of a hundred calls about so many are refused, and as many lose their answer, as the seed has it.
#[must_use]
pub fn seeded(seed: u64, percent: u64) -> impl Plan {
    let random = Mutex::new(Random::new(seed));
    move |_, _| match random.lock().unwrap_or_else(PoisonError::into_inner).below(100) {
        drawn if drawn < percent => Outcome::Refused,
        drawn if drawn < 2 * percent => Outcome::AnswerLost,
        _ => Outcome::Done,
    }
}

/// Whether a verb may be repeated after a lost answer and then answers as if nothing had been lost.
#[must_use]
pub fn answers_alike(verb: &str) -> bool {
    !matches!(
        verb,
        "enqueue"
            | "add_version"
            | "import"
            | "remove_recurring"
            | "remove_limit"
            | "end_canary"
            | "unpin"
            | "record_audit"
            | "promote"
            | "prune"
            | "sweep"
            | "cancel"
            | "delete"
            | "remove_all"
            | "requeue"
            | "settle"
            | "put_recurring"
            | "note"
            | "claim"
            | "register"
    )
}

/// Each call is refused first; the next one like it loses its answer, where that may be repeated; the third goes well.
#[must_use]
pub fn each_fails_first() -> impl Plan {
    |verb: &'static str, number| match number % 3 {
        0 => Outcome::Refused,
        1 if answers_alike(verb) => Outcome::AnswerLost,
        _ => Outcome::Done,
    }
}

/// A storage around another one, whose calls fail as a plan has it. Signals pass undisturbed.
pub struct Faulty {
    inner: Arc<dyn Storage>,
    plan: Box<dyn Plan>,
    calls: Mutex<HashMap<&'static str, u64>>,
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").finish_non_exhaustive()
    }
}

impl Faulty {
    /// Wraps a storage.
    #[must_use]
    pub fn new(inner: Arc<dyn Storage>, plan: impl Plan) -> Arc<Self> {
        Arc::new(Self { inner, plan: Box::new(plan), calls: Mutex::default() })
    }

    /// How often a verb was called.
    #[must_use]
    pub fn calls(&self, verb: &str) -> u64 {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).get(verb).copied().unwrap_or(0)
    }

    #[expect(clippy::needless_lifetimes, reason = "a bound of its arguments names it")]
    async fn call<'a, T, F>(&'a self, verb: &'static str, attempt: F) -> Result<T, StorageError>
    where
        F: Fn() -> Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'a>> + Send,
    {
        let number = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let number = calls.entry(verb).or_default();
            *number += 1;
            *number - 1
        };
        match self.plan.outcome(verb, number) {
            Outcome::Done => attempt().await,
            Outcome::Refused => Err(StorageError::Unavailable(format!("`{verb}` was refused on purpose"))),
            Outcome::AnswerLost => {
                drop(attempt().await);
                Err(StorageError::Unavailable(format!("the answer of `{verb}` was lost on purpose")))
            }
            Outcome::Delayed(span) => {
                tokio::time::sleep(span).await;
                attempt().await
            }
        }
    }
}

decorate!(Faulty);

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::{TestClock, conformance::world::job, storage::sqlite::SqliteStorage};

    fn storage() -> Arc<dyn Storage> {
        SqliteStorage::in_memory(Arc::new(TestClock::at(windlass_api::Timestamp(1)))).unwrap()
    }

    #[tokio::test]
    async fn a_refused_call_does_nothing_and_one_whose_answer_is_lost_takes_effect() {
        let inner = storage();
        let script = [Outcome::Refused, Outcome::AnswerLost, Outcome::Delayed(Duration::ZERO)];
        let faulty = Faulty::new(Arc::clone(&inner), scripted(script));
        let stored = || async { inner.counts().await.unwrap().of(State::Enqueued) };
        assert!(matches!(faulty.enqueue(vec![job()], "ann").await, Err(StorageError::Unavailable(_))));
        assert_eq!(stored().await, 0);
        let new = job();
        assert!(matches!(faulty.enqueue(vec![new.clone()], "ann").await, Err(StorageError::Unavailable(_))));
        assert_eq!(stored().await, 1);
        assert!(faulty.enqueue(vec![new], "ann").await.unwrap()[0].existing);
        assert!(!faulty.enqueue(vec![job()], "ann").await.unwrap()[0].existing, "the script is over");
        assert_eq!((faulty.calls("enqueue"), faulty.calls("claim")), (4, 0));
    }

    #[tokio::test]
    async fn a_seed_fails_the_same_calls_each_time() {
        let mut runs = Vec::new();
        for _ in 0..2 {
            let faulty = Faulty::new(storage(), seeded(7, 20));
            let mut failed = Vec::new();
            for _ in 0..50 {
                failed.push(faulty.counts().await.is_err());
            }
            runs.push(failed);
        }
        assert_eq!(runs[0], runs[1]);
        let failures = runs[0].iter().filter(|failed| **failed).count();
        assert!((8..35).contains(&failures), "about 20 of 50: {failures}");
    }
}
