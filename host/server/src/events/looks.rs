//! Looking at the storage, one cheap read at a time, and seeing what changed since the look before.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use windlass_api::{Counts, JobDetail, JobId, QueueView, ServerView, State, Timestamp};
use windlass_jobs::storage::{Storage, StorageError};

use super::Hint;

/// What was seen last.
#[derive(Debug, Default)]
pub(super) struct Looks {
    turn: usize,
    counts: Option<Counts>,
    servers: Option<Vec<ServerView>>,
    queues: Option<Vec<QueueView>>,
    jobs: HashMap<JobId, u64>,
    /// The job that was looked at last.
    last_job: Option<JobId>,
}

#[derive(Clone, Copy)]
enum Turn {
    Counts,
    Servers,
    Queues,
    Job,
}

/// At four looks a second: the counts twice a second, a job every second, servers and queues every two.
const TURNS: [Turn; 8] =
    [Turn::Counts, Turn::Job, Turn::Counts, Turn::Servers, Turn::Counts, Turn::Job, Turn::Counts, Turn::Queues];

impl Looks {
    /// Makes one look, and gives what changed. What is seen for the first time counts as changed: whoever follows may have
    /// read it before it changed.
    pub(super) async fn look(
        &mut self,
        storage: &dyn Storage,
        watched: &BTreeSet<JobId>,
    ) -> Result<Option<Hint>, StorageError> {
        self.jobs.retain(|job, _| watched.contains(job));
        let turn = TURNS[self.turn % TURNS.len()];
        self.turn = self.turn.wrapping_add(1);
        let next_job = self.next_job(watched);
        Ok(match (turn, next_job) {
            (Turn::Job, Some(job)) => {
                self.last_job = Some(job);
                let seen = storage.job(job).await?.as_ref().map_or(0, fingerprint);
                (self.jobs.insert(job, seen) != Some(seen)).then(|| Hint::Jobs(BTreeSet::from([job])))
            }
            (Turn::Counts | Turn::Job, _) => {
                let counts = storage.counts().await?;
                let states = changed_states(self.counts.as_ref(), &counts);
                self.counts = Some(counts);
                (!states.is_empty()).then_some(Hint::Counts(states))
            }
            (Turn::Servers, _) => {
                let servers = storage.servers().await?.into_iter();
                // It beats all the time, with as much memory as it holds just then.
                let still = |server| ServerView { heartbeat_at: Timestamp(0), memory_bytes: None, ..server };
                let servers = servers.map(still).collect();
                changed(&mut self.servers, servers).then_some(Hint::Servers)
            }
            (Turn::Queues, _) => {
                let queues = storage.queues().await?.into_iter();
                // The head of a line moves all the time.
                let queues = queues.map(|queue| QueueView { oldest_at: None, ..queue }).collect();
                changed(&mut self.queues, queues).then_some(Hint::Queues)
            }
        })
    }

    /// One after the other, so that each has its turn.
    fn next_job(&self, watched: &BTreeSet<JobId>) -> Option<JobId> {
        let after = self.last_job.and_then(|last| watched.iter().find(|job| **job > last));
        after.or(watched.first()).copied()
    }
}

fn changed<T: PartialEq>(before: &mut Option<T>, now: T) -> bool {
    let is_changed = before.as_ref() != Some(&now);
    *before = Some(now);
    is_changed
}

fn changed_states(before: Option<&Counts>, now: &Counts) -> BTreeSet<State> {
    let states = State::ALL.iter().copied();
    states.filter(|&state| before.is_none_or(|before| before.of(state) != now.of(state))).collect()
}

/// Different where anything that a page of the job shows is; its log is followed by itself.
fn fingerprint(detail: &JobDetail) -> u64 {
    let mut hasher = DefaultHasher::new();
    // What cannot be written as JSON counts as unchanged, and there is no such job.
    serde_json::to_vec(&detail.job).unwrap_or_default().hash(&mut hasher);
    detail.history.len().hash(&mut hasher);
    hasher.finish()
}
