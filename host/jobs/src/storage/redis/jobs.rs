//! Jobs on their way in and in a server's hands: enqueue, claim, settle.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use redis::{Cmd, Value};
use windlass_api::{Enqueued, JobId, ServerId, State};

use super::{
    RedisStorage,
    answer::{self, List},
    bytes::{Reader, cut, mode_number},
    conditions::{put_conditions, start_numbers},
    fault::damaged,
    history::usage_bytes,
    record::{Record, Wide, encode_wide, id},
    script,
};
use crate::{
    Claimed, NewJob, Next, Settlement,
    storage::{ClaimRequest, Refusal, Signal, StorageError, Superseded},
};

/// Jobs that are stored by one call at most, so that others get their turn in between. More are stored by several calls,
/// which are then not one step: see [`RedisStorage::store`].
const MAX_BATCH: usize = 10_000;

/// Appends a new job to a command, as `births.lua` says.
pub(super) fn put_job(command: &mut Cmd, job: &NewJob, by: &str) -> Result<(), StorageError> {
    let (start, when) = start_numbers(job.start);
    let mut head = vec![mode_number(job.mode), job.priority.min(9), start];
    head.extend(job.max_attempts.max(1).to_be_bytes());
    head.extend(when.to_be_bytes());
    put_conditions(&mut head, &job.conditions);
    let parents = job.conditions.after.as_ref().map_or(&[][..], |after| &after.jobs);
    let path = format!("{}/{}", job.module, job.handler);
    let wide = encode_wide(&job.tags, &job.payload, (cut(by), &job.headers, &job.retry, job.timeout_ms), parents)?;
    command.arg(job.id.0.as_bytes()).arg(head).arg(job.queue.as_str()).arg(path).arg(wide);
    Ok(())
}

/// What a server's claims came to: which answers are known to have arrived and which to have been lost.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<HashMap<ServerId, Tokens>>);

#[derive(Debug, Default)]
struct Tokens {
    arrived: Vec<u8>,
    lost: Vec<u8>,
}

/// A claim under way. Where it is dropped before its answer arrived, the answer counts as lost.
struct UnderWay<'a> {
    claims: &'a Claims,
    server: ServerId,
    token: [u8; 8],
    told: Tokens,
    arrived: bool,
}

impl Claims {
    fn begin(&self, server: ServerId) -> UnderWay<'_> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = all.remove(&server).unwrap_or_default();
        UnderWay { claims: self, server, token: fastrand::u64(..).to_be_bytes(), told, arrived: false }
    }

    pub(super) fn forget(&self, server: ServerId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&server);
    }
}

impl UnderWay<'_> {
    /// The answer is here; `left` are the lost claims of which jobs are still to be handed over.
    fn arrived(mut self, left: Vec<u8>, handed: bool) {
        self.arrived = true;
        self.told = Tokens { arrived: if handed { self.token.to_vec() } else { Vec::new() }, lost: left };
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.arrived {
            self.told.lost.extend(self.token);
        }
        let mut all = self.claims.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.told.arrived.is_empty() || !self.told.lost.is_empty() {
            let tokens = all.entry(self.server).or_default();
            tokens.arrived.append(&mut self.told.arrived);
            tokens.lost.append(&mut self.told.lost);
        }
    }
}

impl RedisStorage {
    pub(super) async fn store(&self, jobs: &[NewJob], by: &str) -> Result<Vec<Enqueued>, StorageError> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        if jobs.len() > MAX_BATCH {
            return Err(StorageError::TooLarge(format!(
                "{} jobs at once are too many for Redis, which would answer nobody else meanwhile: give at most \
                 {MAX_BATCH}",
                jobs.len()
            )));
        }
        let mut call = self.call(&script::ENQUEUE);
        call.arg(jobs.len());
        for job in jobs {
            put_job(&mut call.command, job, by)?;
        }
        let letters = match self.run(call).await? {
            refused @ Value::Array(_) => return Err(refused_by(List::of(refused)?)?),
            letters => answer::bytes(letters)?,
        };
        let enqueued = read_letters(&letters, jobs)?;
        if enqueued.iter().any(|job| !job.existing || job.replaced) {
            self.hub.tell(Signal::Work);
        }
        Ok(enqueued)
    }

    pub(super) async fn hand_over(&self, request: &ClaimRequest) -> Result<Vec<Claimed>, StorageError> {
        let under_way = self.claims.begin(request.server);
        let mut call = self.call(&script::CLAIM);
        call.arg(request.server.0.as_bytes())
            .arg(request.sync_free)
            .arg(request.async_free)
            .arg(&under_way.token)
            .arg(&under_way.told.arrived)
            .arg(&under_way.told.lost);
        for queue in &request.queues {
            call.arg(queue.as_str());
        }
        let mut answer = List::of(self.run(call).await?)?;
        let broken = answer.bytes()?;
        let left = answer.bytes()?;
        let is_cut = answer.number::<i64>()? == 1;
        self.hub.tell_ends(answer::ids(&answer.bytes()?)?);
        let handed = !answer.is_empty();
        let (mut unreadable, mut claimed) = (Vec::new(), Vec::new());
        while !answer.is_empty() {
            let job = id(&answer.bytes()?)?;
            let (record, wide) = (answer.bytes()?, answer.bytes()?);
            match read_claimed(job, &record, &wide, request.server) {
                Ok(job) => claimed.push(job),
                Err(error) => {
                    tracing::error!(%job, %error, "a job is passed over, because its record is damaged");
                    unreadable.push(job);
                }
            }
        }
        for job in answer::ids(&broken)? {
            tracing::error!(%job, "a job is passed over, because its record is damaged");
        }
        if !unreadable.is_empty()
            && let Err(error) = self.set_aside(request.server, &unreadable).await
        {
            // The others must not be lost with them: those stay with this server until it leaves.
            tracing::error!(%error, "damaged jobs could not be set aside");
        }
        if !unreadable.is_empty() || !broken.is_empty() || is_cut {
            // There may be more for the slots that stayed free.
            self.hub.tell(Signal::Work);
        }
        under_way.arrived(left, handed);
        Ok(claimed)
    }

    async fn set_aside(&self, server: ServerId, jobs: &[JobId]) -> Result<(), StorageError> {
        let mut call = self.call(&script::SET_ASIDE);
        call.arg(server.0.as_bytes());
        for job in jobs {
            call.arg(job.0.as_bytes());
        }
        self.run(call).await.map(drop)
    }

    pub(super) async fn end_runs(
        &self,
        settlements: &[Settlement],
    ) -> Result<Vec<Result<State, Superseded>>, StorageError> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = self.call(&script::SETTLE);
        call.arg(settlements.len());
        for settlement in settlements {
            put_settlement(&mut call.command, settlement)?;
        }
        let mut answer = List::of(self.run(call).await?)?;
        let (letters, work) = (answer.bytes()?, answer.number::<i64>()? == 1);
        let ended = answer::ids(&answer.bytes()?)?;
        let mut states = Vec::with_capacity(settlements.len());
        for (settlement, letter) in settlements.iter().zip(&letters) {
            let job = settlement.fence.job;
            states.push(match letter {
                b'd' => {
                    // The others have taken effect. This one's run is over for its server all the same.
                    tracing::error!(%job, "a run cannot be ended, because its job's record is damaged");
                    Err(Superseded)
                }
                letter => State::ALL.get(usize::from(letter.wrapping_sub(b'0'))).copied().ok_or(Superseded),
            });
        }
        if work {
            self.hub.tell(Signal::Work);
        }
        self.hub.tell_ends(ended);
        Ok(states)
    }
}

fn read_claimed(job: JobId, record: &[u8], wide: &[u8], server: ServerId) -> Result<Claimed, StorageError> {
    let record = Record::read(job, record)?;
    let wide = Wide::read(job, wide)?;
    Ok(Claimed {
        fence: crate::Fence { job, run: record.run, server },
        module: record.path.module,
        handler: record.path.handler,
        mode: record.mode,
        queue: record.queue,
        version: record.version,
        payload: wide.payload,
        headers: wide.about.headers,
        attempt: record.attempt,
        max_attempts: record.max_attempts,
        retry: wide.about.retry.unwrap_or_default(),
        timeout_ms: wide.about.timeout_ms,
        created_at: record.created_at,
        parents: wide.about.parents,
    })
}

/// What became of new jobs, by the letters of `births.lua`.
pub(super) fn read_letters(letters: &[u8], jobs: &[NewJob]) -> Result<Vec<Enqueued>, StorageError> {
    let (mut letters, mut enqueued) = (Reader(letters), Vec::with_capacity(jobs.len()));
    for job in jobs {
        let unreadable = |why| damaged("an answer", why);
        let letter = letters.u8().map_err(unreadable)?;
        let (existing, replaced) = (letter != b'n', letter == b'r');
        let is_another = matches!(letter, b'x' | b'r' | b'o');
        let id = if is_another { id(letters.take(16).map_err(unreadable)?)? } else { job.id };
        enqueued.push(Enqueued { id, existing, replaced });
    }
    Ok(enqueued)
}

/// Why a call was refused.
fn refused_by(mut answer: List) -> Result<StorageError, StorageError> {
    let (position, what, job) = (answer.number::<i64>()?, answer.text()?, id(&answer.bytes()?)?);
    let refusal =
        if what == "conflict" { Refusal::Conflict { holder: job } } else { Refusal::UnknownParent { parent: job } };
    Ok(StorageError::Refused { position: usize::try_from(position).unwrap_or(0), refusal })
}

/// Appends the end of a run to a command, as `settle.lua` says.
fn put_settlement(command: &mut Cmd, settlement: &Settlement) -> Result<(), StorageError> {
    let (fence, usage) = (&settlement.fence, &settlement.usage);
    let mut failure_json = Vec::new();
    let (kind, number, reason, result) = match &settlement.next {
        Next::Succeeded { result } => ("S", 0, "", result.as_ref()),
        Next::Retry { delay_ms, failure } => {
            failure_json = to_json(failure)?;
            ("R", *delay_ms, "", None)
        }
        Next::Snooze { delay_ms } => ("Z", *delay_ms, "", None),
        Next::Failed { failure } => {
            failure_json = to_json(failure)?;
            ("F", 0, failure.cause.as_str(), None)
        }
        Next::Released { reason, mode } => ("L", u64::from(mode_number(*mode)), reason.as_str(), None),
        Next::HandlerMissing => ("H", 0, "", None),
        Next::Cancelled => ("C", 0, "", None),
    };
    command
        .arg(fence.job.0.as_bytes())
        .arg(fence.server.0.as_bytes())
        .arg(fence.run)
        .arg(kind)
        .arg(number)
        .arg(cut(reason))
        .arg(usage_bytes(usage))
        // What counts up is clamped to what Lua's numbers hold exactly.
        .arg(usage.wall_us.min(1 << 50))
        .arg(usage.fuel.min(1 << 50))
        .arg(failure_json)
        .arg(u8::from(result.is_some()))
        .arg(result.map_or("", windlass_api::Json::as_str))
        .arg(settlement.follow_ups.len())
        .arg(u8::from(settlement.next.has_run()));
    let by = format!("job {}", fence.job);
    settlement.follow_ups.iter().try_for_each(|job| put_job(command, job, &by))
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>, StorageError> {
    serde_json::to_vec(value).map_err(|error| damaged("a failure", error))
}
