//! Handing jobs over where there are limits: in rounds, each of which looks at the first jobs of the lines, takes those for which
//! there is room, and puts the others into the lines of what is full.

use std::collections::HashMap;

use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;
use windlass_api::{Mode, Timestamp};

use super::{
    claim::{Catch, hand_over, handed, named, picking, version_of_job},
    claims::UnderWay,
    expiry,
    fault::Fault,
    rooms,
    rules::{Line, Rules},
    tx::Tx,
    words::{Word, amount},
};
use crate::storage::{ClaimRequest, PARKED_PER_CLAIM};

/// How many jobs a round looks at, at least, once the first has met something that is full.
const ROUND: usize = 250;

/// How many rounds a claim has at most: whoever holds what others look for at the same time must not go on for ever.
const MOST_ROUNDS: usize = 50;

/// The jobs that a round looks at, as the one statement of a claim without limits finds them.
const LOOK: &str = concat!(
    picking!("", ""),
    "
SELECT p.id, p.mode, p.expires_at, (SELECT name FROM @queues WHERE n = p.queue),
    (SELECT module || '/' || name FROM @handlers WHERE n = p.handler),
    CASE WHEN p.traits & 4 <> 0 THEN (SELECT limit_key FROM @conditions WHERE seq = p.seq) END,
    (SELECT octet_length(payload) + coalesce(octet_length(headers), 0) FROM @jobs WHERE seq = p.seq), t.now
FROM picked p, t ORDER BY p.mode, p.place, p.priority, p.ready_at, p.seq"
);

/// Takes jobs, which must be held, with their places. The step began before it waited for the limits, so a job may have been made, or
/// have come to its line, after that: its run begins no earlier.
const TAKE: &str = concat!(
    "
WITH t AS MATERIALIZED (SELECT @now AS now),
me AS MATERIALIZED (SELECT n FROM @servers WHERE id = $2 AND alive),
taken AS (
    UPDATE @live l SET state = 3, at = greatest(t.now, l.at), run = l.run + 1, attempt = l.attempt + 1, server = me.n,
        started_at = greatest(t.now, l.at), reason = NULL, token = $3, expires_at = NULL,
        places = nullif(array_remove(ARRAY[w.first, w.second, w.third], NULL), '{}'),
        version = ",
    version_of_job!(),
    "
    FROM t, me, unnest($4::uuid[], $5::integer[], $6::integer[], $7::integer[]) AS w (id, first, second, third)
    WHERE l.id = w.id
    RETURNING l.id, l.seq, l.handler, l.queue, l.mode, l.priority, l.ready_at, l.run, l.attempt, l.version, l.traits
),
counted AS (
    INSERT INTO @changes (queue, handler, at, enqueued, processing)
    SELECT queue, handler, t.now, -count(*), count(*) FROM taken, t GROUP BY queue, handler, t.now
)
",
    handed!("0::bigint", "taken k")
);

/// A job that a round looks at.
struct Candidate {
    id: Uuid,
    mode: Mode,
    has_expired: bool,
    bytes: i64,
    /// What it is under, in the order in which that is looked at.
    things: Vec<String>,
}

/// What a claim has done so far.
struct Tally {
    free: HashMap<Mode, usize>,
    bytes: i64,
    parked: usize,
    /// Whether there was no room in the answer for the next one.
    is_full: bool,
    /// Whether something was met whose time is over.
    has_expired: bool,
    is_locked: bool,
    lines: HashMap<String, Line>,
}

/// What a round decided.
#[derive(Default)]
struct Round {
    taken: Vec<(Uuid, Vec<i32>)>,
    parked: Vec<(Uuid, i32)>,
    /// The other lines that these are under.
    elsewhere: Vec<i32>,
}

/// The same as a claim where there are limits; nothing where there are none.
pub(super) async fn claim(
    tx: &mut Tx<'_>,
    request: &ClaimRequest,
    under_way: &UnderWay<'_>,
) -> Result<Option<Catch>, Fault> {
    // Whoever puts a limit waits for this claim, and this claim for him.
    let query = tx.query("LOCK TABLE @limits IN ROW SHARE MODE");
    tx.run(query).await?;
    let rules = Rules::read(tx).await?;
    if rules.is_empty() {
        return Ok(None);
    }
    let free = [(Mode::Sync, request.sync_free), (Mode::Async, request.async_free)];
    let mut tally = Tally {
        free: free.into_iter().map(|(mode, free)| (mode, usize::try_from(free).unwrap_or(usize::MAX))).collect(),
        bytes: 0,
        parked: 0,
        is_full: false,
        has_expired: false,
        is_locked: false,
        lines: HashMap::new(),
    };
    let mut catch = Catch::default();
    let (mut extra, mut rounds) = (0, 0);
    loop {
        rounds += 1;
        let (candidates, is_last) = look(tx, request, &tally, &rules, extra).await?;
        open(tx, &mut tally, &candidates).await?;
        let round = decide(&mut tally, &candidates, &rules, tx.now(), !catch.claimed.is_empty());
        park(tx, &round.parked).await?;
        if !round.elsewhere.is_empty() {
            rooms::end_rest(tx, &round.elsewhere).await?;
        }
        if !round.taken.is_empty() {
            let caught = take(tx, request, under_way, &round.taken).await?;
            catch.claimed.extend(caught.claimed);
            catch.damaged.extend(caught.damaged);
        }
        let has_room = tally.free.values().any(|free| *free > 0);
        if tally.is_full || tally.parked >= PARKED_PER_CLAIM || rounds == MOST_ROUNDS {
            catch.is_cut = true;
            break;
        }
        if is_last || !has_room {
            break;
        }
        extra = ROUND;
        if tally.has_expired {
            // They would be met again and again.
            expiry::expire(tx, expiry::AT_ONCE).await?;
            tally.has_expired = false;
        }
    }
    if tally.has_expired {
        expiry::expire(tx, expiry::AT_ONCE).await?;
    }
    rooms::keep(tx, &tally.lines, &rules).await?;
    Ok(Some(catch))
}

/// The first jobs of the lines, and whether there are no others.
async fn look(
    tx: &mut Tx<'_>,
    request: &ClaimRequest,
    tally: &Tally,
    rules: &Rules,
    extra: usize,
) -> Result<(Vec<Candidate>, bool), Fault> {
    let names = named(request);
    let wanted = |mode: Mode| match tally.free.get(&mode).copied().unwrap_or(0) {
        0 => 0,
        free => amount(free.max(extra)),
    };
    let (sync, asynchronous) = (wanted(Mode::Sync), wanted(Mode::Async));
    let query = tx
        .query(LOOK)
        .bind(tx.instant())
        .bind(request.server.0)
        .bind(sync)
        .bind(asynchronous)
        .bind((!names.is_empty()).then(|| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()));
    let rows = tx.all(query).await?;
    let candidates = rows.iter().map(|row| candidate(row, rules)).collect::<Result<Vec<_>, _>>()?;
    let found = |mode: Mode| amount(candidates.iter().filter(|candidate| candidate.mode == mode).count());
    let is_last = found(Mode::Sync) < sync.max(1) && found(Mode::Async) < asynchronous.max(1);
    Ok((candidates, is_last))
}

fn candidate(row: &PgRow, rules: &Rules) -> Result<Candidate, Fault> {
    // What has no name is under no limit; it is set aside once it is taken.
    let name = |at: usize| row.try_get::<Option<&str>, _>(at).map(Option::unwrap_or_default);
    let expires_at = row.try_get::<Option<i64>, _>(2)?;
    let now = row.try_get::<i64, _>(7)?;
    Ok(Candidate {
        id: row.try_get(0)?,
        mode: Mode::from_number(row.try_get(1)?)?,
        has_expired: expires_at.is_some_and(|at| at <= now),
        bytes: row.try_get::<Option<i32>, _>(6)?.map_or(0, i64::from),
        things: rules.things(name(3)?, name(4)?, row.try_get::<Option<&str>, _>(5)?),
    })
}

/// Sees that the lines of what candidates are under are known, and that nobody else counts in them.
async fn open(tx: &mut Tx<'_>, tally: &mut Tally, candidates: &[Candidate]) -> Result<(), Fault> {
    let things = candidates.iter().flat_map(|candidate| &candidate.things);
    let mut unknown = things.filter(|thing| !tally.lines.contains_key(*thing)).cloned().collect::<Vec<_>>();
    if unknown.is_empty() {
        return Ok(());
    }
    unknown.sort_unstable();
    unknown.dedup();
    if !tally.is_locked {
        rooms::lock(tx).await?;
        tally.is_locked = true;
    }
    tally.lines.extend(rooms::lines(tx, &unknown).await?);
    Ok(())
}

fn decide(tally: &mut Tally, candidates: &[Candidate], rules: &Rules, now: Timestamp, has_some: bool) -> Round {
    let mut round = Round::default();
    for candidate in candidates {
        let Some(free) = tally.free.get_mut(&candidate.mode).filter(|free| **free > 0) else { continue };
        if candidate.has_expired {
            tally.has_expired = true;
            continue;
        }
        let lines = &tally.lines;
        let full = candidate.things.iter().find_map(|thing| {
            let (line, (_, rule)) = (lines.get(thing)?, rules.of(thing)?);
            (line.room(&rule, now) == 0).then_some(line.n)
        });
        if let Some(line) = full {
            if tally.parked < PARKED_PER_CLAIM {
                tally.parked += 1;
                round.parked.push((candidate.id, line));
                let others = candidate.things.iter().filter_map(|thing| lines.get(thing)).map(|line| line.n);
                round.elsewhere.extend(others.filter(|other| *other != line));
            }
            continue;
        }
        let is_first = round.taken.is_empty() && !has_some;
        if !is_first && tally.bytes.saturating_add(candidate.bytes) > super::claim::MAX_BYTES {
            tally.is_full = true;
            return round;
        }
        *free -= 1;
        tally.bytes = tally.bytes.saturating_add(candidate.bytes);
        let mut places = Vec::new();
        for thing in &candidate.things {
            let (Some(line), Some((_, rule))) = (tally.lines.get_mut(thing), rules.of(thing)) else { continue };
            line.take(&rule, now);
            places.push(line.n);
        }
        round.taken.push((candidate.id, places));
    }
    round
}

async fn park(tx: &mut Tx<'_>, parked: &[(Uuid, i32)]) -> Result<(), Fault> {
    if parked.is_empty() {
        return Ok(());
    }
    let query = tx
        .query(
            "UPDATE @live l SET held = p.line FROM unnest($1::uuid[], $2::integer[]) AS p (id, line) WHERE l.id = p.id",
        )
        .bind(parked.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind(parked.iter().map(|(_, line)| *line).collect::<Vec<_>>());
    tx.run(query).await?;
    Ok(())
}

async fn take(
    tx: &mut Tx<'_>,
    request: &ClaimRequest,
    under_way: &UnderWay<'_>,
    taken: &[(Uuid, Vec<i32>)],
) -> Result<Catch, Fault> {
    let place = |at: usize| taken.iter().map(|(_, places)| places.get(at).copied()).collect::<Vec<_>>();
    let query = tx
        .query(TAKE)
        .bind(tx.instant())
        .bind(request.server.0)
        .bind(under_way.token)
        .bind(taken.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind(place(0))
        .bind(place(1))
        .bind(place(2));
    hand_over(tx, query, request, under_way).await
}
