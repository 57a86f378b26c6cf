-- `@` stands for the namespace. Instants are milliseconds since the Unix epoch; words are the numbers of their order.

-- Names are kept once and numbered; their rows are never removed, so that a number stays good. No process remembers a
-- number beyond a step: an older copy of the database may give it to another name.
CREATE TABLE @queues (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    paused boolean NOT NULL DEFAULT false
);

CREATE INDEX queues_paused ON @queues (n) WHERE paused;

-- `active_mode` is how a handler runs in its module's active version, absent where that lacks it.
CREATE TABLE @handlers (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    module text NOT NULL,
    name text NOT NULL,
    active_mode smallint,
    UNIQUE (module, name)
);

CREATE INDEX handlers_active ON @handlers (n) WHERE active_mode IS NOT NULL;

-- Servers that are gone stay as a number and an id, for the history of the jobs that they ran.
CREATE TABLE @servers (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    alive boolean NOT NULL,
    beat bigint NOT NULL,
    host text NOT NULL,
    pid bigint NOT NULL,
    version text NOT NULL,
    queues text NOT NULL,
    sync_slots bigint NOT NULL,
    sync_busy bigint NOT NULL,
    async_slots bigint NOT NULL,
    async_busy bigint NOT NULL,
    started_at bigint NOT NULL,
    heartbeat_at bigint NOT NULL
);

CREATE INDEX servers_alive ON @servers (n) WHERE alive;

CREATE TABLE @components (
    digest bytea PRIMARY KEY,
    bytes bytea NOT NULL
);

-- Components do not compress well, and trying takes long.
ALTER TABLE @components ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE @versions (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    module text NOT NULL,
    digest bytea NOT NULL,
    size bigint NOT NULL,
    version text NOT NULL,
    sdk text NOT NULL,
    handlers text NOT NULL,
    deployed_at bigint NOT NULL,
    UNIQUE (module, digest)
);

-- One active version each; a canary will be a second column. `changes` counts the activations.
CREATE TABLE @modules (
    name text PRIMARY KEY,
    active integer NOT NULL REFERENCES @versions (n),
    changes bigint NOT NULL DEFAULT 1
);

-- A job as it was made, written once. Its number holds the instant of its making and a counter (lower
-- 20 bits), so that any index that ends in it answers a range of time too. `born` is the state that it was made in, `made_by`
-- by whom: the first line of its history. A job whose `retry` is absent keeps to the default policy.
CREATE SEQUENCE @numbers;

CREATE TABLE @jobs (
    seq bigint PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    handler integer NOT NULL,
    queue integer NOT NULL,
    mode smallint NOT NULL,
    priority smallint NOT NULL,
    born smallint NOT NULL,
    max_attempts bigint NOT NULL,
    created_at bigint NOT NULL,
    start_at bigint NOT NULL,
    timeout_ms bigint,
    made_by text NOT NULL,
    tags text,
    retry text,
    headers text,
    payload text NOT NULL
);

CREATE INDEX jobs_by_queue ON @jobs (queue, seq);
CREATE INDEX jobs_by_handler ON @jobs (handler, seq);

-- A job that has not ended: narrow, and short-lived, so that it stays in memory and vacuuming is quick. `at` is when a
-- scheduled job is due, and otherwise when it came into its state. `token` names the claim that took it, by which it is handed
-- over again where the answer was lost; `lacked` is the version in which its handler was missing, where it waits for another.
CREATE TABLE @live (
    id uuid PRIMARY KEY,
    seq bigint NOT NULL,
    handler integer NOT NULL,
    queue integer NOT NULL,
    mode smallint NOT NULL,
    priority smallint NOT NULL,
    state smallint NOT NULL,
    attempt bigint NOT NULL,
    run bigint NOT NULL,
    losses bigint NOT NULL,
    lines bigint NOT NULL,
    at bigint NOT NULL,
    ready_at bigint NOT NULL,
    started_at bigint,
    server integer,
    version integer,
    ended_line bigint,
    ask smallint,
    asked_by text,
    reason text,
    token bigint,
    lacked integer,
    CHECK (state BETWEEN 0 AND 3 AND mode BETWEEN 0 AND 1 AND (ask IS NULL OR ask BETWEEN 0 AND 1))
) WITH (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.2, autovacuum_analyze_threshold = 2000
);

-- Where two indexes could answer a statement, PostgreSQL chooses by what it knows of their sizes, which is mostly wrong for a
-- table that fills and empties all the time. So some are made over an expression (`+ 0`) that only those statements have
-- that are meant to use them.
CREATE INDEX live_by_state ON @live ((state + 0), seq);
-- By queue for those who take from some, and as one line for those who take from all: so that it does not matter how many
-- queues there are.
CREATE INDEX live_waiting ON @live (mode, queue, priority, ready_at, seq) WHERE state = 2;
CREATE INDEX live_first ON @live (mode, (priority + 0), ready_at, seq) WHERE state = 2;
CREATE INDEX live_scheduled ON @live (at, seq) WHERE state = 0;
CREATE INDEX live_awaiting ON @live (handler, seq) WHERE state = 1;
CREATE INDEX live_running ON @live (server) WHERE state = 3;

-- A job that has ended.
CREATE TABLE @ended (
    seq bigint NOT NULL,
    state smallint NOT NULL,
    mode smallint NOT NULL,
    attempt bigint NOT NULL,
    run bigint NOT NULL,
    losses bigint NOT NULL,
    lines bigint NOT NULL,
    at bigint NOT NULL,
    ready_at bigint NOT NULL,
    started_at bigint,
    version integer,
    ended_line bigint,
    ask smallint,
    reason text,
    result text,
    PRIMARY KEY (state, seq),
    CHECK (state BETWEEN 4 AND 6 AND mode BETWEEN 0 AND 1 AND (ask IS NULL OR ask BETWEEN 0 AND 1))
);

CREATE INDEX ended_at ON @ended ((state + 0), at);

-- A line is one step, or a whole run where it has a `run`: the step into processing and the step out of it.
CREATE TABLE @history (
    seq bigint NOT NULL,
    n bigint NOT NULL,
    from_state smallint NOT NULL,
    to_state smallint NOT NULL,
    at bigint NOT NULL,
    run bigint,
    attempt bigint,
    started_at bigint,
    server integer,
    fuel bigint,
    peak_memory bigint,
    wall_us bigint,
    log_bytes bigint,
    sent_bytes bigint,
    received_bytes bigint,
    by text,
    reason text,
    failure text,
    PRIMARY KEY (seq, n)
);

CREATE TABLE @tags (
    tag text NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (tag, seq)
);

CREATE INDEX tags_by_job ON @tags (seq);

CREATE TABLE @progress (
    seq bigint PRIMARY KEY,
    run bigint NOT NULL,
    percent real NOT NULL,
    note text,
    at bigint NOT NULL
);

-- A key is any text of a guest's, also one with a NUL, which PostgreSQL's own text cannot hold.
CREATE TABLE @checkpoints (
    seq bigint NOT NULL,
    key bytea NOT NULL,
    value text NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (seq, key)
);

-- The number of a line is never used again: a follower's cursor is one.
CREATE TABLE @logs (
    seq bigint NOT NULL,
    n bigint GENERATED BY DEFAULT AS IDENTITY,
    run bigint NOT NULL,
    at bigint NOT NULL,
    level smallint NOT NULL,
    message text NOT NULL,
    fields text,
    PRIMARY KEY (seq, n)
);

CREATE INDEX logs_at ON @logs (at);

CREATE TABLE @log_sizes (
    seq bigint PRIMARY KEY,
    bytes bigint NOT NULL
);

-- How many jobs there are, by queue, handler and state, and what happened in each span; both lack what still stands in
-- `changes`. There each step appends what it changed, so that no two wait for each other; now and then it is folded in.
CREATE TABLE @tally (
    queue integer NOT NULL,
    handler integer NOT NULL,
    scheduled bigint NOT NULL,
    awaiting bigint NOT NULL,
    enqueued bigint NOT NULL,
    processing bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    deleted bigint NOT NULL,
    PRIMARY KEY (queue, handler)
);

-- What counts nothing any more is removed.
CREATE INDEX tally_empty ON @tally (queue, handler) WHERE scheduled = 0 AND awaiting = 0 AND enqueued = 0 AND processing = 0
    AND succeeded = 0 AND failed = 0 AND deleted = 0;

CREATE TABLE @counters (
    grain smallint NOT NULL,
    at bigint NOT NULL,
    handler integer NOT NULL,
    made bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    retried bigint NOT NULL,
    deleted bigint NOT NULL,
    runs bigint NOT NULL,
    run_us bigint NOT NULL,
    fuel bigint NOT NULL,
    PRIMARY KEY (grain, at, handler)
);

CREATE TABLE @changes (
    queue integer NOT NULL,
    handler integer NOT NULL,
    at bigint NOT NULL,
    scheduled bigint NOT NULL DEFAULT 0,
    awaiting bigint NOT NULL DEFAULT 0,
    enqueued bigint NOT NULL DEFAULT 0,
    processing bigint NOT NULL DEFAULT 0,
    succeeded bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    deleted bigint NOT NULL DEFAULT 0,
    n_made bigint NOT NULL DEFAULT 0,
    n_succeeded bigint NOT NULL DEFAULT 0,
    n_failed bigint NOT NULL DEFAULT 0,
    n_retried bigint NOT NULL DEFAULT 0,
    n_deleted bigint NOT NULL DEFAULT 0,
    runs bigint NOT NULL DEFAULT 0,
    run_us bigint NOT NULL DEFAULT 0,
    fuel bigint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE @recurring (
    name text COLLATE "C" PRIMARY KEY,
    definition text NOT NULL,
    paused boolean NOT NULL,
    next_at bigint,
    last_at bigint,
    last_job uuid,
    revision bigint NOT NULL
);

CREATE INDEX recurring_due ON @recurring (next_at, name) WHERE NOT paused AND next_at IS NOT NULL;

-- Who wants to be told: of work (1), or of the ends of jobs (2). Not logged, since nothing is lost with it but a
-- wake-up: so that asking and telling cost no write to the disk.
CREATE UNLOGGED TABLE @wishes (
    listener uuid NOT NULL,
    what smallint NOT NULL,
    until_at timestamptz NOT NULL,
    PRIMARY KEY (listener, what)
);
