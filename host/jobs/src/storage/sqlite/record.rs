//! A job as it is kept, and the one way in which it changes: [`Job::save`] moves it between the lines, tallies it and
//! tells of it, so that no caller can forget a part.

use std::borrow::Cow;

use rusqlite::{Row, Rows};
use windlass_api::{Failure, JobId, Json, Mode, ServerId, State, Timestamp, Usage};

use super::{
    fault::Fault,
    lines, ripples,
    tx::Tx,
    words::{self, Ask, Word, count, signed},
};
use crate::{Fence, storage::Signal};

/// What a job is read by, in the order of [`Job::read`].
macro_rules! columns {
    () => {
        "jobs.seq, jobs.id, jobs.handler, jobs.queue, jobs.mode, jobs.priority, jobs.state, jobs.attempt, \
         jobs.max_attempts, jobs.run, jobs.losses, jobs.lines, jobs.created_at, jobs.at, jobs.ready_at, \
         jobs.started_at, jobs.server, jobs.version, jobs.ended_line, jobs.ask, jobs.asked_by, jobs.reason, \
         jobs.ties, jobs.expires_at, jobs.limit_key, jobs.held"
    };
}
pub(super) use columns;

/// How many columns that are.
pub(super) const COLUMN_COUNT: usize = 26;

/// How many lines of a job's history are kept beside the first: a job that snoozes for ever must not grow for ever.
const MAX_LINES: i64 = 1000;

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) seq: i64,
    pub(super) id: JobId,
    pub(super) handler: i64,
    pub(super) queue: i64,
    pub(super) mode: Mode,
    pub(super) priority: i64,
    pub(super) state: State,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) run: u32,
    pub(super) losses: u32,
    pub(super) lines: i64,
    pub(super) created_at: Timestamp,
    /// When it is due, where it is scheduled; when it ended, where it has; otherwise when it came into its state.
    pub(super) at: Timestamp,
    /// When it came into its line last; a job that goes back to it without having been run to an end keeps its place.
    pub(super) ready_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    /// The server that runs it.
    pub(super) server: Option<i64>,
    /// The version that it is pinned to.
    pub(super) version: Option<i64>,
    /// The line of the history that tells of its last run.
    pub(super) ended_line: Option<i64>,
    pub(super) ask: Option<Ask>,
    pub(super) asked_by: Option<String>,
    pub(super) reason: Option<Cow<'static, str>>,
    /// What binds it to others: see [`ties`].
    pub(super) ties: i64,
    /// When it is deleted unless it was started.
    pub(super) expires_at: Option<Timestamp>,
    /// What it counts under where keys are limited.
    pub(super) limit_key: Option<String>,
    /// The limit in whose line it stands instead of its own.
    pub(super) held: Option<String>,
}

/// What binds a job to others, as bits.
pub(super) mod ties {
    /// Others continue it.
    pub(in super::super) const HAS_CHILDREN: i64 = 1;
    /// It continues others.
    pub(in super::super) const CONTINUES: i64 = 2;
    /// It is unique.
    pub(in super::super) const UNIQUE: i64 = 4;
    /// It has ended and is kept for an unfinished job that continues it: it does not stand among those to be removed. No bit
    /// is higher, as the schema's index of those relies upon.
    pub(in super::super) const KEPT: i64 = 8;
}

/// Where a job stands among the others.
#[derive(Clone, Debug)]
pub(super) struct Place {
    state: State,
    mode: Mode,
    at: Timestamp,
    ready_at: Timestamp,
    held: Option<String>,
}

/// A run that has ended.
pub(super) struct RunEnd<'a> {
    pub(super) usage: Usage,
    pub(super) failure: Option<&'a Failure>,
}

impl Job {
    pub(super) fn read(row: &Row<'_>) -> Result<Self, Fault> {
        let id = JobId(words::uuid(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?);
        Self::read_known(row, id).map_err(|fault| match fault {
            Fault::Damaged(why) => Fault::damaged(format_args!("job {id}"), why),
            Fault::Sqlite(error) if error.sqlite_error_code().is_none() => {
                Fault::damaged(format_args!("job {id}"), error)
            }
            fault => fault,
        })
    }

    fn read_known(row: &Row<'_>, id: JobId) -> Result<Self, Fault> {
        let instant = |at: usize| row.get::<_, i64>(at).map(Timestamp);
        Ok(Self {
            seq: row.get(0)?,
            id,
            handler: row.get(2)?,
            queue: row.get(3)?,
            mode: Mode::from_number(row.get(4)?)?,
            priority: row.get(5)?,
            state: State::from_number(row.get(6)?)?,
            attempt: count(row.get(7)?),
            max_attempts: count(row.get(8)?),
            run: count(row.get(9)?),
            losses: count(row.get(10)?),
            lines: row.get(11)?,
            created_at: instant(12)?,
            at: instant(13)?,
            ready_at: instant(14)?,
            started_at: row.get::<_, Option<i64>>(15)?.map(Timestamp),
            server: row.get(16)?,
            version: row.get(17)?,
            ended_line: row.get(18)?,
            ask: row.get::<_, Option<i64>>(19)?.map(Ask::from_number).transpose()?,
            asked_by: row.get(20)?,
            reason: row.get::<_, Option<String>>(21)?.map(Cow::Owned),
            ties: row.get(22)?,
            expires_at: row.get::<_, Option<i64>>(23)?.map(Timestamp),
            limit_key: row.get(24)?,
            held: row.get(25)?,
        })
    }

    /// Reads the first of some rows.
    pub(super) fn read_first(mut rows: Rows<'_>) -> Result<Option<Self>, Fault> {
        rows.next()?.map(Self::read).transpose()
    }

    pub(super) fn by_id(db: &rusqlite::Connection, id: JobId) -> Result<Option<Self>, Fault> {
        let mut query = db.prepare_cached(concat!("SELECT ", columns!(), " FROM jobs WHERE id = ?1"))?;
        Self::read_first(query.query([id.0.as_bytes()])?)
    }

    pub(super) fn by_seq(db: &rusqlite::Connection, seq: i64) -> Result<Self, Fault> {
        let mut query = db.prepare_cached(concat!("SELECT ", columns!(), " FROM jobs WHERE seq = ?1"))?;
        let job = Self::read_first(query.query([seq])?)?;
        job.ok_or_else(|| Fault::damaged(format_args!("job number {seq}"), "it stands in a line but is not there"))
    }

    /// Checks that the job is in the state of the line that it was found in.
    pub(super) fn expect(&self, state: State) -> Result<(), Fault> {
        if self.state == state {
            return Ok(());
        }
        let why = format!("it stands in the line of those that are {state}, but is {}", self.state);
        Err(Fault::damaged(format_args!("job {}", self.id), why))
    }

    /// The job where this fence still holds.
    pub(super) fn fenced(tx: &mut Tx<'_>, fence: &Fence) -> Result<Option<Self>, Fault> {
        let Some(server) = tx.server(fence.server)? else { return Ok(None) };
        let job = Self::by_id(tx.db, fence.job)?;
        Ok(job.filter(|job| job.state == State::Processing && job.run == fence.run && job.server == Some(server)))
    }

    pub(super) fn fence(&self, server: ServerId) -> Fence {
        Fence { job: self.id, run: self.run, server }
    }

    pub(super) fn place(&self) -> Place {
        let held = self.held.clone();
        Place { state: self.state, mode: self.mode, at: self.at, ready_at: self.ready_at, held }
    }

    /// Whether it is tied to others in this way.
    pub(super) fn is_tied(&self, tie: i64) -> bool {
        self.ties & tie != 0
    }

    /// Puts the job into a state from now on.
    pub(super) fn become_now(&mut self, tx: &Tx<'_>, state: State, reason: Option<Cow<'static, str>>) {
        (self.state, self.at, self.reason) = (state, tx.now, reason);
        self.held = None;
        if state == State::Processing || state.is_final() {
            self.expires_at = None;
        }
    }

    /// Puts the job at the end of its line.
    pub(super) fn become_ready(&mut self, tx: &Tx<'_>, reason: Option<Cow<'static, str>>) {
        self.ready_at = tx.now;
        self.become_now(tx, State::Enqueued, reason);
    }

    /// Gives back an attempt that does not count.
    pub(super) fn give_attempt_back(&mut self) {
        self.attempt = self.attempt.saturating_sub(1);
    }

    /// Puts the job where it stands into its line, and tells of it.
    pub(super) fn stand(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        match self.state {
            State::Enqueued if self.held.is_some() => lines::join(tx, self)?,
            State::Enqueued => {
                tx.db
                    .prepare_cached(
                        "INSERT INTO waiting (line, queue, priority, since, seq) VALUES (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute((self.mode.number(), self.queue, self.priority, self.ready_at.0, self.seq))?;
                tx.signal(Signal::Work);
            }
            State::Scheduled => {
                tx.db
                    .prepare_cached("INSERT INTO scheduled (at, seq) VALUES (?1, ?2)")?
                    .execute((self.at.0, self.seq))?;
                tx.signal(Signal::Work);
            }
            state if state.is_final() => tx.effects.ends.push(self.id),
            // Whoever promotes sleeps until the next instant that it knows of.
            State::Awaiting if self.expires_at.is_some() => tx.signal(Signal::Work),
            _ => {}
        }
        tx.count(self.queue, self.handler, self.state, 1);
        Ok(())
    }

    /// Takes the job out of the line that it stood in.
    pub(super) fn leave(&self, tx: &mut Tx<'_>, before: &Place) -> Result<(), Fault> {
        let left = match (before.state, &before.held) {
            (State::Enqueued, Some(target)) => lines::leave(tx, self, target, before.ready_at)?,
            (State::Enqueued, None) => tx
                .db
                .prepare_cached(
                    "DELETE FROM waiting WHERE line = ?1 AND queue = ?2 AND priority = ?3 AND since = ?4 AND seq = ?5",
                )?
                .execute((before.mode.number(), self.queue, self.priority, before.ready_at.0, self.seq))?,
            (State::Scheduled, _) => tx
                .db
                .prepare_cached("DELETE FROM scheduled WHERE at = ?1 AND seq = ?2")?
                .execute((before.at.0, self.seq))?,
            _ => 1,
        };
        if left != 1 {
            return Err(Fault::damaged(format_args!("job {}", self.id), "it does not stand in the line of its state"));
        }
        tx.count(self.queue, self.handler, before.state, -1);
        Ok(())
    }

    /// Writes the job back after a change. `before` is where it stood.
    pub(super) fn save(&self, tx: &mut Tx<'_>, before: &Place) -> Result<(), Fault> {
        self.leave(tx, before)?;
        self.stand(tx)?;
        self.write(tx)?;
        if self.state == before.state {
            return Ok(());
        }
        match self.state {
            State::Succeeded => tx.happened(self.handler).succeeded += 1,
            State::Failed => tx.happened(self.handler).failed += 1,
            State::Deleted => tx.happened(self.handler).deleted += 1,
            _ => {}
        }
        if before.state == State::Processing {
            lines::ended(tx, self)?;
        } else if self.state == State::Processing {
            lines::began(tx, self)?;
        }
        if self.ties != 0 { ripples::moved(tx, self) } else { Ok(()) }
    }

    /// Writes all that changes in a job's life, and nothing else: [`Self::save`] is what moves a job.
    pub(super) fn write(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        tx.db
            .prepare_cached(
                "UPDATE jobs SET mode = ?2, state = ?3, attempt = ?4, run = ?5, losses = ?6, lines = ?7, at = ?8,
                 ready_at = ?9, started_at = ?10, server = ?11, version = ?12, ended_line = ?13, ask = ?14,
                 asked_by = ?15, reason = ?16, expires_at = ?17, held = ?18 WHERE seq = ?1",
            )?
            .execute(rusqlite::params![
                self.seq,
                self.mode.number(),
                self.state.number(),
                self.attempt,
                self.run,
                self.losses,
                self.lines,
                self.at.0,
                self.ready_at.0,
                self.started_at.map(|at| at.0),
                self.server,
                self.version,
                self.ended_line,
                self.ask.map(Ask::number),
                self.asked_by,
                self.reason,
                self.expires_at.map(|at| at.0),
                self.held,
            ])?;
        Ok(())
    }

    /// Appends a step to the history, in which no run ended.
    pub(super) fn record_step(&mut self, tx: &Tx<'_>, from: State, by: &str) -> Result<(), Fault> {
        self.lines += 1;
        tx.db
            .prepare_cached(
                "INSERT INTO history (seq, n, from_state, to_state, at, by, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((self.seq, self.lines, from.number(), self.state.number(), tx.now.0, by, &self.reason))?;
        self.trim_history(tx)
    }

    /// Appends a run to the history: its beginning and its end. `by` is absent where its own server ended it.
    pub(super) fn record_run(
        &mut self,
        tx: &Tx<'_>,
        end: &RunEnd<'_>,
        run: &Run,
        by: Option<&str>,
    ) -> Result<(), Fault> {
        self.lines += 1;
        self.ended_line = Some(self.lines);
        let failure = end.failure.map(Json::write).transpose().map_err(|error| Fault::damaged("a failure", error))?;
        let usage = &end.usage;
        tx.db
            .prepare_cached(
                "INSERT INTO history (seq, n, from_state, to_state, at, run, attempt, started_at, server, fuel,
                 peak_memory, wall_us, log_bytes, sent_bytes, received_bytes, by, reason, failure)
                 VALUES (?1, ?2, 3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            )?
            .execute(rusqlite::params![
                self.seq,
                self.lines,
                self.state.number(),
                tx.now.0,
                run.run,
                run.attempt,
                run.started_at.map(|at| at.0),
                run.server,
                signed(usage.fuel),
                signed(usage.peak_memory_bytes),
                signed(usage.wall_us),
                signed(usage.log_bytes),
                signed(usage.sent_bytes),
                signed(usage.received_bytes),
                by,
                self.reason,
                failure.as_ref().map(Json::as_str),
            ])?;
        self.trim_history(tx)
    }

    fn trim_history(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        if self.lines > MAX_LINES {
            tx.db
                .prepare_cached("DELETE FROM history WHERE seq = ?1 AND n = ?2")?
                .execute((self.seq, self.lines - MAX_LINES))?;
        }
        Ok(())
    }

    /// The run that is going on, to be recorded when it ends.
    pub(super) fn current_run(&self) -> Run {
        Run { run: self.run, attempt: self.attempt, started_at: self.started_at, server: self.server }
    }
}

/// A run as the history keeps it: with the attempt that it was, even where that is given back.
pub(super) struct Run {
    run: u32,
    attempt: u32,
    started_at: Option<Timestamp>,
    server: Option<i64>,
}
