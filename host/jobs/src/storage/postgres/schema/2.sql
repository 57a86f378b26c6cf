-- What jobs depend on besides their turn, limits, the audit log, canaries, and versions that are retired.

-- `traits` tells, bit by bit, whether a job has children (1), whether it has parents (2), and whether there is a row of
-- conditions for it (4); it is absent where there is none of that, so that whoever settles a plain job looks no further. A job
-- that was never claimed may expire. One that waits for room under a limit is `held` by that limit's line; one that runs
-- has `places` in such lines.
ALTER TABLE @live ADD COLUMN traits smallint, ADD COLUMN expires_at bigint, ADD COLUMN held integer,
    ADD COLUMN places integer[];

DROP INDEX @live_waiting;
DROP INDEX @live_first;
DROP INDEX @live_awaiting;

-- What is held stands in none of the lines that a claim looks at, and what waits for its parents not among those that wait for
-- their handler.
CREATE INDEX live_waiting ON @live (mode, queue, priority, ready_at, seq) WHERE state = 2 AND held IS NULL;
CREATE INDEX live_first ON @live (mode, (priority + 0), ready_at, seq) WHERE state = 2 AND held IS NULL;
CREATE INDEX live_awaiting ON @live (handler, seq) WHERE state = 1 AND reason = 'handler-missing';
CREATE INDEX live_expiring ON @live (expires_at, seq) WHERE expires_at IS NOT NULL;
CREATE INDEX live_held ON @live (held, priority, ready_at, seq) WHERE held IS NOT NULL;

-- A job that succeeded and is kept for its children counts as if it had ended at `kept_at`.
ALTER TABLE @ended ADD COLUMN traits smallint, ADD COLUMN kept_at bigint;

DROP INDEX @ended_at;
CREATE INDEX ended_at ON @ended ((state + 0), coalesce(kept_at, at));

-- Written once, with the job. `born_reason` is that of the first line of its history, where it waited for parents or was deleted
-- when it was made. How it starts once its parents are done, as `start` (0 now, 1 after a delay, 2 at an instant, 3 when its
-- handler comes) and `start_value`, matters as long as it waits for them.
CREATE TABLE @conditions (
    seq bigint PRIMARY KEY,
    born_reason text,
    continues_on smallint,
    start smallint,
    start_value bigint,
    unique_key bytea,
    unique_states smallint,
    unique_period_ms bigint,
    on_conflict smallint,
    limit_key text
);

-- A parent of a job. The parent's number tells whether it is still there, its id what it was called: another job may get
-- that id later. An edge is `done` when the child has ended.
CREATE TABLE @edges (
    child bigint NOT NULL,
    place smallint NOT NULL,
    parent bigint NOT NULL,
    parent_id uuid NOT NULL,
    met boolean NOT NULL,
    done boolean NOT NULL,
    PRIMARY KEY (child, place)
);

CREATE INDEX edges_by_parent ON @edges (parent, child);
CREATE INDEX edges_unmet ON @edges (parent, child) WHERE NOT met;
CREATE INDEX edges_unfinished ON @edges (parent) WHERE NOT done;

-- Ends of jobs whose children have not all been told of it: those after `after` up to `upto` are left. The outcome is the
-- state that the job ended in.
CREATE TABLE @ripples (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parent bigint NOT NULL,
    outcome smallint NOT NULL,
    after bigint NOT NULL,
    upto bigint NOT NULL
);

CREATE INDEX ripples_by_parent ON @ripples (parent, n);

-- The last job that was stored with a key; 0 while somebody decides whether there is one.
CREATE TABLE @uniques (
    key bytea PRIMARY KEY,
    holder bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE @limits (
    target text COLLATE "C" PRIMARY KEY,
    concurrency bigint,
    rate_count bigint,
    rate_period_ms bigint
);

-- The line of one limited thing: a queue, a handler or a key, written as a limit's target. Starts are counted by parts of a
-- period that are `part_ms` long, and none of them counts beyond `counts_until`. Where jobs were let go for which there is room,
-- no others are until `rests_until`.
CREATE TABLE @limited (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    thing text COLLATE "C" NOT NULL UNIQUE,
    running bigint NOT NULL DEFAULT 0,
    part_ms bigint NOT NULL DEFAULT 0,
    parts bigint[] NOT NULL DEFAULT '{}',
    starts bigint[] NOT NULL DEFAULT '{}',
    counts_until bigint NOT NULL DEFAULT 0,
    rests_until bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE INDEX limited_idle ON @limited (counts_until) WHERE running <= 0;

-- `imported` is the number of an entry in the log that it was made in, where that is another storage's, and 0 otherwise.
CREATE TABLE @audit (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    imported bigint NOT NULL DEFAULT 0,
    entry text NOT NULL
);

CREATE INDEX audit_at ON @audit (at);
CREATE INDEX audit_own ON @audit (n) WHERE imported = 0;

-- Whether no job was made the last time, since `last_job` was there already and the new one must not stand beside it.
ALTER TABLE @recurring ADD COLUMN left_out boolean NOT NULL DEFAULT false;
-- How many of a hundred new jobs go to a version that is its module's canary: one at most. Beside each handler that the canary has
-- stands the same, for those who claim.
-- The component of a version that is retired is not there, unless another module has a version of the same bytes.
ALTER TABLE @versions ADD COLUMN canary_percent smallint, ADD COLUMN retired_at bigint;
ALTER TABLE @handlers ADD COLUMN canary integer, ADD COLUMN canary_percent smallint;

CREATE UNIQUE INDEX versions_canary ON @versions (module) WHERE canary_percent IS NOT NULL;
