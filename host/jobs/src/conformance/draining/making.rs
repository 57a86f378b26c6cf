//! Jobs that are made: with and without conditions of every kind.

use std::collections::BTreeSet;

use windlass_api::{After, ContinueOn, Digest, OnConflict, State, UniqueRule};

use super::{super::world::job, KEYS, QUEUES, Trial};
use crate::{Conditions, NewJob, Start, storage::StorageError};

impl Trial<'_> {
    pub(super) async fn enqueue(&mut self) {
        let mut jobs = Vec::new();
        for _ in 0..=self.random.below(3) {
            let new = self.new_job(&jobs);
            jobs.push(new);
        }
        match self.world.storage.enqueue(jobs.clone(), "ann").await {
            Ok(enqueued) => {
                for (new, enqueued) in jobs.into_iter().zip(enqueued) {
                    if !enqueued.existing {
                        self.made.push(new.id);
                        self.as_made.insert(new.id, new);
                    }
                }
            }
            // A parent may have been removed, and a unique job may not stand beside another.
            Err(StorageError::Refused { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) fn new_job(&mut self, before: &[NewJob]) -> NewJob {
        let now = self.world.now();
        let start = match self.random.below(6) {
            0 => Start::After(1 + self.random.below(300)),
            1 => Start::At(now.plus_ms(self.random.below(300))),
            2 => Start::WithHandler,
            _ => Start::Now,
        };
        let after = (self.random.below(3) == 0).then(|| self.after(before)).flatten();
        let unique = (self.random.below(4) == 0).then(|| UniqueRule {
            key: Digest([u8::try_from(self.random.below(3)).unwrap(); 32]),
            states: BTreeSet::from([State::Scheduled, State::Awaiting, State::Enqueued, State::Processing]),
            period_ms: (self.random.below(2) == 0).then_some(200),
            on_conflict: OnConflict::ALL[usize::try_from(self.random.below(3)).unwrap()],
        });
        let expires_at = (self.random.below(6) == 0).then(|| now.plus_ms(1 + self.random.below(400)));
        let limit_key = (self.random.below(2) == 0).then(|| self.pick(KEYS).parse().unwrap());
        NewJob {
            queue: self.pick(QUEUES).parse().unwrap(),
            priority: u8::try_from(self.random.below(3)).unwrap(),
            max_attempts: 1 + u32::try_from(self.random.below(3)).unwrap(),
            start,
            conditions: Conditions { after, unique, expires_at, limit_key },
            ..job()
        }
    }

    fn after(&mut self, before: &[NewJob]) -> Option<After> {
        let known = self.made.iter().copied().chain(before.iter().map(|new| new.id)).collect::<Vec<_>>();
        let mut jobs = BTreeSet::new();
        for _ in 0..=self.random.below(2) {
            jobs.extend(self.random.one_of(&known));
        }
        let on = ContinueOn::ALL[usize::try_from(self.random.below(3)).unwrap()];
        (!jobs.is_empty()).then(|| After { jobs: jobs.into_iter().collect(), on })
    }
}
