//! Servers that come and go, versions that become active, and a storage that is moved into another one.

use windlass_api::{Digest, Mode};

use super::{
    super::{
        super::world::{job, version},
        expected::Active,
    },
    Trial, VERSIONS,
};
use crate::storage::Heartbeat;

impl Trial {
    /// Takes a server away, and what it ran.
    pub(super) async fn lose(&mut self) {
        let now = self.tick();
        let server = self.servers.remove(0);
        let pulse = self.world.pulse(server).await;
        let runs = self.jobs.values().filter(|job| job.server == Some(server)).map(|job| job.id).collect::<Vec<_>>();
        for id in &runs {
            let job = self.jobs.get_mut(id).unwrap();
            job.lost(now);
            let state = job.state;
            self.count_end(state);
        }
        assert_eq!(self.world.storage.sweep(pulse).await.unwrap(), Some(runs.len()));
        assert_eq!(self.world.beat(server).await, Heartbeat::Refused);
        self.register().await;
    }

    pub(super) async fn leave(&mut self) {
        let now = self.tick();
        let server = self.servers.remove(0);
        for id in self.made.clone() {
            let job = self.jobs.get_mut(&id).unwrap();
            if job.server == Some(server) {
                job.left(now);
                let state = job.state;
                self.count_end(state);
            }
        }
        self.world.storage.leave(server).await.unwrap();
        self.register().await;
    }

    pub(super) async fn beat(&mut self) {
        for server in self.servers.clone() {
            let asked = self.jobs.values().filter(|job| job.server == Some(server) && job.asked.is_some());
            let mut expected = asked.map(|job| (job.id, job.run)).collect::<Vec<_>>();
            let Heartbeat::Alive { cancelled } = self.world.beat(server).await else {
                panic!("a server that was not lost should be alive")
            };
            let mut cancelled = cancelled.into_iter().map(|fence| (fence.job, fence.run)).collect::<Vec<_>>();
            cancelled.sort();
            expected.sort();
            assert_eq!(cancelled, expected);
        }
    }

    /// Deploys one of some versions, or goes back to it. One of them lacks the handler.
    pub(super) async fn activate(&mut self) {
        let now = self.tick();
        let (byte, mode) = self.random.one_of(&VERSIONS).unwrap();
        let active = Active { digest: Digest([byte; 32]), mode };
        // Whether a job that stands in the wrong line is moved where its handler's mode stays the same is left open.
        let stays = self.active.is_some_and(|before| before.mode == mode);
        if stays && mode.is_some_and(|mode| self.jobs.values().any(|job| job.is_in_the_wrong_line(mode))) {
            return;
        }
        let module = job().module;
        if self.known.insert(active.digest) {
            assert!(!self.world.storage.activate(&module, active.digest).await.unwrap(), "it is not known yet");
            let handlers = mode.map(|mode| ("bill", mode)).unwrap_or(("other", Mode::Sync));
            self.world.storage.add_version(version(byte, &[handlers])).await.unwrap();
        }
        assert!(self.world.storage.activate(&module, active.digest).await.unwrap());
        (self.active, self.canary) = (Some(active), None);
        if let Some(mode) = mode {
            for job in self.jobs.values_mut() {
                job.handler_came(mode, "activation", now);
            }
        }
    }

    /// Gives a version that is known a share of the new jobs, or ends that and lets the jobs go that wait on it.
    pub(super) async fn change_canary(&mut self) {
        self.tick();
        let (byte, mode) = self.random.one_of(&VERSIONS).unwrap();
        let canary = Active { digest: Digest([byte; 32]), mode };
        let (module, percent) = (job().module, u8::try_from(1 + self.random.below(100)).unwrap());
        if self.known.contains(&canary.digest) && self.random.below(3) > 0 {
            assert!(self.world.storage.set_canary(&module, canary.digest, percent).await.unwrap());
            self.canary = Some((canary, percent));
            return;
        }
        let was = self.canary.take().map(|(canary, _)| canary.digest);
        assert_eq!(self.world.storage.end_canary(&module).await.unwrap(), was);
        let Some(was) = was else { return };
        let mode = self.active.and_then(|active| active.mode);
        let unpinned = self.jobs.values_mut().filter_map(|job| job.let_go(was, mode)).count();
        assert_eq!(self.world.storage.unpin(&module, was).await.unwrap(), u64::try_from(unpinned).unwrap());
    }

    /// Moves everything into another storage and goes on there.
    pub(super) async fn move_all(&mut self) {
        if !self.moves {
            return;
        }
        let now = self.tick();
        let other = self.world.another().await;
        let mut cursor = None::<String>;
        loop {
            let page = self.world.storage.export(cursor.as_deref(), 7).await.unwrap();
            let records = page.items.len();
            assert_eq!(other.storage.import(page.items).await.unwrap(), records);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        self.world = other;
        for job in self.jobs.values_mut() {
            job.imported(self.active, now);
        }
        self.servers.clear();
        self.register().await;
        self.register().await;
    }
}
