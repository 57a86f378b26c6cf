//! Servers, their heartbeats, and what becomes of the jobs of those that are gone.

use uuid::Uuid;
use windlass_api::{ServerId, ServerView, SlotUse, Timestamp};

use super::{
    RedisStorage,
    answer::{self, List},
    fault::damaged,
    record::id,
    script,
};
use crate::{
    Fence,
    storage::{Heartbeat, NewServer, Pulse, Signal, StorageError, Vitals},
};

/// How many runs are taken from a server by one step.
const STEP: usize = 500;

/// A server as it is kept.
struct Known {
    view: ServerView,
    given_up: bool,
}

impl RedisStorage {
    pub(super) async fn make_known(&self, server: &NewServer) -> Result<(), StorageError> {
        self.mark().await?;
        let queues = serde_json::to_string(&server.queues).map_err(|error| damaged("a server's queues", error))?;
        let mut call = self.call(&script::REGISTER);
        call.arg(server.id.0.as_bytes())
            .arg(&server.host)
            .arg(server.pid)
            .arg(&server.version)
            .arg(queues)
            .arg(server.sync_slots)
            .arg(server.async_slots);
        self.run(call).await.map(drop)
    }

    pub(super) async fn beat(&self, server: ServerId, vitals: Vitals) -> Result<Heartbeat, StorageError> {
        let mut call = self.call(&script::HEARTBEAT);
        call.arg(server.0.as_bytes());
        for slots in [vitals.sync_slots, vitals.async_slots] {
            call.arg(slots.total).arg(slots.busy);
        }
        call.arg(vitals.memory_bytes.map(|bytes| bytes.to_string()).unwrap_or_default());
        let mut answer = List::of(self.run(call).await?)?;
        if answer.is_empty() {
            return Ok(Heartbeat::Refused);
        }
        answer.next()?;
        let mut cancelled = Vec::new();
        while !answer.is_empty() {
            cancelled.push(Fence { job: id(&answer.bytes()?)?, run: answer.number()?, server });
        }
        Ok(Heartbeat::Alive { cancelled })
    }

    async fn known(&self) -> Result<Vec<Known>, StorageError> {
        let mut answer = List::of(self.run(self.call(&script::SERVERS)).await?)?;
        let mut known = Vec::new();
        while !answer.is_empty() {
            let mut one = List::of(answer.next()?)?;
            let id = server_id(&one.bytes()?)?;
            match read(id, &mut one) {
                Ok(server) => known.push(server),
                // It is swept all the same when it no longer beats; one server that cannot be shown hides no other.
                Err(error) => tracing::error!(server = %id, %error, "the record of a server is damaged"),
            }
        }
        Ok(known)
    }

    pub(super) async fn all_pulses(&self) -> Result<Vec<Pulse>, StorageError> {
        let mut answer = List::of(self.run(self.call(&script::PULSES)).await?)?;
        let mut pulses = Vec::new();
        while !answer.is_empty() {
            let server = server_id(&answer.bytes()?)?;
            pulses.push(Pulse { server, beat: answer.number::<u64>()? });
        }
        Ok(pulses)
    }

    pub(super) async fn all_servers(&self) -> Result<Vec<ServerView>, StorageError> {
        let known = self.known().await?;
        Ok(known.into_iter().filter(|server| !server.given_up).map(|server| server.view).collect())
    }

    /// Takes a server's runs away and forgets it. `beat` is its counter where it was lost.
    pub(super) async fn give_up(&self, server: ServerId, beat: Option<u64>) -> Result<Option<usize>, StorageError> {
        self.claims.forget(server);
        let mut taken = None;
        loop {
            let mut call = self.call(&script::GIVE_UP);
            call.arg(server.0.as_bytes()).arg(beat.map(|beat| beat.to_string()).unwrap_or_default()).arg(STEP);
            let mut answer = List::of(self.run(call).await?)?;
            if answer.is_empty() {
                // Another sweeper may have taken the rest.
                return Ok(taken);
            }
            let (some, more) = (answer.number::<i64>()?, answer.number::<i64>()? == 1);
            for job in answer::ids(&answer.bytes()?)? {
                tracing::error!(%job, "a job stays with its lost server, because its record is damaged");
            }
            taken = Some(taken.unwrap_or(0) + usize::try_from(some).unwrap_or(0));
            self.hub.tell(Signal::Work);
            self.hub.tell_ends(answer::ids(&answer.bytes()?)?);
            if !more {
                return Ok(taken);
            }
        }
    }
}

fn server_id(bytes: &[u8]) -> Result<ServerId, StorageError> {
    Uuid::from_slice(bytes).map(ServerId).map_err(|error| damaged("a server's id", error))
}

fn read(id: ServerId, fields: &mut List) -> Result<Known, StorageError> {
    let (host, pid, version) = (fields.text()?, fields.number()?, fields.text()?);
    let queues = serde_json::from_slice(&fields.bytes()?).map_err(|error| damaged(format_args!("server {id}"), error));
    let mut slots = || Ok::<_, StorageError>(SlotUse { total: fields.number()?, busy: fields.number()? });
    let (sync_slots, async_slots) = (slots()?, slots()?);
    let mut instant = || fields.number().map(Timestamp);
    let (started_at, heartbeat_at) = (instant()?, instant()?);
    let given_up = !fields.bytes()?.is_empty();
    let memory_bytes = answer::optional_number(fields.next()?)?;
    let queues = queues?;
    let view =
        ServerView { id, host, pid, version, queues, sync_slots, async_slots, memory_bytes, started_at, heartbeat_at };
    Ok(Known { view, given_up })
}
