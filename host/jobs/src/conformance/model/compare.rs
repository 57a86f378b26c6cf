//! What a storage shows after a trial, against the model.

use std::collections::BTreeMap;

use windlass_api::{
    CounterQuery, CounterRow, Counts, Grain, JobDetail, JobFilter, JobId, Json, LogLine, QueueView, State, Timestamp,
};

use super::{
    super::world::job,
    expected::Line,
    trial::{KEYS, QUEUES, Trial},
};

/// What a storage shows after a trial.
pub(super) struct Shown {
    pub(super) jobs: BTreeMap<JobId, JobDetail>,
    pub(super) logs: BTreeMap<JobId, Vec<LogLine>>,
    pub(super) counts: Counts,
    pub(super) queues: Vec<QueueView>,
    pub(super) counters: Vec<CounterRow>,
}

impl Trial {
    /// Compares all that the storage shows with the model.
    pub(super) async fn compare(&self) {
        let shown = self.shown().await;
        assert_eq!(shown.jobs.len(), self.jobs.len());
        for (id, expected) in &self.jobs {
            let JobDetail { job, history, .. } = &shown.jobs[id];
            assert_eq!(history.iter().map(Line::from).collect::<Vec<_>>(), expected.history, "the history of {id}");
            assert_eq!((job.state, job.attempt, job.run), (expected.state, expected.attempt, expected.run), "{id}");
            assert_eq!((job.mode, job.queue.as_str()), (expected.mode, expected.queue), "{id}");
            assert_eq!((job.priority, job.server), (expected.priority, expected.server), "{id}");
            if expected.state == State::Processing {
                assert_eq!(job.cancel_requested, expected.asked.is_some(), "{id}");
            }
            assert_eq!((job.version, job.progress.as_ref()), (expected.version, expected.shown_progress()), "{id}");
            assert_eq!(shown.logs[id], expected.logs, "the log of {id}");
            for key in KEYS {
                let kept = self.world.storage.checkpoint(*id, key).await.unwrap();
                assert_eq!(kept, expected.checkpoints.get(key).map(|value| Json::write(value).unwrap()), "{id}");
            }
            let due_at = (expected.state == State::Scheduled).then_some(expected.due_at);
            assert_eq!((job.run_at, job.finished_at.is_some()), (due_at, expected.state.is_final()), "{id}");
        }
        for queue in QUEUES {
            let of = |state| self.jobs.values().filter(move |job| job.queue == queue && job.state == state);
            let view = shown.queues.iter().find(|view| view.name.as_str() == queue);
            let view = view.map(|view| (view.enqueued, view.processing, view.paused, view.oldest_at));
            let oldest_at = of(State::Enqueued).map(|job| job.ready_at).min();
            let (enqueued, processing) = (of(State::Enqueued).count() as u64, of(State::Processing).count() as u64);
            let expected = (enqueued, processing, self.paused.contains(queue), oldest_at);
            let nothing = (0, 0, false, None);
            assert_eq!(view.unwrap_or(nothing), expected, "the queue {queue}");
        }
        let active = self.world.storage.active_version(&job().module).await.unwrap();
        assert_eq!(active.map(|version| version.digest), self.active.map(|active| active.digest));
        let live = self.world.storage.live_versions(&job().module).await.unwrap();
        let canary = live.iter().find_map(|version| Some((version.digest, version.canary_percent?)));
        assert_eq!(canary, self.canary.map(|(canary, percent)| (canary.digest, percent)));
        let sum = |of: fn(&CounterRow) -> u64| shown.counters.iter().map(of).sum::<u64>();
        assert_eq!((sum(|row| row.made), sum(|row| row.runs)), (self.counted.made, self.counted.runs));
        assert_eq!((sum(|row| row.succeeded), sum(|row| row.failed)), (self.counted.succeeded, self.counted.failed));
        assert_eq!((sum(|row| row.retried), sum(|row| row.deleted)), (self.counted.retried, self.counted.deleted));
    }

    pub(super) async fn shown(&self) -> Shown {
        let storage = &self.world.storage;
        let (mut jobs, mut logs) = (BTreeMap::new(), BTreeMap::new());
        let mut cursor = None::<String>;
        loop {
            let page = storage.jobs(&JobFilter::default(), cursor.as_deref(), 50).await.unwrap();
            for item in page.items {
                let detail = self.world.detail(item.id).await;
                assert_eq!(detail.job, item);
                logs.insert(item.id, storage.logs(item.id, None, 1_000).await.unwrap().items);
                assert!(jobs.insert(item.id, detail).is_none(), "listed twice");
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let query = CounterQuery {
            grain: Grain::Hour,
            from: Timestamp(0),
            before: self.world.now().plus_ms(1),
            module: None,
            handler: None,
        };
        Shown {
            jobs,
            logs,
            counts: storage.counts().await.unwrap(),
            queues: storage.queues().await.unwrap(),
            counters: storage.counters(&query).await.unwrap(),
        }
    }
}
