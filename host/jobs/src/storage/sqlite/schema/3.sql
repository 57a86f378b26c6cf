-- What version 3 adds: jobs that continue others, unique ones, ones that expire, limits, the audit log, canaries, and
-- versions that are retired.

-- `ties` are bits: 1 others continue this job, 2 it continues others, 4 it is unique, 8 it has ended and is kept for an
-- unfinished job that continues it. `held` is the target of the limit in whose line it stands.
ALTER TABLE jobs ADD COLUMN ties INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN expires_at INTEGER;
ALTER TABLE jobs ADD COLUMN limit_key TEXT;
ALTER TABLE jobs ADD COLUMN held TEXT;

-- `ties` are in it so that it answers by itself, whatever is damaged among the jobs.
DROP INDEX jobs_ended;
CREATE INDEX jobs_ended ON jobs (state, at, ties) WHERE state >= 4 AND ties < 8;
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL;
-- Those that wait for their parents are awaiting too, and an activation must not look through them.
CREATE INDEX jobs_lacking ON jobs (handler) WHERE state = 1 AND reason = 'handler-missing';

-- Of a job that continues others or is unique. `start` says how it goes on when its parents are done.
CREATE TABLE conditions (
    seq INTEGER PRIMARY KEY,
    born_reason TEXT,
    continue_on INTEGER,
    start TEXT,
    unique_key BLOB,
    unique_rule TEXT
) STRICT;

-- A job and one that it continues. The parent stands by its id, since it may be gone before the child is.
CREATE TABLE edges (
    child INTEGER NOT NULL,
    position INTEGER NOT NULL,
    parent BLOB NOT NULL,
    met INTEGER NOT NULL,
    PRIMARY KEY (child, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX edges_by_parent ON edges (parent, child, met);

-- Jobs that ended, or were removed, and whose children do not all know it yet: `reached` is the last child that does, `until` the
-- last that there was then. Those that came later are judged when they are made.
CREATE TABLE ripples (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    parent BLOB NOT NULL,
    outcome INTEGER NOT NULL,
    until INTEGER NOT NULL,
    reached INTEGER NOT NULL DEFAULT -1
) STRICT;

-- The last job that was stored with a key.
CREATE TABLE unique_keys (
    key BLOB PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The number of a limit is never used again, since starts are counted under it.
CREATE TABLE limits (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    target TEXT NOT NULL UNIQUE,
    concurrency INTEGER,
    rate_count INTEGER,
    rate_period_ms INTEGER
) STRICT;

-- What runs and waits under a limit: of each queue and handler that has one, and of every key, each where there is any.
-- `room_at` is from when on there is room for jobs that wait; absent where none wait, or only the end of a run makes room.
CREATE TABLE limit_lines (
    target TEXT PRIMARY KEY,
    running INTEGER NOT NULL,
    held INTEGER NOT NULL,
    room_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX limit_lines_with_room ON limit_lines (room_at, target) WHERE room_at IS NOT NULL;
CREATE INDEX limit_lines_without_room ON limit_lines (target) WHERE held > 0 AND room_at IS NULL;

-- Limits on keys of a start that have changed, and whose lines do not all know it yet: those from `target` on and before `before`.
CREATE TABLE changed_keys (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    target TEXT NOT NULL,
    before TEXT NOT NULL
) STRICT;

-- The jobs that wait at a limit, in the order in which they go back to their own lines.
CREATE TABLE held (
    target TEXT NOT NULL,
    priority INTEGER NOT NULL,
    since INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (target, priority, since, seq)
) STRICT, WITHOUT ROWID;

-- How many jobs started under a limit with a rate, by the instant from which on they no longer count.
CREATE TABLE starts (
    limit_n INTEGER NOT NULL,
    target TEXT NOT NULL,
    free_at INTEGER NOT NULL,
    jobs INTEGER NOT NULL,
    PRIMARY KEY (limit_n, target, free_at)
) STRICT, WITHOUT ROWID;

CREATE INDEX starts_by_time ON starts (free_at);

-- Who did what. An entry's number is never used again: a reader's cursor is one. `imported` is the number that it has in the log
-- that it was made in, where that is another storage's.
CREATE TABLE audit (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    entry TEXT NOT NULL,
    imported INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_own ON audit (n) WHERE imported = 0;

-- Whether no job was made the last time, since `last_job` was there already and the new one must not stand beside it.
ALTER TABLE recurring ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0;
-- How many of a hundred new jobs go to a version that is its module's canary: one at most.
ALTER TABLE versions ADD COLUMN canary_percent INTEGER;
-- The component of a version that is retired is not there, unless another module has a version of the same bytes.
ALTER TABLE versions ADD COLUMN retired_at INTEGER;

CREATE UNIQUE INDEX versions_canary ON versions (module) WHERE canary_percent IS NOT NULL;
