//! A job as it is kept, and the one way in which it changes: [`save`] moves it between the tables of those that live and
//! those that have ended, writes its history, tallies it and tells of it, and has its children know of its end and limits of its
//! place, so that no caller can forget a part.

use std::collections::{BTreeSet, HashMap};

use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;
use windlass_api::{Failure, JobId, Json, Mode, ServerId, State, Timestamp, Usage};

use super::{
    fault::Fault,
    ripples, rooms,
    tally::{self, Happened},
    tx::Tx,
    words::{Ask, Word, count, plain, signed},
};
use crate::Fence;

/// How many lines of a job's history are kept beside the first: a job that snoozes for ever must not grow for ever.
const MAX_LINES: i64 = 1000;

/// How often a job that moves between the tables is looked for again.
const LOOKS: usize = 8;

/// What a living job is read by, in the order of [`Job::read`], and what else is to be read, from [`MORE`] on.
macro_rules! live {
    ($rest:literal) => {
        live!("NULL", $rest)
    };
    ($more:literal, $rest:literal) => {
        concat!(
            "SELECT l.id, l.seq, l.handler, l.queue, l.mode, l.priority, l.state, l.attempt, l.run, l.losses, l.lines,
             l.at, l.ready_at, l.started_at, l.server, l.version, l.ended_line, l.ask, l.asked_by, l.reason,
             j.max_attempts, l.traits, l.expires_at, l.held, l.places, ",
            $more,
            " FROM ",
            $rest
        )
    };
}
pub(super) use live;

/// What goes with it from the table of all jobs.
macro_rules! made {
    () => {
        " LEFT JOIN LATERAL (SELECT max_attempts FROM @jobs WHERE seq = l.seq) j ON true "
    };
}
pub(super) use made;

/// The first column of what else is read.
pub(super) const MORE: usize = 25;

/// The same of a job that has ended.
macro_rules! ended {
    ($rest:literal) => {
        concat!(
            "SELECT j.id, e.seq, j.handler, j.queue, e.mode, j.priority, e.state, e.attempt, e.run, e.losses, e.lines,
             e.at, e.ready_at, e.started_at, NULL::integer, e.version, e.ended_line, e.ask, NULL::text, e.reason,
             j.max_attempts, e.traits, NULL::bigint, NULL::integer, NULL::integer[] FROM ",
            $rest
        )
    };
}

const ENDED: &str =
    ended!("@jobs j JOIN @ended e ON e.seq = j.seq AND e.state IN (4, 5, 6) WHERE j.id = $1 FOR UPDATE OF e");

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) seq: i64,
    pub(super) handler: i32,
    pub(super) queue: i32,
    pub(super) mode: Mode,
    pub(super) priority: i16,
    pub(super) state: State,
    pub(super) attempt: u32,
    pub(super) run: u32,
    pub(super) losses: u32,
    pub(super) lines: i64,
    /// When it is due, where it is scheduled; when it ended, where it has; otherwise when it came into its state.
    pub(super) at: Timestamp,
    /// When it came into its line last; a job that goes back to it without having been run to an end keeps its place.
    pub(super) ready_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    /// The server that runs it.
    pub(super) server: Option<i32>,
    /// The version that it is pinned to.
    pub(super) version: Option<i32>,
    /// The line of the history that tells of its last run.
    pub(super) ended_line: Option<i64>,
    pub(super) ask: Option<Ask>,
    pub(super) asked_by: Option<String>,
    pub(super) reason: Option<String>,
    /// The version that lacked its handler, to be written where it waits for another one. It is never read.
    pub(super) lacked: Option<i32>,
    pub(super) max_attempts: u32,
    /// What else there is to be known of it: see [`traits`].
    pub(super) traits: i16,
    /// When it is deleted, where it has not been claimed by then.
    pub(super) expires_at: Option<Timestamp>,
    /// The limit's line that it stands in, where it waits for room there.
    pub(super) held: Option<i32>,
    /// The limits' lines in which its run has a place.
    pub(super) places: Vec<i32>,
}

/// The bits of [`Job::traits`].
pub(super) mod traits {
    /// Other jobs continue it.
    pub(in super::super) const CHILDREN: i16 = 1;
    /// It continues others.
    pub(in super::super) const PARENTS: i16 = 2;
    /// There is a row of conditions for it.
    pub(in super::super) const CONDITIONS: i16 = 4;
}

/// A line of the history as it is kept: one step, or a whole run.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) n: i64,
    pub(super) from: State,
    pub(super) to: State,
    pub(super) at: Timestamp,
    pub(super) run: Option<u32>,
    pub(super) attempt: Option<u32>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) server: Option<i32>,
    pub(super) usage: Option<Usage>,
    pub(super) by: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) failure: Option<String>,
}

/// A run that goes on, as the history will keep it: with the attempt that it is, even where that is given back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    run: u32,
    attempt: u32,
    started_at: Option<Timestamp>,
    server: Option<i32>,
}

/// A job that changes.
pub(super) struct Change {
    /// The state that it was in; nothing where it comes from another storage.
    pub(super) before: Option<State>,
    pub(super) job: Job,
    pub(super) lines: Vec<Line>,
    pub(super) result: Option<String>,
    pub(super) happened: Happened,
}

impl Job {
    pub(super) fn read(row: &PgRow) -> Result<Self, Fault> {
        let id = JobId(row.try_get::<Uuid, _>(0)?);
        Self::read_known(row, id).map_err(|fault| match fault {
            Fault::Damaged(why) => Fault::damaged(format_args!("job {id}"), why),
            Fault::Sql(error @ sqlx::Error::ColumnDecode { .. }) => Fault::damaged(format_args!("job {id}"), error),
            fault => fault,
        })
    }

    fn read_known(row: &PgRow, id: JobId) -> Result<Self, Fault> {
        let instant = |at: usize| row.try_get::<i64, _>(at).map(Timestamp);
        let number = |at: usize| row.try_get::<i64, _>(at).map(count);
        // Whoever moves a job need not know how it was made: one that lacks it can still be set aside.
        let max_attempts = row.try_get::<Option<i64>, _>(20)?.unwrap_or(0);
        Ok(Self {
            id,
            seq: row.try_get(1)?,
            handler: row.try_get(2)?,
            queue: row.try_get(3)?,
            mode: Mode::from_number(row.try_get(4)?)?,
            priority: row.try_get(5)?,
            state: State::from_number(row.try_get(6)?)?,
            attempt: number(7)?,
            run: number(8)?,
            losses: number(9)?,
            lines: row.try_get(10)?,
            at: instant(11)?,
            ready_at: instant(12)?,
            started_at: row.try_get::<Option<i64>, _>(13)?.map(Timestamp),
            server: row.try_get(14)?,
            version: row.try_get(15)?,
            ended_line: row.try_get(16)?,
            ask: row.try_get::<Option<i16>, _>(17)?.map(Ask::from_number).transpose()?,
            asked_by: row.try_get(18)?,
            reason: row.try_get(19)?,
            lacked: None,
            max_attempts: count(max_attempts),
            traits: row.try_get::<Option<i16>, _>(21)?.unwrap_or(0),
            expires_at: row.try_get::<Option<i64>, _>(22)?.map(Timestamp),
            held: row.try_get(23)?,
            places: row.try_get::<Option<Vec<i32>>, _>(24)?.unwrap_or_default(),
        })
    }

    /// Jobs by their ids, held until the transaction ends: always in the same order, so that no two steps wait for each other.
    /// Those that are not there are left out.
    pub(super) async fn held_all(tx: &mut Tx<'_>, ids: &BTreeSet<JobId>) -> Result<HashMap<JobId, Self>, Fault> {
        const LIVE: &str = concat!(
            live!(
                "unnest($1::uuid[]) AS w (id)
                 CROSS JOIN LATERAL (SELECT * FROM @live WHERE id = w.id LIMIT 1 FOR UPDATE) l"
            ),
            made!()
        );
        const ENDED: &str = ended!(
            "unnest($1::uuid[]) AS w (id)
             CROSS JOIN LATERAL (
                 SELECT seq, id, handler, queue, priority, max_attempts FROM @jobs WHERE id = w.id LIMIT 1) j
             CROSS JOIN LATERAL (SELECT * FROM @ended WHERE state IN (4, 5, 6) AND seq = j.seq LIMIT 1 FOR UPDATE) e"
        );
        let mut found = HashMap::new();
        let mut left = ids.iter().map(|id| id.0).collect::<Vec<_>>();
        for _ in 0..LOOKS {
            for statement in [LIVE, ENDED] {
                if left.is_empty() {
                    return Ok(found);
                }
                let query = tx.query(statement).bind(left.clone());
                for row in tx.all(query).await? {
                    let job = Self::read(&row)?;
                    found.insert(job.id, job);
                }
                left.retain(|id| !found.contains_key(&JobId(*id)));
            }
            // What is known but in neither place was moved between the two looks.
            let query = tx.query("SELECT id FROM @jobs WHERE id = ANY($1::uuid[])").bind(left);
            left = tx.all(query).await?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            left.sort_unstable();
        }
        Ok(found)
    }

    /// A job by its id, held until the transaction ends.
    pub(super) async fn held(tx: &mut Tx<'_>, id: JobId) -> Result<Option<Self>, Fault> {
        const LIVE: &str = concat!(live!("@live l"), made!(), "WHERE l.id = $1 FOR UPDATE OF l");
        for _ in 0..LOOKS {
            let query = tx.query(LIVE).bind(id.0);
            if let Some(row) = tx.first(query).await? {
                return Self::read(&row).map(Some);
            }
            let query = tx.query(ENDED).bind(id.0);
            if let Some(row) = tx.first(query).await? {
                return Self::read(&row).map(Some);
            }
            let query = tx.query("SELECT 1 FROM @jobs WHERE id = $1").bind(id.0);
            if tx.first(query).await?.is_none() {
                return Ok(None);
            }
            // It was moved between the two looks, by a step that has ended by now.
        }
        Err(Fault::damaged(format_args!("job {id}"), "it is neither among those that live nor among those that ended"))
    }

    /// The jobs where these fences still hold, held until the transaction ends.
    pub(super) async fn fenced(tx: &mut Tx<'_>, fences: &[Fence]) -> Result<Vec<(Fence, Self)>, Fault> {
        const FENCED: &str = concat!(
            live!(
                "f.server",
                "unnest($1::uuid[], $2::bigint[], $3::uuid[]) AS f (id, run, server)
             CROSS JOIN LATERAL (SELECT n FROM @servers WHERE id = f.server LIMIT 1) s
             CROSS JOIN LATERAL (SELECT * FROM @live WHERE id = f.id LIMIT 1 FOR UPDATE) l"
            ),
            made!(),
            "WHERE l.run = f.run AND l.server = s.n AND l.state = 3"
        );
        let mut sorted = fences.to_vec();
        // Always in the same order, so that no two steps wait for each other.
        sorted.sort_unstable_by_key(|fence| (fence.job, fence.run));
        if sorted.is_empty() {
            return Ok(Vec::new());
        }
        let (mut ids, mut runs, mut servers) = (Vec::new(), Vec::new(), Vec::new());
        for fence in &sorted {
            ids.push(fence.job.0);
            runs.push(i64::from(fence.run));
            // By its id: an older copy of the database may give its number to another one.
            servers.push(fence.server.0);
        }
        let query = tx.query(FENCED).bind(ids).bind(runs).bind(servers);
        let mut held = Vec::new();
        for row in tx.all(query).await? {
            let job = Self::read(&row)?;
            let server = ServerId(row.try_get::<Uuid, _>(MORE)?);
            held.push((job.fence(server), job));
        }
        Ok(held)
    }

    pub(super) fn fence(&self, server: ServerId) -> Fence {
        Fence { job: self.id, run: self.run, server }
    }

    /// Begins a change of the job.
    pub(super) fn change(self) -> Change {
        Change { before: Some(self.state), job: self, lines: Vec::new(), result: None, happened: Happened::default() }
    }

    /// A job that comes from another storage.
    pub(super) fn arrive(self, lines: Vec<Line>, result: Option<String>) -> Change {
        Change { before: None, job: self, lines, result, happened: Happened::default() }
    }

    /// Puts the job into a state from now on.
    pub(super) fn become_now(&mut self, now: Timestamp, state: State, reason: Option<&str>) {
        (self.state, self.at, self.reason) = (state, now, reason.map(plain));
        self.held = None;
    }

    /// Puts the job at the end of its line.
    pub(super) fn become_ready(&mut self, now: Timestamp, reason: Option<&str>) {
        self.ready_at = now;
        self.become_now(now, State::Enqueued, reason);
    }

    /// Gives back an attempt that does not count.
    pub(super) fn give_attempt_back(&mut self) {
        self.attempt = self.attempt.saturating_sub(1);
    }

    /// The run that is going on, to be recorded when it ends.
    pub(super) fn current_run(&self) -> Run {
        Run { run: self.run, attempt: self.attempt, started_at: self.started_at, server: self.server }
    }
}

/// A job that is stored for the first time.
pub(super) fn born(job: Job, happened: Happened) -> Change {
    Change { before: None, job, lines: Vec::new(), result: None, happened }
}

impl Change {
    /// Appends a step to the history, in which no run ended.
    pub(super) fn record_step(&mut self, now: Timestamp, from: State, by: &str) {
        self.job.lines += 1;
        self.lines.push(Line {
            n: self.job.lines,
            from,
            to: self.job.state,
            at: now,
            run: None,
            attempt: None,
            started_at: None,
            server: None,
            usage: None,
            by: Some(plain(by)),
            reason: self.job.reason.clone(),
            failure: None,
        });
    }

    /// Appends a run to the history: its beginning and its end. `by` is absent where its own server ended it.
    pub(super) fn record_run(
        &mut self,
        now: Timestamp,
        run: Run,
        usage: Usage,
        failure: Option<&Failure>,
        by: Option<&str>,
    ) -> Result<(), Fault> {
        self.job.lines += 1;
        self.job.ended_line = Some(self.job.lines);
        self.job.server = None;
        let failure = failure.map(Json::write).transpose().map_err(|error| Fault::damaged("a failure", error))?;
        self.lines.push(Line {
            n: self.job.lines,
            from: State::Processing,
            to: self.job.state,
            at: now,
            run: Some(run.run),
            attempt: Some(run.attempt),
            started_at: run.started_at,
            server: run.server,
            usage: Some(usage),
            by: by.map(plain),
            reason: self.job.reason.clone(),
            failure: failure.map(|failure| failure.as_str().to_owned()),
        });
        Ok(())
    }
}

/// Writes jobs back after a change, with what follows from it for others. Their rows must be held.
pub(super) async fn save(tx: &mut Tx<'_>, changes: &[Change]) -> Result<(), Fault> {
    write(tx, changes).await?;
    ripples::spread(tx, changes).await?;
    rooms::give_back(tx, changes).await
}

/// Writes jobs back, and nothing else.
pub(super) async fn write(tx: &mut Tx<'_>, changes: &[Change]) -> Result<(), Fault> {
    if changes.is_empty() {
        return Ok(());
    }
    leave(tx, changes).await?;
    stand(tx, changes).await?;
    write_history(tx, changes).await?;
    tally::tally(tx, changes).await?;
    for change in changes {
        let job = &change.job;
        if change.before == Some(job.state) && job.state != State::Enqueued {
            continue;
        }
        match job.state {
            State::Enqueued | State::Scheduled => tx.told.work = true,
            state if state.is_final() => tx.told.ends.push(job.id),
            _ => {}
        }
    }
    Ok(())
}

async fn leave(tx: &mut Tx<'_>, changes: &[Change]) -> Result<(), Fault> {
    let (mut live, mut ended) = (Vec::new(), Vec::new());
    for change in changes {
        match change.before {
            Some(state) if state.is_final() => ended.push(change.job.seq),
            Some(_) => live.push(change.job.id.0),
            None => {}
        }
    }
    let mut left = 0;
    let held = live.len() + ended.len();
    if !live.is_empty() {
        let query = tx.query("DELETE FROM @live WHERE id = ANY($1::uuid[])").bind(live);
        left += tx.run(query).await?;
    }
    if !ended.is_empty() {
        let query = tx.query("DELETE FROM @ended WHERE state IN (4, 5, 6) AND seq = ANY($1::bigint[])").bind(ended);
        left += tx.run(query).await?;
    }
    if usize::try_from(left).unwrap_or(usize::MAX) != held {
        return Err(Fault::Again);
    }
    Ok(())
}

async fn stand(tx: &mut Tx<'_>, changes: &[Change]) -> Result<(), Fault> {
    let (live, ended) = changes.iter().partition::<Vec<_>, _>(|change| !change.job.state.is_final());
    macro_rules! column {
        ($rows:ident, |$job:ident| $value:expr) => {
            $rows
                .iter()
                .map(|change| {
                    let $job = &change.job;
                    $value
                })
                .collect::<Vec<_>>()
        };
    }
    if !live.is_empty() {
        let query = tx
            .query(
                "INSERT INTO @live (id, seq, handler, queue, mode, priority, state, attempt, run, losses, lines, at,
                 ready_at, started_at, server, version, ended_line, ask, asked_by, reason, lacked, traits, expires_at,
                 held)
                 SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::integer[], $4::integer[], $5::smallint[],
                 $6::smallint[], $7::smallint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
                 $13::bigint[], $14::bigint[], $15::integer[], $16::integer[], $17::bigint[], $18::smallint[],
                 $19::text[], $20::text[], $21::integer[], $22::smallint[], $23::bigint[], $24::integer[])",
            )
            .bind(column!(live, |job| job.id.0))
            .bind(column!(live, |job| job.seq))
            .bind(column!(live, |job| job.handler))
            .bind(column!(live, |job| job.queue))
            .bind(column!(live, |job| job.mode.number()))
            .bind(column!(live, |job| job.priority))
            .bind(column!(live, |job| job.state.number()))
            .bind(column!(live, |job| i64::from(job.attempt)))
            .bind(column!(live, |job| i64::from(job.run)))
            .bind(column!(live, |job| i64::from(job.losses)))
            .bind(column!(live, |job| job.lines))
            .bind(column!(live, |job| job.at.0))
            .bind(column!(live, |job| job.ready_at.0))
            .bind(column!(live, |job| job.started_at.map(|at| at.0)))
            .bind(column!(live, |job| job.server))
            .bind(column!(live, |job| job.version))
            .bind(column!(live, |job| job.ended_line))
            .bind(column!(live, |job| job.ask.map(Word::number)))
            .bind(column!(live, |job| job.asked_by.clone()))
            .bind(column!(live, |job| job.reason.clone()))
            .bind(column!(live, |job| if job.state == State::Awaiting { job.lacked } else { None }))
            .bind(column!(live, |job| some(job.traits)))
            .bind(column!(live, |job| job.expires_at.map(|at| at.0)))
            .bind(column!(live, |job| job.held));
        tx.run(query).await?;
    }
    if !ended.is_empty() {
        let query = tx
            .query(
                "INSERT INTO @ended (seq, state, mode, attempt, run, losses, lines, at, ready_at, started_at, version,
                 ended_line, ask, reason, result, traits)
                 SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::bigint[], $5::bigint[],
                 $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::integer[], $12::bigint[],
                 $13::smallint[], $14::text[], $15::text[], $16::smallint[])",
            )
            .bind(column!(ended, |job| job.seq))
            .bind(column!(ended, |job| job.state.number()))
            .bind(column!(ended, |job| job.mode.number()))
            .bind(column!(ended, |job| i64::from(job.attempt)))
            .bind(column!(ended, |job| i64::from(job.run)))
            .bind(column!(ended, |job| i64::from(job.losses)))
            .bind(column!(ended, |job| job.lines))
            .bind(column!(ended, |job| job.at.0))
            .bind(column!(ended, |job| job.ready_at.0))
            .bind(column!(ended, |job| job.started_at.map(|at| at.0)))
            .bind(column!(ended, |job| job.version))
            .bind(column!(ended, |job| job.ended_line))
            .bind(column!(ended, |job| job.ask.map(Word::number)))
            .bind(column!(ended, |job| job.reason.clone()))
            .bind(ended.iter().map(|change| change.result.clone()).collect::<Vec<_>>())
            .bind(column!(ended, |job| some(job.traits)));
        tx.run(query).await?;
    }
    Ok(())
}

/// Traits as they are kept.
pub(super) fn some(traits: i16) -> Option<i16> {
    (traits != 0).then_some(traits)
}

async fn write_history(tx: &mut Tx<'_>, changes: &[Change]) -> Result<(), Fault> {
    let lines =
        changes.iter().flat_map(|change| change.lines.iter().map(|line| (change.job.seq, line))).collect::<Vec<_>>();
    if lines.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$line:ident| $value:expr) => {
            lines.iter().map(|(_, $line)| $value).collect::<Vec<_>>()
        };
    }
    let used = |of: fn(&Usage) -> u64| {
        lines.iter().map(|(_, line)| line.usage.as_ref().map(|usage| signed(of(usage)))).collect::<Vec<_>>()
    };
    let query = tx
        .query(
            "INSERT INTO @history (seq, n, from_state, to_state, at, run, attempt, started_at, server, fuel, peak_memory,
             wall_us, log_bytes, sent_bytes, received_bytes, by, reason, failure)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::smallint[], $5::bigint[], $6::bigint[],
             $7::bigint[], $8::bigint[], $9::integer[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
             $14::bigint[], $15::bigint[], $16::text[], $17::text[], $18::text[])",
        )
        .bind(lines.iter().map(|(seq, _)| *seq).collect::<Vec<_>>())
        .bind(column!(|line| line.n))
        .bind(column!(|line| line.from.number()))
        .bind(column!(|line| line.to.number()))
        .bind(column!(|line| line.at.0))
        .bind(column!(|line| line.run.map(i64::from)))
        .bind(column!(|line| line.attempt.map(i64::from)))
        .bind(column!(|line| line.started_at.map(|at| at.0)))
        .bind(column!(|line| line.server))
        .bind(used(|usage| usage.fuel))
        .bind(used(|usage| usage.peak_memory_bytes))
        .bind(used(|usage| usage.wall_us))
        .bind(used(|usage| usage.log_bytes))
        .bind(used(|usage| usage.sent_bytes))
        .bind(used(|usage| usage.received_bytes))
        .bind(column!(|line| line.by.clone()))
        .bind(column!(|line| line.reason.clone()))
        .bind(column!(|line| line.failure.clone()));
    tx.run(query).await?;
    for change in changes.iter().filter(|change| change.job.lines > MAX_LINES) {
        trim_history(tx, change.job.seq, change.job.lines).await?;
    }
    Ok(())
}

pub(super) async fn trim_history(tx: &mut Tx<'_>, seq: i64, lines: i64) -> Result<(), Fault> {
    if lines > MAX_LINES {
        let query = tx.query("DELETE FROM @history WHERE seq = $1 AND n <= $2").bind(seq).bind(lines - MAX_LINES);
        tx.run(query).await?;
    }
    Ok(())
}
