//! What an operation works with inside of a transaction: the connection, the numbers of names, and what is to be tallied
//! and told when it is committed.

use std::{collections::HashMap, rc::Rc};

use rusqlite::{Connection, OptionalExtension};
use windlass_api::{Digest, Grain, HandlerPath, JobId, QueueName, ServerId, State, Timestamp};

use super::{
    counters::{Counters, Happened},
    fault::Fault,
    follow::{self, Consequences},
    number,
    rules::Rules,
    words,
};
use crate::{
    Clock,
    storage::{Retention, Signal},
};

/// Changes of how many jobs there are, by queue, handler and state.
pub(super) type Tally = HashMap<(i64, i64, State), i64>;

/// Numbers of names that are known to be committed, or were given in this very transaction.
#[derive(Debug, Default)]
pub(super) struct Cache {
    queues: HashMap<QueueName, i64>,
    queue_names: HashMap<i64, QueueName>,
    handlers: HashMap<HandlerPath, i64>,
    handler_paths: HashMap<i64, HandlerPath>,
    servers: HashMap<ServerId, i64>,
    digests: HashMap<i64, Digest>,
    /// Whether what follows from steps is left to the promotions, since it has met a damaged page.
    leaves_consequences: bool,
    /// The last line of a limit that was looked at although it had no room.
    last_line: String,
}

/// Names are anybody's to make up, so the cache starts anew rather than grow without end.
const MAX_CACHED: usize = 10_000;

impl Cache {
    /// Forgets all: a rolled-back transaction may have given numbers that are not there any more.
    pub(super) fn clear(&mut self) {
        *self = Self { leaves_consequences: self.leaves_consequences, ..Self::default() };
    }

    fn bound(&mut self) {
        let size = self.queues.len() + self.queue_names.len() + self.handlers.len() + self.handler_paths.len();
        if size + self.servers.len() + self.digests.len() > MAX_CACHED {
            self.clear();
        }
    }
}

/// What comes of operations beside what they write at once: it is written or told when the whole transaction is.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) tally: Tally,
    pub(super) counters: Counters,
    pub(super) signals: Vec<Signal>,
    pub(super) ends: Vec<JobId>,
    pub(super) consequences: Consequences,
}

pub(super) struct Tx<'a> {
    pub(super) db: &'a Connection,
    /// The instant of the operation.
    pub(super) now: Timestamp,
    pub(super) retention: Retention,
    pub(super) effects: Effects,
    cache: &'a mut Cache,
    clock: &'a dyn Clock,
    /// The last number that was given to a job, and the millisecond that it was given for.
    last_number: Option<(Timestamp, i64)>,
    /// Whether an earlier operation of the transaction has changed how many jobs there are.
    changed: bool,
    /// The limits, once they were read.
    rules: Option<Rc<Rules>>,
}

impl<'a> Tx<'a> {
    pub(super) fn new(db: &'a Connection, cache: &'a mut Cache, clock: &'a dyn Clock, retention: Retention) -> Self {
        cache.bound();
        let now = clock.now();
        let effects = Effects::default();
        Self { db, now, retention, effects, cache, clock, last_number: None, changed: false, rules: None }
    }

    /// Carries out one operation wholly or not at all, and some of what follows from it.
    pub(super) fn in_savepoint<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.now = self.clock.now();
        self.guarded(|tx| {
            let done = step(tx)?;
            follow::follow(tx)?;
            Ok(done)
        })
    }

    /// Carries out a part of an operation wholly or not at all, so that the operation can go on without it.
    pub(super) fn guarded<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        // Where savepoints of one name are nested, the innermost is meant.
        self.db.prepare_cached("SAVEPOINT operation")?.execute([])?;
        let before = std::mem::take(&mut self.effects);
        let outcome = step(self).and_then(|done| {
            self.db.prepare_cached("RELEASE operation")?.execute([])?;
            Ok(done)
        });
        let own = std::mem::replace(&mut self.effects, before);
        match outcome {
            Ok(done) => {
                self.changed |= !own.tally.is_empty();
                for (key, change) in own.tally {
                    *self.effects.tally.entry(key).or_default() += change;
                }
                for (key, happened) in own.counters {
                    self.effects.counters.entry(key).or_default().add(&happened);
                }
                self.effects.signals.extend(own.signals);
                self.effects.ends.extend(own.ends);
                self.effects.consequences.add(own.consequences);
                Ok(done)
            }
            Err(fault) => {
                self.cache.clear();
                self.rules = None;
                // Where SQLite has rolled back the whole transaction, the savepoint is gone with it.
                let _ = self.db.execute_batch("ROLLBACK TO operation; RELEASE operation");
                Err(fault)
            }
        }
    }

    /// The limits. They are read once for a transaction.
    pub(super) fn rules(&mut self) -> Result<Rc<Rules>, Fault> {
        if let Some(rules) = &self.rules {
            return Ok(Rc::clone(rules));
        }
        let rules = Rc::new(Rules::read(self.db)?);
        self.rules = Some(Rc::clone(&rules));
        Ok(rules)
    }

    /// The limits are not what they were.
    pub(super) fn forget_rules(&mut self) {
        self.rules = None;
    }

    /// Whether what follows from steps is left to the promotions.
    pub(super) fn leaves_consequences(&self) -> bool {
        self.cache.leaves_consequences
    }

    /// From now on what follows from steps is left to the promotions, which know their way past damaged pages.
    pub(super) fn leave_consequences(&mut self) {
        self.cache.leaves_consequences = true;
    }

    /// The last line of a limit that was looked at although it had no room.
    pub(super) fn last_line(&self) -> &str {
        &self.cache.last_line
    }

    pub(super) fn set_last_line(&mut self, line: String) {
        self.cache.last_line = line;
    }

    /// Whether the table of tallies lags behind the jobs, because this transaction has not written it yet.
    pub(super) fn has_changes(&self) -> bool {
        self.changed || !self.effects.tally.is_empty()
    }

    pub(super) fn count(&mut self, queue: i64, handler: i64, state: State, change: i64) {
        *self.effects.tally.entry((queue, handler, state)).or_default() += change;
    }

    /// What has happened to a handler's jobs in the present minute, to be added to.
    pub(super) fn happened(&mut self, handler: i64) -> &mut Happened {
        let minute = Grain::Minute.start_of(self.now);
        self.effects.counters.entry((minute, handler)).or_default()
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        self.effects.signals.push(signal);
    }

    /// A number for a job that was made at an instant, after all others of its millisecond.
    pub(super) fn next_number(&mut self, made_at: Timestamp) -> Result<i64, Fault> {
        let next = match self.last_number {
            Some((at, last)) if at == made_at => last + 1,
            _ => number::next(self.db, made_at)?,
        };
        self.last_number = Some((made_at, next));
        Ok(next)
    }

    /// The number of a queue, which is made known where it is not.
    pub(super) fn queue(&mut self, name: &QueueName) -> Result<i64, Fault> {
        if let Some(n) = self.cache.queues.get(name) {
            return Ok(*n);
        }
        self.db
            .prepare_cached("INSERT INTO queues (name) VALUES (?1) ON CONFLICT DO NOTHING")?
            .execute([name.as_str()])?;
        let n = self
            .db
            .prepare_cached("SELECT n FROM queues WHERE name = ?1")?
            .query_row([name.as_str()], |row| row.get(0))?;
        self.cache.queues.insert(name.clone(), n);
        Ok(n)
    }

    /// The number of a handler, which is made known where it is not.
    pub(super) fn handler(&mut self, path: &HandlerPath) -> Result<i64, Fault> {
        if let Some(n) = self.cache.handlers.get(path) {
            return Ok(*n);
        }
        let names = (path.module.as_str(), path.handler.as_str());
        self.db
            .prepare_cached("INSERT INTO handlers (module, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(names)?;
        let n = self
            .db
            .prepare_cached("SELECT n FROM handlers WHERE module = ?1 AND name = ?2")?
            .query_row(names, |row| row.get(0))?;
        self.cache.handlers.insert(path.clone(), n);
        Ok(n)
    }

    /// The number of a server that is or was known.
    pub(super) fn server(&mut self, id: ServerId) -> Result<Option<i64>, Fault> {
        if let Some(n) = self.cache.servers.get(&id) {
            return Ok(Some(*n));
        }
        let n = self
            .db
            .prepare_cached("SELECT n FROM servers WHERE id = ?1")?
            .query_row([id.0.as_bytes()], |row| row.get(0))
            .optional()?;
        if let Some(n) = n {
            self.cache.servers.insert(id, n);
        }
        Ok(n)
    }

    pub(super) fn queue_name(&mut self, n: i64) -> Result<QueueName, Fault> {
        if let Some(name) = self.cache.queue_names.get(&n) {
            return Ok(name.clone());
        }
        let name = self
            .db
            .prepare_cached("SELECT name FROM queues WHERE n = ?1")?
            .query_row([n], |row| row.get::<_, String>(0))?;
        let name = name.parse::<QueueName>().map_err(|error| Fault::damaged("a queue", error))?;
        self.cache.queue_names.insert(n, name.clone());
        Ok(name)
    }

    pub(super) fn handler_path(&mut self, n: i64) -> Result<HandlerPath, Fault> {
        if let Some(path) = self.cache.handler_paths.get(&n) {
            return Ok(path.clone());
        }
        let path = self
            .db
            .prepare_cached("SELECT module || '/' || name FROM handlers WHERE n = ?1")?
            .query_row([n], |row| row.get::<_, String>(0))?;
        let path = path.parse::<HandlerPath>().map_err(|error| Fault::damaged("a handler", error))?;
        self.cache.handler_paths.insert(n, path.clone());
        Ok(path)
    }

    /// The digest of a version by its number.
    pub(super) fn digest(&mut self, n: i64) -> Result<Digest, Fault> {
        if let Some(digest) = self.cache.digests.get(&n) {
            return Ok(*digest);
        }
        let bytes = self
            .db
            .prepare_cached("SELECT digest FROM versions WHERE n = ?1")?
            .query_row([n], |row| row.get::<_, Vec<u8>>(0))?;
        let digest = words::digest(&bytes)?;
        self.cache.digests.insert(n, digest);
        Ok(digest)
    }
}
