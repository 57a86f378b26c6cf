//! New jobs that depend on more than their turn.
//!
//! ```text
//!   names ─▶ the entries of keys ─▶ the jobs that they name, and parents ─▶ plan ─▶ all is written
//! ```
//!
//! What a step needs is held in this order, entries by their keys and jobs by their ids, so that no two steps wait for each
//! other. What becomes of each call is planned before the first job is written: a call that is refused leaves nothing behind,
//! and keeps none of those from being stored that share its transaction.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::Row;
use uuid::Uuid;
use windlass_api::{Digest, Enqueued, JobId, Json, Mode, OnConflict, RetryPolicy, State, Timestamp};

use super::{
    conditions::{self, Kept},
    enqueue::{self, Incoming, KnownNames, Names},
    fault::Fault,
    flow::{self, Edge, PARENT_GONE, PARENTS, Standing, Verdict, begin, judge},
    number::next_number,
    record::{self, Job, traits},
    ripples,
    tally::Happened,
    tx::Tx,
    unique::{self, Holder},
    words::{Word, amount, plain, signed},
};
use crate::{NewJob, Start, storage::Refusal};

/// Why a job changes whose payload and time another one replaced.
const REPLACED: &str = "replaced";

/// How parents are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parents {
    /// They are held until the transaction ends, so that none of them ends without its children being told.
    Held,
    /// They are only read, since nobody may wait for an application's transaction: promotions look again once it is committed.
    LookedAtLater,
}

/// Jobs that are stored all or none.
pub(super) struct Call<'a> {
    pub(super) jobs: Vec<Incoming<'a>>,
    /// Whether those that would be refused are left out instead, and the ones that are in their way given for them.
    pub(super) is_lenient: bool,
}

/// What came of a call: what was stored, or which of its jobs was refused and why.
pub(super) type Answer = Result<Vec<Enqueued>, (usize, Refusal)>;

/// Whether a job needs any of this.
pub(super) fn is_plain(job: &NewJob) -> bool {
    job.conditions.is_empty()
}

/// Stores the follow-ups of runs and the jobs of recurring entries, and leaves out what would be refused: then the job that is
/// in the way is given for it.
pub(super) async fn store_leniently(tx: &mut Tx<'_>, incoming: Vec<Incoming<'_>>) -> Result<Vec<Enqueued>, Fault> {
    if incoming.iter().all(|incoming| is_plain(incoming.job)) {
        return enqueue::enqueue(tx, &incoming).await;
    }
    let names = Names::of(incoming.iter().map(|incoming| incoming.job));
    let known = names.known_at_last(tx).await?;
    let answers = store(tx, &[Call { jobs: incoming, is_lenient: true }], &names, &known, Parents::Held).await?;
    let mut enqueued = Vec::new();
    for answer in answers {
        enqueued.extend(answer.map_err(|(position, refusal)| Fault::Refused(position, refusal))?);
    }
    Ok(enqueued)
}

/// Stores the jobs of calls; gives what came of each.
pub(super) async fn store(
    tx: &mut Tx<'_>,
    calls: &[Call<'_>],
    names: &Names<'_>,
    known: &KnownNames,
    how: Parents,
) -> Result<Vec<Answer>, Fault> {
    let jobs = jobs_of(calls);
    let keys = unique::keys_of(jobs.iter().copied());
    let entries = unique::hold(tx, &keys).await?;
    let holders = unique::holders(tx, &entries).await?;
    let existing = existing(tx, jobs.iter().map(|job| job.id.0).collect()).await?;
    let mut parents = BTreeSet::new();
    for job in &jobs {
        parents.extend(job.conditions.after.iter().flat_map(|after| after.jobs.iter().copied()));
    }
    let mut needed = if how == Parents::Held { parents.clone() } else { BTreeSet::new() };
    for job in &jobs {
        let replacing = job.conditions.unique.as_ref().filter(|rule| rule.on_conflict == OnConflict::Replace);
        needed.extend(replacing.and_then(|rule| holders.get(&rule.key)).map(|holder| holder.id));
    }
    let held = Job::held_all(tx, &needed).await?;
    let mut there = held.values().map(|job| (job.id, (job.seq, job.state))).collect::<HashMap<_, _>>();
    if how == Parents::LookedAtLater {
        there.extend(flow::states(tx, &parents).await?);
    }
    let mut plan = Plan::new(tx.now(), existing, holders, &held, &there, names, known);
    // What has been held is as it is now.
    plan.holders.retain(|_, holder| match held.get(&holder.id) {
        Some(job) => {
            (holder.state, holder.run) = (job.state, job.run);
            true
        }
        None => !needed.contains(&holder.id),
    });
    let answers = calls.iter().map(|call| plan.decide(call)).collect();
    let Plan { made, by_id, holders, replacements, .. } = plan;
    let children = write(tx, &made, &by_id, &holders, &there).await?;
    match how {
        Parents::Held => mark(tx, &held, &parents, &by_id).await?,
        Parents::LookedAtLater => ripples::look_later(tx, &children).await?,
    }
    for replacement in &replacements {
        replace(tx, replacement).await?;
    }
    unique::let_go(tx, &keys).await?;
    Ok(answers)
}

fn jobs_of<'a>(calls: &[Call<'a>]) -> Vec<&'a NewJob> {
    calls.iter().flat_map(|call| call.jobs.iter().map(|incoming| incoming.job)).collect()
}

/// The ids that are known already.
async fn existing(tx: &mut Tx<'_>, ids: Vec<Uuid>) -> Result<HashSet<JobId>, Fault> {
    let query = tx.query("SELECT id FROM @jobs WHERE id = ANY($1::uuid[])").bind(ids);
    tx.all(query).await?.iter().map(|row| Ok(JobId(row.try_get::<Uuid, _>(0)?))).collect()
}

/// A job that is to be stored.
struct Made<'a> {
    job: &'a NewJob,
    by: &'a str,
    standing: Standing,
    /// Its parents, and whether each of them no longer holds it back.
    parents: Vec<(JobId, bool)>,
    handler: i32,
    queue: i32,
}

/// A job that gets the payload and the time of another one.
struct Replacement<'a> {
    holder: JobId,
    new: &'a NewJob,
    by: &'a str,
}

/// What becomes of the calls, as far as they have been looked at.
struct Plan<'a> {
    now: Timestamp,
    existing: HashSet<JobId>,
    held: &'a HashMap<JobId, Job>,
    /// The numbers and states of parents, and of what is held.
    there: &'a HashMap<JobId, (i64, State)>,
    names: &'a Names<'a>,
    known: &'a KnownNames,
    made: Vec<Made<'a>>,
    by_id: HashMap<JobId, usize>,
    holders: HashMap<Digest, Holder>,
    replacements: Vec<Replacement<'a>>,
}

impl<'a> Plan<'a> {
    fn new(
        now: Timestamp,
        existing: HashSet<JobId>,
        holders: HashMap<Digest, Holder>,
        held: &'a HashMap<JobId, Job>,
        there: &'a HashMap<JobId, (i64, State)>,
        names: &'a Names<'a>,
        known: &'a KnownNames,
    ) -> Self {
        let (made, by_id, replacements) = (Vec::new(), HashMap::new(), Vec::new());
        Self { now, existing, held, there, names, known, made, by_id, holders, replacements }
    }

    /// Decides about a call, and takes back what it has planned for it where one of its jobs is refused.
    fn decide(&mut self, call: &Call<'a>) -> Answer {
        let (made, replacements) = (self.made.len(), self.replacements.len());
        let mut holders = Vec::new();
        let mut enqueued = Vec::with_capacity(call.jobs.len());
        for (position, incoming) in call.jobs.iter().enumerate() {
            match self.decide_one(incoming, call.is_lenient, &mut holders) {
                Ok(told) => enqueued.push(told),
                Err(Refusal::Conflict { holder }) if call.is_lenient => {
                    enqueued.push(Enqueued { id: holder, existing: true, replaced: false });
                }
                Err(refusal) => {
                    for made in self.made.drain(made..) {
                        self.by_id.remove(&made.job.id);
                    }
                    self.replacements.truncate(replacements);
                    for (key, before) in holders.into_iter().rev() {
                        match before {
                            Some(before) => self.holders.insert(key, before),
                            None => self.holders.remove(&key),
                        };
                    }
                    return Err((position, refusal));
                }
            }
        }
        Ok(enqueued)
    }

    /// `changed` takes down what stood in the entries that this changes.
    fn decide_one(
        &mut self,
        incoming: &Incoming<'a>,
        is_lenient: bool,
        changed: &mut Vec<(Digest, Option<Holder>)>,
    ) -> Result<Enqueued, Refusal> {
        let Incoming { job, by } = *incoming;
        let told = |id, existing, replaced| Enqueued { id, existing, replaced };
        if self.existing.contains(&job.id) || self.by_id.contains_key(&job.id) {
            return Ok(told(job.id, true, false));
        }
        let unique = job.conditions.unique.as_ref();
        let holder = unique.and_then(|rule| {
            let holder = self.holders.get(&rule.key).copied()?;
            rule.counts(holder.state, holder.made_at, self.now).then_some((rule, holder))
        });
        match holder {
            Some((rule, holder)) if rule.on_conflict == OnConflict::Replace && holder.may_be_replaced() => {
                let state = self.state_when_replaced(&holder, job);
                changed.push((rule.key, self.holders.insert(rule.key, Holder { state, ..holder })));
                self.replacements.push(Replacement { holder: holder.id, new: job, by });
                return Ok(told(holder.id, true, true));
            }
            Some((rule, holder)) if rule.on_conflict == OnConflict::Reject => {
                return Err(Refusal::Conflict { holder: holder.id });
            }
            Some((_, holder)) => return Ok(told(holder.id, true, false)),
            None => {}
        }
        let made = self.make(job, by, is_lenient)?;
        if let Some(rule) = unique {
            let holder = Holder { id: job.id, state: made.standing.state, made_at: self.now, run: 0 };
            changed.push((rule.key, self.holders.insert(rule.key, holder)));
        }
        self.by_id.insert(job.id, self.made.len());
        self.made.push(made);
        Ok(told(job.id, false, false))
    }

    fn make(&self, job: &'a NewJob, by: &'a str, is_lenient: bool) -> Result<Made<'a>, Refusal> {
        let (handler, active) = self.known.handler(self.names, job);
        let (mut parents, mut waits, mut is_gone) = (Vec::new(), false, false);
        if let Some(after) = &job.conditions.after {
            for parent in &after.jobs {
                let verdict = match self.state_of(*parent) {
                    Some(state) => judge(after.on, state),
                    None if is_lenient => judge(after.on, State::Deleted),
                    None => return Err(Refusal::UnknownParent { parent: *parent }),
                };
                waits |= verdict == Verdict::Waits;
                is_gone |= verdict == Verdict::Cannot;
                parents.push((*parent, verdict == Verdict::Met));
            }
        }
        let stays = |state, reason| Standing { state, at: self.now, mode: job.mode, reason: Some(reason) };
        let standing = if is_gone {
            stays(State::Deleted, PARENT_GONE)
        } else if waits {
            stays(State::Awaiting, PARENTS)
        } else {
            begin(job.start, self.now, job.mode, active)
        };
        Ok(Made { job, by, standing, parents, handler, queue: self.known.queue(self.names, job) })
    }

    /// The state of a job that is there, or stands earlier in what is stored.
    fn state_of(&self, id: JobId) -> Option<State> {
        let made = self.by_id.get(&id).and_then(|at| self.made.get(*at));
        made.map(|made| made.standing.state).or_else(|| self.there.get(&id).map(|(_, state)| *state))
    }

    /// The state that a holder comes into with the start of another job.
    fn state_when_replaced(&self, holder: &Holder, new: &NewJob) -> State {
        let made = self.by_id.get(&holder.id).and_then(|at| self.made.get(*at));
        let reason = match made {
            Some(made) => made.standing.reason,
            None => self.held.get(&holder.id).and_then(|job| job.reason.as_deref()),
        };
        if holder.state == State::Awaiting && reason == Some(PARENTS) {
            return State::Awaiting;
        }
        let (_, active) = self.known.handler(self.names, new);
        begin(new.start, self.now, new.mode, active).state
    }
}

/// Stores what was planned; gives the numbers of the children that have not ended.
async fn write(
    tx: &mut Tx<'_>,
    made: &[Made<'_>],
    by_id: &HashMap<JobId, usize>,
    holders: &HashMap<Digest, Holder>,
    there: &HashMap<JobId, (i64, State)>,
) -> Result<Vec<i64>, Fault> {
    if made.is_empty() {
        return Ok(Vec::new());
    }
    let seqs = draw(tx, made.len()).await?;
    insert(tx, made, &seqs).await?;
    let seq_of = |id: &JobId| by_id.get(id).and_then(|at| seqs.get(*at)).copied();
    let parents = made.iter().flat_map(|made| &made.parents).map(|(parent, _)| *parent).collect::<BTreeSet<_>>();
    let (mut changes, mut rows, mut edges) = (Vec::new(), Vec::new(), Vec::new());
    for (made, seq) in made.iter().zip(&seqs) {
        let conditions = &made.job.conditions;
        let (is_child, ends) = (conditions.after.is_some(), made.standing.state.is_final());
        let has_row = is_child || conditions.unique.is_some() || conditions.limit_key.is_some();
        let bits = [
            (parents.contains(&made.job.id), traits::CHILDREN),
            (is_child, traits::PARENTS),
            (has_row, traits::CONDITIONS),
        ];
        let traits = bits.iter().filter(|(has, _)| *has).fold(0, |all, (_, bit)| all | bit);
        if has_row {
            let waits = made.standing.reason == Some(PARENTS);
            let born_reason = made.standing.reason.filter(|_| waits || ends);
            rows.push(Kept { seq: *seq, born_reason, start: waits.then_some(made.job.start), conditions });
        }
        if is_child {
            let edge = |(parent, met): &(JobId, bool)| {
                let number = seq_of(parent).or_else(|| there.get(parent).map(|(seq, _)| *seq)).unwrap_or(0);
                Edge { parent: number, parent_id: *parent, met: *met }
            };
            edges.push((*seq, ends, made.parents.iter().map(edge).collect::<Vec<_>>()));
        }
        changes.push(record::born(
            Job { expires_at: conditions.expires_at.filter(|_| !ends), ..job(made, *seq, tx.now(), traits) },
            Happened { made: 1, deleted: i64::from(ends), ..Happened::default() },
        ));
    }
    conditions::keep(tx, &rows).await?;
    flow::keep_edges(tx, &edges).await?;
    let named = holders.iter().filter_map(|(key, holder)| Some((*key, seq_of(&holder.id)?))).collect::<Vec<_>>();
    unique::name(tx, &named).await?;
    record::save(tx, &changes).await?;
    let incoming = made.iter().map(|made| Incoming { job: made.job, by: made.by }).collect::<Vec<_>>();
    let numbers = made.iter().zip(&seqs).map(|(made, seq)| (made.job.id.0, *seq)).collect();
    enqueue::store_tags(tx, &incoming.iter().collect::<Vec<_>>(), &numbers).await?;
    tx.told.work = true;
    Ok(edges.into_iter().filter(|(_, has_ended, _)| !has_ended).map(|(seq, ..)| seq).collect())
}

fn job(made: &Made<'_>, seq: i64, now: Timestamp, traits: i16) -> Job {
    let Standing { state, at, mode, reason } = made.standing;
    Job {
        id: made.job.id,
        seq,
        handler: made.handler,
        queue: made.queue,
        mode,
        priority: made.job.priority.into(),
        state,
        attempt: 0,
        run: 0,
        losses: 0,
        lines: 0,
        at,
        ready_at: now,
        started_at: None,
        server: None,
        version: None,
        ended_line: None,
        ask: None,
        asked_by: None,
        reason: reason.map(str::to_owned),
        lacked: None,
        max_attempts: made.job.max_attempts,
        traits,
        expires_at: None,
        held: None,
        places: Vec::new(),
    }
}

/// Marks the parents that were there before as such.
async fn mark(
    tx: &mut Tx<'_>,
    held: &HashMap<JobId, Job>,
    parents: &BTreeSet<JobId>,
    by_id: &HashMap<JobId, usize>,
) -> Result<(), Fault> {
    if by_id.is_empty() {
        return Ok(());
    }
    let new = parents.iter().filter_map(|id| held.get(id)).filter(|job| job.traits & traits::CHILDREN == 0);
    let (ended, live) = new.partition::<Vec<_>, _>(|job| job.state.is_final());
    let live = live.into_iter().map(|job| job.id.0).collect();
    flow::mark_parents(tx, live, ended.into_iter().map(|job| job.seq).collect()).await
}

/// Numbers for as many jobs, in their order.
async fn draw(tx: &mut Tx<'_>, jobs: usize) -> Result<Vec<i64>, Fault> {
    let query = tx.query(concat!("SELECT ", next_number!("$1::bigint"), " FROM generate_series(1, $2::bigint)"));
    let query = query.bind(tx.now().0).bind(amount(jobs));
    let mut seqs = tx.all(query).await?.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<Vec<i64>, Fault>>()?;
    seqs.sort_unstable();
    Ok(seqs)
}

/// Stores what never changes of jobs.
async fn insert(tx: &mut Tx<'_>, made: &[Made<'_>], seqs: &[i64]) -> Result<(), Fault> {
    macro_rules! column {
        (|$made:ident| $value:expr) => {
            made.iter().map(|$made| $value).collect::<Vec<_>>()
        };
    }
    let text = |made: &Made<'_>, json: serde_json::Result<Json>| {
        json.map(|json| json.as_str().to_owned())
            .map_err(|error| Fault::damaged(format_args!("job {}", made.job.id), error))
    };
    let (mut tags, mut retries, mut headers) = (Vec::new(), Vec::new(), Vec::new());
    for made in made {
        let job = made.job;
        tags.push((!job.tags.is_empty()).then(|| text(made, Json::write(&job.tags))).transpose()?);
        retries.push((job.retry != RetryPolicy::default()).then(|| text(made, Json::write(&job.retry))).transpose()?);
        headers.push((!job.headers.is_empty()).then(|| text(made, Json::write(&job.headers))).transpose()?);
    }
    let query = tx
        .query(
            "INSERT INTO @jobs (seq, id, handler, queue, mode, priority, born, max_attempts, created_at, start_at, timeout_ms,
                 made_by, tags, retry, headers, payload)
             SELECT i.seq, i.id, i.handler, i.queue, i.mode, i.priority, i.born, i.max_attempts, $16, i.start_at,
                 i.timeout_ms, i.made_by, i.tags, i.retry, i.headers, i.payload
             FROM unnest($1::bigint[], $2::uuid[], $3::integer[], $4::integer[], $5::smallint[], $6::smallint[],
                 $7::smallint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::text[],
                 $14::text[], $15::text[]) AS i (seq, id, handler, queue, mode, priority, born, max_attempts, start_at,
                 timeout_ms, made_by, tags, retry, headers, payload)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(seqs.to_vec())
        .bind(column!(|made| made.job.id.0))
        .bind(column!(|made| made.handler))
        .bind(column!(|made| made.queue))
        .bind(column!(|made| made.standing.mode.number()))
        .bind(column!(|made| i16::from(made.job.priority)))
        .bind(column!(|made| made.standing.state.number()))
        .bind(column!(|made| i64::from(made.job.max_attempts.max(1))))
        .bind(column!(|made| made.standing.at.0))
        .bind(column!(|made| made.job.timeout_ms.map(signed)))
        .bind(column!(|made| plain(made.by)))
        .bind(tags)
        .bind(retries)
        .bind(headers)
        .bind(column!(|made| made.job.payload.as_str().to_owned()))
        .bind(tx.now().0);
    let stored = tx.run(query).await?;
    // Somebody else has just stored a job of one of these ids: it is seen when all is decided anew.
    if usize::try_from(stored).unwrap_or(usize::MAX) == made.len() { Ok(()) } else { Err(Fault::Again) }
}

/// Gives a job the payload, the time and the expiry of another one.
async fn replace(tx: &mut Tx<'_>, replacement: &Replacement<'_>) -> Result<(), Fault> {
    let (id, new) = (replacement.holder, replacement.new);
    let job = Job::held_all(tx, &BTreeSet::from([id])).await?.remove(&id).ok_or(Fault::Again)?;
    let query = tx.query("UPDATE @jobs SET payload = $2 WHERE seq = $1");
    let query = query.bind(job.seq).bind(new.payload.as_str().to_owned());
    tx.run(query).await?;
    expire_anew(tx, &job, new.conditions.expires_at).await?;
    let from = job.state;
    if from == State::Awaiting && job.reason.as_deref() == Some(PARENTS) {
        return conditions::restart(tx, job.seq, new.start).await;
    }
    let now = tx.now();
    let active = if new.start == Start::WithHandler { active_mode(tx, job.handler).await? } else { None };
    let standing = begin(new.start, now, job.mode, active);
    if (from, standing.state) == (State::Enqueued, State::Enqueued) {
        return Ok(());
    }
    let mut change = job.change();
    change.job.mode = standing.mode;
    change.job.ready_at = now;
    change.job.expires_at = new.conditions.expires_at;
    change.job.become_now(now, standing.state, Some(REPLACED));
    change.job.at = standing.at;
    change.record_step(now, from, replacement.by);
    if let Some(reason) = standing.reason {
        // By this it is found when its handler comes.
        change.job.reason = Some(reason.to_owned());
    }
    record::save(tx, &[change]).await
}

/// Gives a job that was never claimed, and is held, another expiry.
async fn expire_anew(tx: &mut Tx<'_>, job: &Job, expires_at: Option<Timestamp>) -> Result<(), Fault> {
    if job.expires_at == expires_at {
        return Ok(());
    }
    let query = tx.query("UPDATE @live SET expires_at = $2 WHERE id = $1");
    let query = query.bind(job.id.0).bind(expires_at.map(|at| at.0));
    tx.run(query).await?;
    tx.told.work |= expires_at.is_some();
    Ok(())
}

async fn active_mode(tx: &mut Tx<'_>, handler: i32) -> Result<Option<Mode>, Fault> {
    let query = tx.query("SELECT active_mode FROM @handlers WHERE n = $1").bind(handler);
    let mode = tx.first(query).await?.map(|row| row.try_get::<Option<i16>, _>(0)).transpose()?.flatten();
    mode.map(Mode::from_number).transpose()
}
