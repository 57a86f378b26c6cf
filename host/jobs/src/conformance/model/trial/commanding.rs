//! What operators ask for, and what time brings.

use windlass_api::{RequeueRequest, State};

use super::{super::expected::Asked, QUEUES, Trial};
use crate::storage::{Commanded, Retention};

impl Trial {
    pub(super) async fn remove(&mut self) {
        let now = self.tick();
        let Some(id) = self.pick() else { return };
        let deletes = self.random.below(2) == 0;
        let asked = Asked { reason: if deletes { "deleted" } else { "cancelled" }, by: "bob".to_owned() };
        let commanded = if deletes {
            self.world.storage.delete(id, "bob").await.unwrap()
        } else {
            self.world.storage.cancel(id, "bob").await.unwrap()
        };
        let job = self.jobs.get_mut(&id).unwrap();
        match job.state {
            State::Processing => {
                assert!(matches!(commanded, Commanded::Requested(fence) if (fence.job, fence.run) == (id, job.run)));
                job.asked = Some(asked);
            }
            State::Deleted => assert_eq!(commanded, Commanded::Refused(State::Deleted)),
            state if state.is_final() && !deletes => assert_eq!(commanded, Commanded::Refused(state)),
            _ => {
                job.deleted(&asked, now);
                assert_eq!(commanded, Commanded::Done(State::Deleted));
                self.count_end(State::Deleted);
            }
        }
    }

    pub(super) async fn requeue(&mut self) {
        let now = self.tick();
        let Some(id) = self.pick() else { return };
        let job = self.jobs.get_mut(&id).unwrap();
        let expected_state = match self.random.below(4) {
            0 => Some(State::Failed),
            1 => Some(job.state),
            _ => None,
        };
        let how =
            RequeueRequest { expected_state, fresh: self.random.below(2) == 0, newest: self.random.below(2) == 0 };
        let refused = matches!(job.state, State::Enqueued | State::Processing)
            || expected_state.is_some_and(|expected| expected != job.state);
        let commanded = self.world.storage.requeue(id, how, "bob").await.unwrap();
        if refused {
            assert_eq!(commanded, Commanded::Refused(job.state));
        } else {
            assert_eq!(commanded, Commanded::Done(State::Enqueued));
            job.requeued(how, self.active, now, "bob");
        }
    }

    pub(super) async fn pause(&mut self) {
        let queue = QUEUES[usize::try_from(self.random.below(3)).unwrap()];
        let paused = !self.paused.remove(queue);
        if paused {
            self.paused.insert(queue);
        }
        self.world.storage.set_paused(&queue.parse().unwrap(), paused).await.unwrap();
    }

    pub(super) async fn advance(&mut self) {
        self.world.clock.advance_ms(i64::try_from(self.random.below(30)).unwrap());
        loop {
            let now = self.tick();
            let mut due = self.jobs.values_mut().filter(|job| job.state == State::Scheduled && job.due_at <= now);
            let limit = if self.moves { 1 } else { 1_000 };
            let mut due = due.by_ref().collect::<Vec<_>>();
            due.sort_by_key(|job| job.due_at);
            due.truncate(limit);
            let moved = due.len();
            for job in due {
                job.promoted(now);
            }
            assert_eq!(self.world.storage.promote(limit).await.unwrap().moved, moved);
            if moved < limit {
                return;
            }
        }
    }

    /// Lets some time go by, and removes what is kept no longer.
    pub(super) async fn prune(&mut self) {
        let days = [0, 1, 1, 7, 30][usize::try_from(self.random.below(5)).unwrap()];
        // Counters are kept no longer than some months.
        if self.days + days <= 60 {
            self.days += days;
            self.world.clock.advance_ms(days * 24 * 3_600_000);
        }
        let now = self.tick();
        let retention = Retention::default();
        let limit = 1 + usize::try_from(self.random.below(5)).unwrap();
        for _ in 0..self.jobs.len() + 2 {
            if self.world.storage.prune(limit).await.unwrap() < limit {
                break;
            }
        }
        let kept_ms = u64::try_from(retention.logs.as_millis()).unwrap();
        self.jobs.retain(|_, job| !job.is_over(&retention, now));
        self.made.retain(|id| self.jobs.contains_key(id));
        for job in self.jobs.values_mut() {
            job.logs.retain(|line| now.ms_since(line.at) < kept_ms);
        }
    }
}
