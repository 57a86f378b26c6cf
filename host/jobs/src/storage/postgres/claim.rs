//! Handing jobs over to a server.

use std::collections::BTreeMap;

use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;
use windlass_api::{HandlerPath, InvalidName, JobId, Json, Mode, RetryPolicy, Timestamp};

use super::{
    claims::UnderWay,
    fault::Fault,
    tx::{Statement, Tx},
    words::{self, Word, count, unsigned},
};
use crate::{
    Claimed, Fence,
    storage::{ClaimRequest, StorageError},
};

/// The most that the payloads and headers of one claim may take in bytes, except for a single job that takes more: so that
/// the answer never takes long to come, however many slots are free.
pub(super) const MAX_BYTES: i64 = 8 * 1024 * 1024;

/// What is handed over, in the order of [`read`], and beside it how many there were for which there was no room. Names come
/// with it: nothing is left to be asked for once the claim has taken effect.
macro_rules! handed {
    ($others:literal, $from:literal) => {
        concat!(
            "SELECT k.id, (SELECT module || '/' || name FROM @handlers WHERE n = k.handler),
                 (SELECT name FROM @queues WHERE n = k.queue), k.mode, k.run, k.attempt,
                 k.version, (SELECT digest FROM @versions WHERE n = k.version), k.priority, k.ready_at, k.seq, ",
            $others,
            ", j.max_attempts, j.created_at, j.timeout_ms, j.retry, j.headers, j.payload,
                 CASE WHEN k.traits & 2 <> 0 THEN
                     ARRAY(SELECT parent_id FROM @edges WHERE child = k.seq ORDER BY place) END FROM ",
            $from,
            " LEFT JOIN LATERAL (
                 SELECT max_attempts, created_at, timeout_ms, retry, headers, payload FROM @jobs WHERE seq = k.seq LIMIT 1)
                 j ON true"
        )
    };
}
pub(super) use handed;

/// The version that a job of `@live l` runs on: the one that it is pinned to, the canary where that has its handler and the job
/// falls to it as [`windlass_api::falls_to_canary`] says, or the active one.
macro_rules! version_of_job {
    () => {
        "coalesce(l.version, (
            SELECT CASE WHEN h.canary_percent IS NULL THEN m.active
                WHEN ('x0' || right(l.id::text, 8))::bit(36)::bigint % 100 < h.canary_percent THEN h.canary
                ELSE m.active END
            FROM (SELECT module, canary, canary_percent FROM @handlers WHERE n = l.handler LIMIT 1) h
            LEFT JOIN LATERAL (SELECT active FROM @modules WHERE name = h.module LIMIT 1) m ON true))"
    };
}
pub(super) use version_of_job;

/// Finds the first jobs of the lines that nobody else holds, and holds them: `picked`.
///
/// `me` holds the server's row, so that a sweep that takes it for lost comes wholly before or wholly after.
///
/// Where all queues are asked for and none is paused, there is one line for each kind of slot. Otherwise `present` finds
/// the queues in which something waits by a step each, `lines` are those and the ones named, and of them only as many are
/// looked at as there are slots, those with the best heads. Where that is more than one, `heads` reads as much of each as
/// could be taken and sees how the slots fall to them; so `quota` says how many come from which line.
///
/// `$first` is what is looked at before, and `$only` what else must hold so that something is handed over.
macro_rules! picking {
    ($first:literal, $only:literal) => {
        concat!(
            "
WITH RECURSIVE t AS MATERIALIZED (SELECT @now AS now),
",
            $first,
            "
me AS MATERIALIZED (SELECT n FROM @servers WHERE id = $2 AND alive ",
            $only,
            " FOR KEY SHARE),
room (mode, free) AS MATERIALIZED (
    SELECT v.mode, v.free FROM me, (VALUES (0::smallint, $3::bigint), (1::smallint, $4::bigint)) AS v (mode, free)
    WHERE v.free > 0
),
as_one (yes) AS MATERIALIZED (
    SELECT $5::text[] IS NULL AND NOT EXISTS (SELECT 1 FROM @queues WHERE paused ORDER BY n LIMIT 1)
),
present (mode, free, queue) AS (
    SELECT r.mode, r.free,
        (SELECT l.queue FROM @live l WHERE l.state = 2 AND l.held IS NULL AND l.mode = r.mode
         ORDER BY l.queue LIMIT 1)
    FROM room r WHERE $5::text[] IS NULL AND NOT (SELECT yes FROM as_one)
    UNION ALL
    SELECT p.mode, p.free,
        (SELECT l.queue FROM @live l WHERE l.state = 2 AND l.held IS NULL AND l.mode = p.mode AND l.queue > p.queue
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
            SELECT priority, ready_at, seq FROM @live WHERE state = 2 AND held IS NULL AND mode = l.mode AND queue = l.queue
            ORDER BY priority, ready_at, seq LIMIT 1) h) best
    WHERE nth <= free
),
heads AS MATERIALIZED (
    SELECT l.mode, l.free, l.queue, l.place, row_number() OVER (
        PARTITION BY l.mode ORDER BY l.place, h.priority, h.ready_at, h.seq) AS nth
    FROM lines l CROSS JOIN LATERAL (
        SELECT priority, ready_at, seq FROM @live WHERE state = 2 AND held IS NULL AND mode = l.mode AND queue = l.queue
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
    SELECT w.*, 0::bigint AS place FROM room r CROSS JOIN LATERAL (
        SELECT ctid AS spot, id, seq, handler, queue, mode, priority, ready_at, expires_at, traits FROM @live
        WHERE state = 2 AND held IS NULL AND mode = r.mode
        ORDER BY priority + 0, ready_at, seq LIMIT r.free FOR UPDATE SKIP LOCKED) w
    WHERE (SELECT yes FROM as_one)
    UNION ALL
    SELECT w.*, q.place FROM quota q CROSS JOIN LATERAL (
        SELECT ctid AS spot, id, seq, handler, queue, mode, priority, ready_at, expires_at, traits FROM @live
        WHERE state = 2 AND held IS NULL AND mode = q.mode AND queue = q.queue
        ORDER BY priority, ready_at, seq LIMIT q.amount FOR UPDATE SKIP LOCKED) w
)"
        )
    };
}
pub(super) use picking;

/// The whole of a claim where there are no limits; where there are, a line without a job says so, and nothing is handed over.
/// Another such line says that there was one whose time is over. The look at the limits keeps whoever puts one from doing so
/// before this is done.
///
/// `sized` says how much each and those before it carry, and what is over the limit stays where it is.
const CLAIM: &str = concat!(
    picking!(
        "limited AS MATERIALIZED (SELECT 1 FROM @limits LIMIT 1 FOR KEY SHARE),",
        "AND NOT EXISTS (SELECT 1 FROM limited)"
    ),
    ",
sized AS MATERIALIZED (
    SELECT p.spot, sum(j.bytes) OVER line AS upto, row_number() OVER line AS nth
    FROM picked p LEFT JOIN LATERAL (
        SELECT octet_length(payload) + coalesce(octet_length(headers), 0) AS bytes FROM @jobs WHERE seq = p.seq LIMIT 1
    ) j ON true
    WHERE p.expires_at IS NULL OR p.expires_at > (SELECT now FROM t)
    WINDOW line AS (ORDER BY p.mode, p.place, p.priority, p.ready_at, p.seq)
),
taken AS (
    UPDATE @live l SET state = 3, at = t.now, run = l.run + 1, attempt = l.attempt + 1, server = me.n,
        started_at = t.now, reason = NULL, token = $7, expires_at = NULL,
        version = ",
    version_of_job!(),
    "
    FROM t, me
    WHERE l.ctid = ANY (ARRAY(SELECT spot FROM sized WHERE nth = 1 OR coalesce(upto, 0) <= $6))
    RETURNING l.id, l.seq, l.handler, l.queue, l.mode, l.priority, l.ready_at, l.run, l.attempt, l.version, l.traits
),
counted AS (
    INSERT INTO @changes (queue, handler, at, enqueued, processing)
    SELECT queue, handler, t.now, -count(*), count(*) FROM taken, t GROUP BY queue, handler, t.now
)
",
    handed!("(SELECT count(*) FROM sized WHERE nth > 1 AND upto > $6)", "taken k"),
    "
UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, -1, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL FROM limited
UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, -2, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL FROM t WHERE EXISTS (SELECT 1 FROM picked WHERE expires_at <= t.now)"
);

/// What stands for the number of others in a line without a job: there are limits, or there was one whose time is over.
const LIMITED: i64 = -1;
const EXPIRED: i64 = -2;

/// Jobs that this server was given by claims whose answers were lost are handed over: as they were, but with this claim's
/// token, so that it happens once. What there is no slot for, or no room in the answer, is counted and left.
const TAKE_UP: &str = concat!(
    "
WITH me AS MATERIALIZED (SELECT n FROM @servers WHERE id = $1 AND alive FOR KEY SHARE),
held AS MATERIALIZED (
    SELECT l.* FROM me CROSS JOIN LATERAL (
        SELECT ctid AS spot, seq, mode, priority, ready_at FROM @live
        WHERE state = 3 AND server = me.n AND token = ANY ($2::bigint[]) FOR UPDATE) l
),
placed AS MATERIALIZED (
    SELECT h.*, row_number() OVER (PARTITION BY h.mode ORDER BY h.priority, h.ready_at, h.seq) AS place FROM held h
),
sized AS MATERIALIZED (
    SELECT p.spot, sum(j.bytes) OVER line AS upto, row_number() OVER line AS nth
    FROM placed p LEFT JOIN LATERAL (
        SELECT octet_length(payload) + coalesce(octet_length(headers), 0) AS bytes FROM @jobs WHERE seq = p.seq LIMIT 1
    ) j ON true
    WHERE p.place <= CASE p.mode WHEN 0 THEN $3::bigint ELSE $4::bigint END
    WINDOW line AS (ORDER BY p.mode, p.priority, p.ready_at, p.seq)
),
taken AS (
    UPDATE @live l SET token = $6
    WHERE l.ctid = ANY (ARRAY(SELECT spot FROM sized WHERE nth = 1 OR coalesce(upto, 0) <= $5))
    RETURNING l.id, l.seq, l.handler, l.queue, l.mode, l.priority, l.ready_at, l.run, l.attempt, l.version, l.traits
)
",
    handed!(
        "c.others",
        "(SELECT (SELECT count(*) FROM held) - (SELECT count(*) FROM taken) AS others) c LEFT JOIN taken k ON true"
    )
);

const _: () = assert!(Mode::ALL.len() == 2, "the statements above name each mode");

/// What a claim gave.
#[derive(Default)]
pub(super) struct Catch {
    pub(super) claimed: Vec<Claimed>,
    /// Runs of jobs that cannot be read.
    pub(super) damaged: Vec<(Fence, String)>,
    /// Whether more would have been given, had there been room for it.
    pub(super) is_cut: bool,
    /// Whether nothing was given because there are limits.
    pub(super) is_limited: bool,
    /// Whether there were jobs whose time is over.
    pub(super) has_expired: bool,
}

/// Where a job stood: the place of its queue, then as it is taken.
type Standing = (usize, i16, i64, i64);

pub(super) async fn claim(tx: &mut Tx<'_>, request: &ClaimRequest, under_way: &UnderWay<'_>) -> Result<Catch, Fault> {
    let names = named(request);
    let query = tx
        .query(CLAIM)
        .bind(tx.instant())
        .bind(request.server.0)
        .bind(i64::from(request.sync_free))
        .bind(i64::from(request.async_free))
        .bind((!names.is_empty()).then(|| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()))
        .bind(MAX_BYTES)
        .bind(under_way.token);
    hand_over(tx, query, request, under_way).await
}

/// Hands over what earlier claims took whose answers were lost.
pub(super) async fn take_up(
    tx: &mut Tx<'_>,
    request: &ClaimRequest,
    lost: &[i64],
    under_way: &UnderWay<'_>,
) -> Result<Catch, Fault> {
    let query = tx
        .query(TAKE_UP)
        .bind(request.server.0)
        .bind(lost.to_vec())
        .bind(i64::from(request.sync_free))
        .bind(i64::from(request.async_free))
        .bind(MAX_BYTES)
        .bind(under_way.token);
    hand_over(tx, query, request, under_way).await
}

/// The queues asked for, each once.
pub(super) fn named(request: &ClaimRequest) -> Vec<&str> {
    let mut names = Vec::<&str>::new();
    for queue in &request.queues {
        if !names.contains(&queue.as_str()) {
            names.push(queue.as_str());
        }
    }
    names
}

pub(super) async fn hand_over(
    tx: &mut Tx<'_>,
    query: Statement<'static>,
    request: &ClaimRequest,
    under_way: &UnderWay<'_>,
) -> Result<Catch, Fault> {
    let names = named(request);
    under_way.is_sent();
    let rows = tx.all(query).await.inspect_err(|fault| {
        if fault.is_refusal() {
            under_way.is_over();
        }
    })?;
    let mut catch = Catch::default();
    let mut standing = Vec::<(Mode, Standing, Claimed)>::with_capacity(rows.len());
    for row in &rows {
        let others = row.try_get::<i64, _>(11)?;
        catch.is_cut |= others > 0;
        catch.is_limited |= others == LIMITED;
        catch.has_expired |= others == EXPIRED;
        let Some(id) = row.try_get::<Option<Uuid>, _>(0)? else { continue };
        let fence = Fence { job: JobId(id), run: count(row.try_get(4)?), server: request.server };
        match read(row, fence) {
            Ok(job) => {
                let place = names.iter().position(|name| *name == job.queue.as_str()).unwrap_or_default();
                let stood = (place, row.try_get(8)?, row.try_get(9)?, row.try_get(10)?);
                standing.push((job.mode, stood, job));
            }
            // The others must not be lost with it.
            Err(why) => catch.damaged.push((fence, why)),
        }
    }
    standing.sort_unstable_by_key(|(mode, stood, _)| (*mode, *stood));
    catch.claimed = standing.into_iter().map(|(_, _, job)| job).collect();
    Ok(catch)
}

fn read(row: &PgRow, fence: Fence) -> Result<Claimed, String> {
    read_known(row, fence).map_err(|fault| match fault {
        Fault::Damaged(why) => why,
        fault => format!("job {}: {}", fence.job, StorageError::from(fault)),
    })
}

fn read_known(row: &PgRow, fence: Fence) -> Result<Claimed, Fault> {
    let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("job {}", fence.job), why);
    let path = row.try_get::<Option<&str>, _>(1)?.ok_or_else(|| damaged(&"its handler is not there"))?;
    let path = path.parse::<HandlerPath>().map_err(|error| damaged(&error))?;
    let queue = row.try_get::<Option<&str>, _>(2)?.ok_or_else(|| damaged(&"its queue is not there"))?;
    let version = match (row.try_get::<Option<i32>, _>(6)?, row.try_get::<Option<&[u8]>, _>(7)?) {
        (None, _) => None,
        (Some(_), Some(digest)) => Some(words::digest(digest)?),
        (Some(_), None) => return Err(damaged(&"its version is not there")),
    };
    let max_attempts = row.try_get::<Option<i64>, _>(12)?.ok_or_else(|| damaged(&"its payload is not there"))?;
    let retry = row.try_get::<Option<&str>, _>(15)?.map(serde_json::from_str::<RetryPolicy>).transpose();
    let headers = row.try_get::<Option<&str>, _>(16)?.map(serde_json::from_str::<BTreeMap<_, _>>).transpose();
    Ok(Claimed {
        fence,
        module: path.module,
        handler: path.handler,
        mode: Mode::from_number(row.try_get(3)?)?,
        queue: queue.parse().map_err(|error: InvalidName| damaged(&error))?,
        version,
        payload: serde_json::from_str::<Json>(row.try_get(17)?).map_err(|error| damaged(&error))?,
        headers: headers.map_err(|error| damaged(&error))?.unwrap_or_default(),
        attempt: count(row.try_get(5)?),
        max_attempts: count(max_attempts),
        retry: retry.map_err(|error| damaged(&error))?.unwrap_or_default(),
        timeout_ms: row.try_get::<Option<i64>, _>(14)?.map(unsigned),
        created_at: Timestamp(row.try_get(13)?),
        parents: row
            .try_get::<Option<Vec<Uuid>>, _>(18)?
            .map(|parents| parents.into_iter().map(JobId).collect())
            .unwrap_or_default(),
    })
}
