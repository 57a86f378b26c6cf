//! New jobs.

use std::collections::{HashMap, HashSet};

use sqlx::Row;
use uuid::Uuid;
use windlass_api::{Enqueued, HandlerName, Json, Mode, ModuleName, QueueName, RetryPolicy, Timestamp};

use super::{
    fault::Fault,
    number::next_number,
    tx::{Statement, Tx},
    words::{Word, plain, signed},
};
use crate::{NewJob, Start};

/// Why a job waits for its handler.
pub(super) const HANDLER_MISSING: &str = "handler-missing";

/// Jobs are stored, stand in their lines and are counted, in one statement. The arrays are parallel; `start` is 0 for
/// now, 1 for after a delay, 2 for at an instant, and 3 for when the handler comes. The names that they use are given once
/// each (`$18` to `$20`), and jobs say which one by its place.
///
/// `known` are the numbers of those names, and how each handler runs in its module's active version. Where one is not known,
/// unless its number is given (`$21`, `$22`), nothing is stored and a line without a job says so. A version that is activated
/// meanwhile is not seen here: then a job waits for a handler that is there, and [`super::promote`] moves it.
const STORE: &str = concat!(
    "WITH t AS MATERIALIZED (SELECT @now AS now),
     named AS MATERIALIZED (
         SELECT g.place, coalesce(g.n, h.n, 0) AS n, coalesce(h.active_mode, -1::smallint) AS active_mode
         FROM unnest($18::text[], $19::text[], $21::integer[]) WITH ORDINALITY AS g (module, name, n, place)
         LEFT JOIN LATERAL (
             SELECT n, active_mode FROM @handlers WHERE module = g.module AND name = g.name LIMIT 1) h ON true
     ),
     numbers AS MATERIALIZED (
         SELECT ARRAY(SELECT n FROM named ORDER BY place) AS handlers,
             ARRAY(SELECT active_mode FROM named ORDER BY place) AS modes,
             ARRAY(SELECT coalesce(g.n, q.n, 0)
                 FROM unnest($20::text[], $22::integer[]) WITH ORDINALITY AS g (name, n, place)
                 LEFT JOIN LATERAL (SELECT n FROM @queues WHERE name = g.name LIMIT 1) q ON true ORDER BY g.place)
                 AS queues
     ),
     known AS MATERIALIZED (
         SELECT handlers, modes, queues, 0 = ANY (handlers) OR 0 = ANY (queues) AS lacks FROM numbers
     ),
     made AS (
         INSERT INTO @jobs (seq, id, handler, queue, mode, priority, born, max_attempts, created_at, start_at, timeout_ms,
             made_by, tags, retry, headers, payload)
         SELECT ",
    next_number!("t.now"),
    ", i.id, k.handlers[i.handler], k.queues[i.queue],
             CASE WHEN i.start = 3 AND k.modes[i.handler] >= 0 THEN k.modes[i.handler] ELSE i.mode END, i.priority,
             CASE WHEN i.start = 3 AND k.modes[i.handler] < 0 THEN 1 WHEN i.start = 1 AND i.value > 0 THEN 0
                 WHEN i.start = 2 AND i.value > t.now THEN 0 ELSE 2 END,
             i.max_attempts, t.now,
             CASE WHEN i.start = 1 THEN least(t.now + least(i.value, $17), $17)
                 WHEN i.start = 2 THEN greatest(i.value, t.now) ELSE t.now END,
             i.timeout_ms, i.made_by, i.tags, i.retry, i.headers, i.payload
         FROM t, known k, unnest($2::uuid[], $3::integer[], $4::integer[], $5::smallint[], $6::smallint[], $7::smallint[],
             $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
             AS i (id, handler, queue, mode, priority, start, value, max_attempts, timeout_ms, made_by, tags, retry,
             headers, payload)
         WHERE NOT k.lacks
         ON CONFLICT (id) DO NOTHING
         RETURNING seq, id, handler, queue, mode, priority, born, created_at, start_at
     ),
     standing AS (
         INSERT INTO @live (id, seq, handler, queue, mode, priority, state, attempt, run, losses, lines, at, ready_at,
             reason)
         SELECT id, seq, handler, queue, mode, priority, born, 0, 0, 0, 0, start_at, created_at,
             CASE WHEN born = 1 THEN $16 END FROM made
     ),
     counted AS (
         INSERT INTO @changes (queue, handler, at, scheduled, awaiting, enqueued, n_made)
         SELECT queue, handler, created_at, count(*) FILTER (WHERE born = 0), count(*) FILTER (WHERE born = 1),
             count(*) FILTER (WHERE born = 2), count(*) FROM made GROUP BY queue, handler, created_at
     )
     SELECT id, seq FROM made UNION ALL SELECT NULL, NULL FROM known WHERE lacks"
);

/// A job on its way in, and who made it.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub(super) job: &'a NewJob,
    pub(super) by: &'a str,
}

/// The names that jobs use, each once.
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    handlers: Vec<(&'a ModuleName, &'a HandlerName)>,
    queues: Vec<&'a QueueName>,
    handler_places: HashMap<(&'a ModuleName, &'a HandlerName), i32>,
    queue_places: HashMap<&'a QueueName, i32>,
}

/// Numbers of names, in their order, for a transaction that may not see those that have just been made known.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    handlers: Option<Vec<i32>>,
    queues: Option<Vec<i32>>,
}

/// Numbers of names, in their order, and how the handlers run in their modules' active versions.
#[derive(Debug, Default)]
pub(super) struct KnownNames {
    handlers: Vec<(i32, Option<Mode>)>,
    queues: Vec<i32>,
}

impl KnownNames {
    /// The number of a job's handler, and how it runs. The job must be one of those that the names are of.
    pub(super) fn handler(&self, names: &Names<'_>, job: &NewJob) -> (i32, Option<Mode>) {
        let place = names.handler_places.get(&(&job.module, &job.handler)).copied().unwrap_or(0);
        self.handlers.get(index(place)).copied().unwrap_or_default()
    }

    /// The number of a job's queue.
    pub(super) fn queue(&self, names: &Names<'_>, job: &NewJob) -> i32 {
        let place = names.queue_places.get(&job.queue).copied().unwrap_or(0);
        self.queues.get(index(place)).copied().unwrap_or_default()
    }
}

/// Where something stands whose place counts from 1.
fn index(place: i32) -> usize {
    usize::try_from(place).unwrap_or(0).wrapping_sub(1)
}

impl<'a> Names<'a> {
    /// What is known of the names; nothing where one is not known.
    pub(super) async fn known(&self, tx: &mut Tx<'_>) -> Result<Option<KnownNames>, Fault> {
        const KNOWN: &str = "
            SELECT ARRAY(SELECT h.n FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS g (module, name, place)
                CROSS JOIN LATERAL (SELECT n FROM @handlers WHERE module = g.module AND name = g.name LIMIT 1) h
                ORDER BY g.place),
            ARRAY(SELECT coalesce(h.active_mode, -1::smallint)
                FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS g (module, name, place)
                CROSS JOIN LATERAL (
                    SELECT active_mode FROM @handlers WHERE module = g.module AND name = g.name LIMIT 1) h
                ORDER BY g.place),
            ARRAY(SELECT q.n FROM unnest($3::text[]) WITH ORDINALITY AS g (name, place)
                CROSS JOIN LATERAL (SELECT n FROM @queues WHERE name = g.name LIMIT 1) q ORDER BY g.place)";
        let query = self.bind(tx.query(KNOWN));
        let row = tx.first(query).await?.ok_or(Fault::Again)?;
        let handlers = row.try_get::<Vec<i32>, _>(0)?.into_iter().zip(row.try_get::<Vec<i16>, _>(1)?);
        let handlers = handlers.map(|(n, mode)| (n, Mode::from_number(mode).ok())).collect::<Vec<_>>();
        let queues = row.try_get::<Vec<i32>, _>(2)?;
        let all = (handlers.len(), queues.len()) == (self.handlers.len(), self.queues.len());
        Ok(all.then_some(KnownNames { handlers, queues }))
    }

    /// The same, with those made known that are not.
    pub(super) async fn known_at_last(&self, tx: &mut Tx<'_>) -> Result<KnownNames, Fault> {
        if let Some(known) = self.known(tx).await? {
            return Ok(known);
        }
        self.make_known(tx).await?;
        self.known(tx).await?.ok_or(Fault::Again)
    }

    pub(super) fn of(jobs: impl IntoIterator<Item = &'a NewJob>) -> Self {
        let mut names = Self::default();
        // The first place is 1, as PostgreSQL counts.
        let place = |names: usize| i32::try_from(names).unwrap_or(i32::MAX);
        for job in jobs {
            let handler = (&job.module, &job.handler);
            names.handler_places.entry(handler).or_insert_with(|| {
                names.handlers.push(handler);
                place(names.handlers.len())
            });
            names.queue_places.entry(&job.queue).or_insert_with(|| {
                names.queues.push(&job.queue);
                place(names.queues.len())
            });
        }
        names
    }

    fn bind<'q>(&self, query: Statement<'q>) -> Statement<'q> {
        query
            .bind(self.handlers.iter().map(|(module, _)| module.as_str().to_owned()).collect::<Vec<_>>())
            .bind(self.handlers.iter().map(|(_, handler)| handler.as_str().to_owned()).collect::<Vec<_>>())
            .bind(self.queues.iter().map(|queue| queue.as_str().to_owned()).collect::<Vec<_>>())
    }

    /// Makes those known that are not. Always in the same order, so that no two steps wait for each other.
    pub(super) async fn make_known(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        const MAKE: &str = "
            WITH given AS MATERIALIZED (
                SELECT g.module, g.name FROM unnest($1::text[], $2::text[]) AS g (module, name)
                WHERE NOT EXISTS (SELECT 1 FROM @handlers h WHERE h.module = g.module AND h.name = g.name)),
            handlers AS (
                INSERT INTO @handlers (module, name) SELECT module, name FROM given ORDER BY module, name
                ON CONFLICT DO NOTHING)
            INSERT INTO @queues (name) SELECT q.name FROM unnest($3::text[]) AS q (name)
            WHERE NOT EXISTS (SELECT 1 FROM @queues o WHERE o.name = q.name) ORDER BY q.name ON CONFLICT DO NOTHING";
        let query = self.bind(tx.query(MAKE));
        tx.run(query).await?;
        Ok(())
    }

    /// The numbers of names that are known.
    pub(super) async fn numbers(&self, tx: &mut Tx<'_>) -> Result<Numbers, Fault> {
        const NUMBERS: &str = "
            SELECT ARRAY(SELECT h.n FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS g (module, name, place)
                CROSS JOIN LATERAL (SELECT n FROM @handlers WHERE module = g.module AND name = g.name LIMIT 1) h
                ORDER BY g.place),
            ARRAY(SELECT q.n FROM unnest($3::text[]) WITH ORDINALITY AS g (name, place)
                CROSS JOIN LATERAL (SELECT n FROM @queues WHERE name = g.name LIMIT 1) q ORDER BY g.place)";
        let query = self.bind(tx.query(NUMBERS));
        let row = tx.first(query).await?.ok_or(Fault::Again)?;
        let (handlers, queues) = (row.try_get::<Vec<i32>, _>(0)?, row.try_get::<Vec<i32>, _>(1)?);
        if (handlers.len(), queues.len()) != (self.handlers.len(), self.queues.len()) {
            return Err(Fault::Again);
        }
        Ok(Numbers { handlers: Some(handlers), queues: Some(queues) })
    }
}

/// Whether a job can be stored by the one statement.
pub(super) fn is_plain(job: &NewJob) -> bool {
    job.tags.is_empty()
}

/// Stores jobs, and gives for each whether it was there already.
pub(super) async fn enqueue(tx: &mut Tx<'_>, incoming: &[Incoming<'_>]) -> Result<Vec<Enqueued>, Fault> {
    if let Some(enqueued) = enqueue_known(tx, incoming, &Numbers::default()).await? {
        return Ok(enqueued);
    }
    Names::of(incoming.iter().map(|incoming| incoming.job)).make_known(tx).await?;
    enqueue_known(tx, incoming, &Numbers::default()).await?.ok_or(Fault::Again)
}

/// The same where all names are known; otherwise nothing is done and nothing is given.
pub(super) async fn enqueue_known(
    tx: &mut Tx<'_>,
    incoming: &[Incoming<'_>],
    numbers: &Numbers,
) -> Result<Option<Vec<Enqueued>>, Fault> {
    let mut seen = HashSet::new();
    let first = incoming.iter().filter(|incoming| seen.insert(incoming.job.id)).collect::<Vec<_>>();
    if first.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let names = Names::of(incoming.iter().map(|incoming| incoming.job));
    let Some(mut made) = store(tx, &first, &names, numbers).await? else { return Ok(None) };
    if !made.is_empty() {
        tx.told.work = true;
    }
    store_tags(tx, &first, &made).await?;
    // Of twins, the first one is the new one.
    let told = |incoming: &Incoming<'_>| Enqueued {
        id: incoming.job.id,
        existing: made.remove(&incoming.job.id.0).is_none(),
        replaced: false,
    };
    Ok(Some(incoming.iter().map(told).collect()))
}

/// The numbers of the jobs that are new; nothing where a name is not known.
async fn store(
    tx: &mut Tx<'_>,
    incoming: &[&Incoming<'_>],
    names: &Names<'_>,
    numbers: &Numbers,
) -> Result<Option<HashMap<Uuid, i64>>, Fault> {
    let amount = incoming.len();
    let (mut starts, mut values) = (Vec::with_capacity(amount), Vec::with_capacity(amount));
    let (mut tags, mut retries, mut headers) = (Vec::new(), Vec::new(), Vec::new());
    for Incoming { job, .. } in incoming {
        let (start, value) = match job.start {
            Start::Now => (0_i16, 0),
            Start::After(delay_ms) => (1, signed(delay_ms)),
            Start::At(at) => (2, at.0),
            Start::WithHandler => (3, 0),
        };
        let text = |json: serde_json::Result<Json>| {
            json.map(|json| json.as_str().to_owned())
                .map_err(|error| Fault::damaged(format_args!("job {}", job.id), error))
        };
        starts.push(start);
        values.push(value);
        tags.push((!job.tags.is_empty()).then(|| text(Json::write(&job.tags))).transpose()?);
        retries.push((job.retry != RetryPolicy::default()).then(|| text(Json::write(&job.retry))).transpose()?);
        headers.push((!job.headers.is_empty()).then(|| text(Json::write(&job.headers))).transpose()?);
    }
    macro_rules! column {
        (|$job:ident| $value:expr) => {
            incoming.iter().map(|Incoming { job: $job, .. }| $value).collect::<Vec<_>>()
        };
    }
    let query = tx
        .query(STORE)
        .bind(tx.instant())
        .bind(column!(|job| job.id.0))
        .bind(column!(|job| names.handler_places.get(&(&job.module, &job.handler)).copied()))
        .bind(column!(|job| names.queue_places.get(&job.queue).copied()))
        .bind(column!(|job| job.mode.number()))
        .bind(column!(|job| i16::from(job.priority)))
        .bind(starts)
        .bind(values)
        .bind(column!(|job| i64::from(job.max_attempts.max(1))))
        .bind(column!(|job| job.timeout_ms.map(signed)))
        .bind(incoming.iter().map(|incoming| plain(incoming.by)).collect::<Vec<_>>())
        .bind(tags)
        .bind(retries)
        .bind(headers)
        .bind(column!(|job| job.payload.as_str()))
        .bind(HANDLER_MISSING)
        .bind(Timestamp::MAX.0);
    let query = names.bind(query).bind(numbers.handlers.clone()).bind(numbers.queues.clone());
    let mut made = HashMap::with_capacity(amount);
    for row in tx.all(query).await? {
        let Some(id) = row.try_get::<Option<Uuid>, _>(0)? else { return Ok(None) };
        made.insert(id, row.try_get(1)?);
    }
    Ok(Some(made))
}

pub(super) async fn store_tags(
    tx: &mut Tx<'_>,
    incoming: &[&Incoming<'_>],
    made: &HashMap<Uuid, i64>,
) -> Result<(), Fault> {
    let (mut seqs, mut tags) = (Vec::new(), Vec::new());
    for Incoming { job, .. } in incoming {
        let Some(seq) = made.get(&job.id.0) else { continue };
        for tag in &job.tags {
            seqs.push(*seq);
            tags.push(plain(tag));
        }
    }
    if seqs.is_empty() {
        return Ok(());
    }
    let query = tx
        .query("INSERT INTO @tags (tag, seq) SELECT * FROM unnest($1::text[], $2::bigint[]) ON CONFLICT DO NOTHING")
        .bind(tags)
        .bind(seqs);
    tx.run(query).await?;
    Ok(())
}
