-- Names are kept once and numbered; their rows are never removed, so that a number stays good.
CREATE TABLE queues (
    n INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    paused INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE handlers (
    n INTEGER PRIMARY KEY,
    module TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (module, name)
) STRICT;

-- Servers that are gone stay as a number and an id, for the history of the jobs that they ran.
CREATE TABLE servers (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    alive INTEGER NOT NULL,
    beat INTEGER NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    version TEXT NOT NULL,
    queues TEXT NOT NULL,
    sync_slots INTEGER NOT NULL,
    sync_busy INTEGER NOT NULL,
    async_slots INTEGER NOT NULL,
    async_busy INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL
) STRICT;

CREATE TABLE components (
    digest BLOB PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE versions (
    n INTEGER PRIMARY KEY,
    module TEXT NOT NULL,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    version TEXT NOT NULL,
    sdk TEXT NOT NULL,
    handlers TEXT NOT NULL,
    deployed_at INTEGER NOT NULL,
    UNIQUE (module, digest)
) STRICT;

-- One active version each; a canary will be a second column.
CREATE TABLE modules (
    name TEXT PRIMARY KEY,
    active INTEGER NOT NULL REFERENCES versions (n)
) STRICT, WITHOUT ROWID;

-- The narrow part of a job: all that changes in its life, and what it is claimed and listed by. `seq` tells when the job was
-- made: the millisecond, then 20 bits that count within it. So each index answers a span of time too. `at` is when a scheduled job is due, when a job ended, and otherwise when it came into its state.
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    handler INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    state INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    run INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    at INTEGER NOT NULL,
    ready_at INTEGER NOT NULL,
    started_at INTEGER,
    server INTEGER,
    version INTEGER,
    ended_line INTEGER,
    ask INTEGER,
    asked_by TEXT,
    reason TEXT
) STRICT;

CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_queue ON jobs (queue);
CREATE INDEX jobs_by_handler ON jobs (handler);
CREATE INDEX jobs_ended ON jobs (state, at) WHERE state >= 4;
CREATE INDEX jobs_asked ON jobs (server) WHERE ask IS NOT NULL AND state = 3;

-- The wide part, written once. `born` is the state that the job was made in and `made_by` by whom: the first line of
-- its history. A job whose `retry` is absent keeps to the default policy.
CREATE TABLE payloads (
    seq INTEGER PRIMARY KEY,
    born INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    timeout_ms INTEGER,
    tags TEXT,
    retry TEXT,
    headers TEXT,
    payload TEXT NOT NULL
) STRICT;

CREATE TABLE results (
    seq INTEGER PRIMARY KEY,
    result TEXT NOT NULL
) STRICT;

-- What may be claimed, in the order of claiming. `line` is the mode; a limit's own lines will be further numbers.
CREATE TABLE waiting (
    line INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    since INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (line, queue, priority, since, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE scheduled (
    at INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (at, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE tally (
    queue INTEGER NOT NULL,
    handler INTEGER NOT NULL,
    state INTEGER NOT NULL,
    jobs INTEGER NOT NULL,
    PRIMARY KEY (queue, handler, state)
) STRICT, WITHOUT ROWID;

-- A line is one step, or a whole run where it has a `run`: the step into processing and the step out of it.
CREATE TABLE history (
    seq INTEGER NOT NULL,
    n INTEGER NOT NULL,
    from_state INTEGER NOT NULL,
    to_state INTEGER NOT NULL,
    at INTEGER NOT NULL,
    run INTEGER,
    attempt INTEGER,
    started_at INTEGER,
    server INTEGER,
    fuel INTEGER,
    peak_memory INTEGER,
    wall_us INTEGER,
    log_bytes INTEGER,
    sent_bytes INTEGER,
    received_bytes INTEGER,
    by TEXT,
    reason TEXT,
    failure TEXT,
    PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE tags (
    tag TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (tag, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE progress (
    seq INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    percent REAL NOT NULL,
    note TEXT,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE checkpoints (
    seq INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (seq, key)
) STRICT, WITHOUT ROWID;

-- The number of a line is never used again: a follower's cursor is one.
CREATE TABLE logs (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL,
    run INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level INTEGER NOT NULL,
    message TEXT NOT NULL,
    fields TEXT
) STRICT;

CREATE INDEX logs_by_job ON logs (seq, n);
CREATE INDEX logs_by_time ON logs (at);

CREATE TABLE log_sizes (
    seq INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT;

-- What happened in a span, a row for each handler to which something did. A grain is a number: minutes, then hours.
CREATE TABLE counters (
    grain INTEGER NOT NULL,
    at INTEGER NOT NULL,
    handler INTEGER NOT NULL,
    made INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    retried INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    run_us INTEGER NOT NULL,
    fuel INTEGER NOT NULL,
    PRIMARY KEY (grain, at, handler)
) STRICT, WITHOUT ROWID;

CREATE TABLE recurring (
    name TEXT PRIMARY KEY,
    definition TEXT NOT NULL,
    paused INTEGER NOT NULL,
    next_at INTEGER,
    last_at INTEGER,
    last_job BLOB,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX recurring_due ON recurring (next_at, name) WHERE next_at IS NOT NULL AND NOT paused;
