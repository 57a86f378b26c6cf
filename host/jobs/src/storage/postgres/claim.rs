//! Handing jobs over to a server.

use std::collections::BTreeMap;

use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;
use windlass_api::{JobId, Json, Mode, RetryPolicy, Timestamp};

use super::{
    fault::Fault,
    tx::Tx,
    words::{Word, count, unsigned},
};
use crate::{Claimed, Fence, storage::ClaimRequest};

/// The most that the payloads and headers of one claim may take in bytes, except for a single job that takes more: so that
/// the answer never takes long to come, however many slots are free.
const MAX_BYTES: i64 = 8 * 1024 * 1024;

/// The whole of a claim.
///
/// `me` holds the server's row, so that a sweep that takes it for lost comes wholly before or wholly after.
///
/// Where all queues are asked for and none is paused, there is one line for each kind of slot. Otherwise `present` finds
/// the queues in which something waits by a step each, `lines` are those and the ones named, and of them only as many are
/// looked at as there are slots, those with the best heads. Where that is more than one, `heads` reads as much of each as
/// could be taken and sees how the slots fall to them; so `quota` says how many come from which line.
///
/// `picked` holds the first of each line that nobody else holds, `sized` says how much each and those before it carry, and
/// what is over the limit stays where it is.
const CLAIM: &str = "
WITH RECURSIVE t AS MATERIALIZED (SELECT @now AS now),
me AS MATERIALIZED (SELECT n FROM @servers WHERE id = $2 AND alive FOR KEY SHARE),
room (mode, free) AS MATERIALIZED (
    SELECT v.mode, v.free FROM me, (VALUES (0::smallint, $3::bigint), (1::smallint, $4::bigint)) AS v (mode, free)
    WHERE v.free > 0
),
as_one (yes) AS MATERIALIZED (
    SELECT $5::text[] IS NULL AND NOT EXISTS (SELECT 1 FROM @queues WHERE paused ORDER BY n LIMIT 1)
),
present (mode, free, queue) AS (
    SELECT r.mode, r.free,
        (SELECT l.queue FROM @live l WHERE l.state = 2 AND l.mode = r.mode ORDER BY l.queue LIMIT 1)
    FROM room r WHERE $5::text[] IS NULL AND NOT (SELECT yes FROM as_one)
    UNION ALL
    SELECT p.mode, p.free,
        (SELECT l.queue FROM @live l WHERE l.state = 2 AND l.mode = p.mode AND l.queue > p.queue
         ORDER BY l.queue LIMIT 1)
    FROM present p WHERE p.queue IS NOT NULL
),
open_lines (mode, free, queue, place) AS (
    SELECT p.mode, p.free, p.queue, 0::bigint FROM present p
    CROSS JOIN LATERAL (SELECT 1 FROM @queues WHERE n = p.queue AND NOT paused LIMIT 1) open
    UNION ALL
    SELECT r.mode, r.free, open.n, w.place FROM room r CROSS JOIN unnest($5::text[]) WITH ORDINALITY AS w (name, place)
    CROSS JOIN LATERAL (SELECT n FROM @queues WHERE name = w.name AND NOT paused LIMIT 1) open
),
lines (mode, free, queue, place) AS MATERIALIZED (
    SELECT mode, free, queue, place FROM (
        SELECT l.mode, l.free, l.queue, l.place,
            row_number() OVER (PARTITION BY l.mode ORDER BY l.place, h.priority, h.ready_at, h.seq) AS nth
        FROM open_lines l CROSS JOIN LATERAL (
            SELECT priority, ready_at, seq FROM @live WHERE state = 2 AND mode = l.mode AND queue = l.queue
            ORDER BY priority, ready_at, seq LIMIT 1) h) best
    WHERE nth <= free
),
heads AS MATERIALIZED (
    SELECT l.mode, l.free, l.queue, l.place, row_number() OVER (
        PARTITION BY l.mode ORDER BY l.place, h.priority, h.ready_at, h.seq) AS nth
    FROM lines l CROSS JOIN LATERAL (
        SELECT priority, ready_at, seq FROM @live WHERE state = 2 AND mode = l.mode AND queue = l.queue
        ORDER BY priority, ready_at, seq LIMIT l.free) h
    WHERE (SELECT count(*) FROM lines o WHERE o.mode = l.mode) > 1
),
quota (mode, queue, place, amount) AS MATERIALIZED (
    SELECT mode, queue, place, count(*) FROM heads WHERE nth <= free GROUP BY mode, queue, place
    UNION ALL
    SELECT l.mode, l.queue, l.place, l.free FROM lines l
    WHERE (SELECT count(*) FROM lines o WHERE o.mode = l.mode) = 1
),
picked AS MATERIALIZED (
    SELECT w.spot, w.seq, r.mode, 0::bigint AS place, w.priority, w.ready_at FROM room r CROSS JOIN LATERAL (
        SELECT ctid AS spot, seq, priority, ready_at FROM @live WHERE state = 2 AND mode = r.mode
        ORDER BY priority + 0, ready_at, seq LIMIT r.free FOR UPDATE SKIP LOCKED) w
    WHERE (SELECT yes FROM as_one)
    UNION ALL
    SELECT w.spot, w.seq, q.mode, q.place, w.priority, w.ready_at FROM quota q CROSS JOIN LATERAL (
        SELECT ctid AS spot, seq, priority, ready_at FROM @live WHERE state = 2 AND mode = q.mode AND queue = q.queue
        ORDER BY priority, ready_at, seq LIMIT q.amount FOR UPDATE SKIP LOCKED) w
),
sized AS MATERIALIZED (
    SELECT p.spot, sum(j.bytes) OVER line AS upto, row_number() OVER line AS nth
    FROM picked p LEFT JOIN LATERAL (
        SELECT octet_length(payload) + coalesce(octet_length(headers), 0) AS bytes FROM @jobs WHERE seq = p.seq LIMIT 1
    ) j ON true
    WINDOW line AS (ORDER BY p.mode, p.place, p.priority, p.ready_at, p.seq)
),
taken AS (
    UPDATE @live l SET state = 3, at = t.now, run = l.run + 1, attempt = l.attempt + 1, server = me.n,
        started_at = t.now, reason = NULL,
        version = coalesce(l.version, (
            SELECT m.active FROM (SELECT module FROM @handlers WHERE n = l.handler LIMIT 1) h
            CROSS JOIN LATERAL (SELECT active FROM @modules WHERE name = h.module LIMIT 1) m))
    FROM t, me
    WHERE l.ctid = ANY (ARRAY(SELECT spot FROM sized WHERE nth = 1 OR coalesce(upto, 0) <= $6))
    RETURNING l.id, l.seq, l.handler, l.queue, l.mode, l.priority, l.ready_at, l.run, l.attempt, l.version
),
counted AS (
    INSERT INTO @changes (queue, handler, at, enqueued, processing)
    SELECT queue, handler, t.now, -count(*), count(*) FROM taken, t GROUP BY queue, handler, t.now
)
SELECT k.id, k.handler, k.queue, k.mode, k.run, k.attempt, k.version, k.priority, k.ready_at, k.seq,
    j.max_attempts, j.created_at, j.timeout_ms, j.retry, j.headers, j.payload,
    (SELECT count(*) FROM sized WHERE nth > 1 AND upto > $6)
FROM taken k LEFT JOIN LATERAL (
    SELECT max_attempts, created_at, timeout_ms, retry, headers, payload FROM @jobs WHERE seq = k.seq LIMIT 1) j ON true";

/// What a claim gave.
pub(super) struct Catch {
    pub(super) claimed: Vec<Claimed>,
    /// Runs of jobs that cannot be read.
    pub(super) damaged: Vec<(Fence, String)>,
    /// Whether more would have been given, had there been room in the answer.
    pub(super) is_cut: bool,
}

/// Where a job stood: the place of its queue, then as it is taken.
type Standing = (usize, i16, i64, i64);

pub(super) async fn claim(tx: &mut Tx<'_>, request: &ClaimRequest) -> Result<Catch, Fault> {
    let mut catch = Catch { claimed: Vec::new(), damaged: Vec::new(), is_cut: false };
    if request.sync_free == 0 && request.async_free == 0 {
        return Ok(catch);
    }
    let mut names = Vec::<&str>::new();
    for queue in &request.queues {
        if !names.contains(&queue.as_str()) {
            names.push(queue.as_str());
        }
    }
    let query = tx
        .query(CLAIM)
        .bind(tx.instant())
        .bind(request.server.0)
        .bind(i64::from(request.sync_free))
        .bind(i64::from(request.async_free))
        .bind((!names.is_empty()).then(|| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()))
        .bind(MAX_BYTES);
    let rows = tx.all(query).await?;
    let mut places = BTreeMap::<i32, usize>::new();
    let mut standing = Vec::<(Mode, Standing, Claimed)>::with_capacity(rows.len());
    for row in &rows {
        let fence =
            Fence { job: JobId(row.try_get::<Uuid, _>(0)?), run: count(row.try_get(4)?), server: request.server };
        let number = row.try_get::<i32, _>(2)?;
        catch.is_cut |= row.try_get::<i64, _>(16)? > 0;
        match read(tx, row, fence).await {
            Ok(job) => {
                let place = *places
                    .entry(number)
                    .or_insert_with(|| names.iter().position(|name| *name == job.queue.as_str()).unwrap_or_default());
                let stood = (place, row.try_get(7)?, row.try_get(8)?, row.try_get(9)?);
                standing.push((job.mode, stood, job));
            }
            Err(Fault::Damaged(why)) => catch.damaged.push((fence, why)),
            Err(fault) => return Err(fault),
        }
    }
    standing.sort_unstable_by_key(|(mode, stood, _)| (*mode, *stood));
    catch.claimed = standing.into_iter().map(|(_, _, job)| job).collect();
    Ok(catch)
}

async fn read(tx: &mut Tx<'_>, row: &PgRow, fence: Fence) -> Result<Claimed, Fault> {
    let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("job {}", fence.job), why);
    let path = tx.handler_path(row.try_get(1)?).await?;
    let queue = tx.queue_name(row.try_get(2)?).await?;
    let version = match row.try_get::<Option<i32>, _>(6)? {
        Some(n) => Some(tx.digest(n).await?),
        None => None,
    };
    let max_attempts = row.try_get::<Option<i64>, _>(10)?.ok_or_else(|| damaged(&"its payload is not there"))?;
    let retry = row.try_get::<Option<&str>, _>(13)?.map(serde_json::from_str::<RetryPolicy>).transpose();
    let headers = row.try_get::<Option<&str>, _>(14)?.map(serde_json::from_str::<BTreeMap<_, _>>).transpose();
    Ok(Claimed {
        fence,
        module: path.module,
        handler: path.handler,
        mode: Mode::from_number(row.try_get(3)?)?,
        queue,
        version,
        payload: serde_json::from_str::<Json>(row.try_get(15)?).map_err(|error| damaged(&error))?,
        headers: headers.map_err(|error| damaged(&error))?.unwrap_or_default(),
        attempt: count(row.try_get(5)?),
        max_attempts: count(max_attempts),
        retry: retry.map_err(|error| damaged(&error))?.unwrap_or_default(),
        timeout_ms: row.try_get::<Option<i64>, _>(12)?.map(unsigned),
        created_at: Timestamp(row.try_get(11)?),
    })
}
