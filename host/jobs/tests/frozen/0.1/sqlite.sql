PRAGMA application_id = 1466852460;
PRAGMA user_version = 2;
BEGIN;
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
CREATE TABLE modules (
    name TEXT PRIMARY KEY,
    active INTEGER NOT NULL REFERENCES versions (n)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE logs (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL,
    run INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level INTEGER NOT NULL,
    message TEXT NOT NULL,
    fields TEXT
) STRICT;
CREATE TABLE log_sizes (
    seq INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT;
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
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_queue ON jobs (queue);
CREATE INDEX jobs_by_handler ON jobs (handler);
CREATE INDEX jobs_ended ON jobs (state, at) WHERE state >= 4;
CREATE INDEX jobs_asked ON jobs (server) WHERE ask IS NOT NULL AND state = 3;
CREATE INDEX logs_by_job ON logs (seq, n);
CREATE INDEX logs_by_time ON logs (at);
CREATE INDEX recurring_due ON recurring (next_at, name) WHERE next_at IS NOT NULL AND NOT paused;
INSERT INTO queues (n, name, paused) VALUES (1, 'default', 0);
INSERT INTO queues (n, name, paused) VALUES (2, 'mail', 1);
INSERT INTO handlers (n, module, name) VALUES (1, 'shop', 'bill');
INSERT INTO handlers (n, module, name) VALUES (2, 'shop', 'refund');
INSERT INTO servers (n, id, alive, beat, host, pid, version, queues, sync_slots, sync_busy, async_slots, async_busy, started_at, heartbeat_at) VALUES (1, X'A3D2FC511B714CD698E38D579C09097A', 1, 0, 'frozen', 7, '0.1.0', '[]', 4, 0, 4, 0, 1795481498300, 1795481498300);
INSERT INTO components (digest, bytes) VALUES (X'6985CA1F4DAA5A584A28EAE043A239CB96689AF1337EA13AFB63E00C2BF512FA', X'636F6D706F6E656E74');
INSERT INTO versions (n, module, digest, size, version, sdk, handlers, deployed_at) VALUES (1, 'shop', X'6985CA1F4DAA5A584A28EAE043A239CB96689AF1337EA13AFB63E00C2BF512FA', 9, '1.2.3', 'windlass-guest 0.1.0', '[{"name":"bill","mode":"sync","summary":"Sends a bill."}]', 1795481498299);
INSERT INTO modules (name, active) VALUES ('shop', 1);
INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses, lines, created_at, at, ready_at, started_at, server, version, ended_line, ask, asked_by, reason) VALUES (1882698807561420800, X'01A20B0972BC74EBBEDD6DB2BC9A4FAC', 1, 1, 0, 4, 4, 1, 5, 1, 0, 1, 1795481498300, 1795481498306, 1795481498300, 1795481498306, NULL, 1, 1, NULL, NULL, NULL);
INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses, lines, created_at, at, ready_at, started_at, server, version, ended_line, ask, asked_by, reason) VALUES (1882698807562469376, X'01A20B0972BD7024884554ACAA131EB9', 1, 1, 0, 4, 6, 1, 5, 1, 0, 2, 1795481498301, 1795481498309, 1795481498301, 1795481498306, NULL, 1, 1, NULL, NULL, 'deleted');
INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses, lines, created_at, at, ready_at, started_at, server, version, ended_line, ask, asked_by, reason) VALUES (1882698807563517952, X'01A20B0972BE7239A0FD13098468051E', 1, 1, 0, 4, 0, 1, 5, 1, 0, 1, 1795481498302, 1795481498310, 1795481498302, 1795481498306, NULL, 1, 1, NULL, NULL, 'retry');
INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses, lines, created_at, at, ready_at, started_at, server, version, ended_line, ask, asked_by, reason) VALUES (1882698807563517953, X'01A20B0972BE7239A0FD130A9B58E37A', 1, 1, 0, 4, 3, 1, 5, 1, 0, 0, 1795481498302, 1795481498306, 1795481498302, 1795481498306, 1, 1, NULL, NULL, NULL, NULL);
INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses, lines, created_at, at, ready_at, started_at, server, version, ended_line, ask, asked_by, reason) VALUES (1882698807566663680, X'01A20B0972C176F290B978BA8C33B228', 1, 1, 0, 4, 3, 1, 5, 1, 0, 0, 1795481498305, 1795481498306, 1795481498305, 1795481498306, 1, 1, NULL, 0, 'bob', NULL);
INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses, lines, created_at, at, ready_at, started_at, server, version, ended_line, ask, asked_by, reason) VALUES (1882698807572955136, X'01A20B0972C77209ABCF63A8F76B225D', 1, 1, 0, 4, 2, 0, 5, 0, 0, 0, 1795481498311, 1795481498311, 1795481498311, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses, lines, created_at, at, ready_at, started_at, server, version, ended_line, ask, asked_by, reason) VALUES (1882698807576100864, X'01A20B0972CA77F2829721F4835386A2', 1, 1, 0, 4, 0, 0, 5, 0, 0, 0, 1795481498314, 4102444800000, 1795481498314, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses, lines, created_at, at, ready_at, started_at, server, version, ended_line, ask, asked_by, reason) VALUES (1882698807577149440, X'01A20B0972CB71B5BA58CD9B3F23BA3B', 2, 1, 0, 4, 1, 0, 5, 0, 0, 0, 1795481498315, 1795481498315, 1795481498315, NULL, NULL, NULL, NULL, NULL, NULL, 'handler-missing');
INSERT INTO payloads (seq, born, made_by, timeout_ms, tags, retry, headers, payload) VALUES (1882698807561420800, 2, 'ann', 30000, '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO payloads (seq, born, made_by, timeout_ms, tags, retry, headers, payload) VALUES (1882698807562469376, 2, 'ann', 30000, '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO payloads (seq, born, made_by, timeout_ms, tags, retry, headers, payload) VALUES (1882698807563517952, 2, 'ann', 30000, '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO payloads (seq, born, made_by, timeout_ms, tags, retry, headers, payload) VALUES (1882698807563517953, 2, 'ann', 30000, '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO payloads (seq, born, made_by, timeout_ms, tags, retry, headers, payload) VALUES (1882698807566663680, 2, 'ann', 30000, '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO payloads (seq, born, made_by, timeout_ms, tags, retry, headers, payload) VALUES (1882698807572955136, 2, 'ann', 30000, '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO payloads (seq, born, made_by, timeout_ms, tags, retry, headers, payload) VALUES (1882698807576100864, 0, 'ann', 30000, '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO payloads (seq, born, made_by, timeout_ms, tags, retry, headers, payload) VALUES (1882698807577149440, 1, 'ann', 30000, '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO results (seq, result) VALUES (1882698807561420800, '"paid"');
INSERT INTO waiting (line, queue, priority, since, seq) VALUES (0, 1, 4, 1795481498311, 1882698807572955136);
INSERT INTO scheduled (at, seq) VALUES (1795481498310, 1882698807563517952);
INSERT INTO scheduled (at, seq) VALUES (4102444800000, 1882698807576100864);
INSERT INTO tally (queue, handler, state, jobs) VALUES (1, 1, 0, 2);
INSERT INTO tally (queue, handler, state, jobs) VALUES (1, 1, 2, 1);
INSERT INTO tally (queue, handler, state, jobs) VALUES (1, 1, 3, 2);
INSERT INTO tally (queue, handler, state, jobs) VALUES (1, 1, 4, 1);
INSERT INTO tally (queue, handler, state, jobs) VALUES (1, 1, 5, 0);
INSERT INTO tally (queue, handler, state, jobs) VALUES (1, 1, 6, 1);
INSERT INTO tally (queue, handler, state, jobs) VALUES (1, 2, 1, 1);
INSERT INTO history (seq, n, from_state, to_state, at, run, attempt, started_at, server, fuel, peak_memory, wall_us, log_bytes, sent_bytes, received_bytes, by, reason, failure) VALUES (1882698807561420800, 1, 3, 4, 1795481498306, 1, 1, 1795481498306, 1, 1000, 0, 0, 0, 0, 0, NULL, NULL, NULL);
INSERT INTO history (seq, n, from_state, to_state, at, run, attempt, started_at, server, fuel, peak_memory, wall_us, log_bytes, sent_bytes, received_bytes, by, reason, failure) VALUES (1882698807562469376, 1, 3, 5, 1795481498307, 1, 1, 1795481498306, 1, 1000, 0, 0, 0, 0, 0, NULL, 'handler', '{"cause":"handler","code":"card","message":"no money","details":{"left":0}}');
INSERT INTO history (seq, n, from_state, to_state, at, run, attempt, started_at, server, fuel, peak_memory, wall_us, log_bytes, sent_bytes, received_bytes, by, reason, failure) VALUES (1882698807562469376, 2, 5, 6, 1795481498309, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'bob', 'deleted', NULL);
INSERT INTO history (seq, n, from_state, to_state, at, run, attempt, started_at, server, fuel, peak_memory, wall_us, log_bytes, sent_bytes, received_bytes, by, reason, failure) VALUES (1882698807563517952, 1, 3, 0, 1795481498309, 1, 1, 1795481498306, 1, 1000, 0, 0, 0, 0, 0, NULL, 'retry', '{"cause":"handler","code":"card","message":"no money","details":{"left":0}}');
INSERT INTO tags (tag, seq) VALUES ('eu', 1882698807561420800);
INSERT INTO tags (tag, seq) VALUES ('eu', 1882698807562469376);
INSERT INTO tags (tag, seq) VALUES ('eu', 1882698807563517952);
INSERT INTO tags (tag, seq) VALUES ('eu', 1882698807563517953);
INSERT INTO tags (tag, seq) VALUES ('eu', 1882698807566663680);
INSERT INTO tags (tag, seq) VALUES ('eu', 1882698807572955136);
INSERT INTO tags (tag, seq) VALUES ('eu', 1882698807576100864);
INSERT INTO tags (tag, seq) VALUES ('eu', 1882698807577149440);
INSERT INTO tags (tag, seq) VALUES ('order-7', 1882698807561420800);
INSERT INTO tags (tag, seq) VALUES ('order-7', 1882698807562469376);
INSERT INTO tags (tag, seq) VALUES ('order-7', 1882698807563517952);
INSERT INTO tags (tag, seq) VALUES ('order-7', 1882698807563517953);
INSERT INTO tags (tag, seq) VALUES ('order-7', 1882698807566663680);
INSERT INTO tags (tag, seq) VALUES ('order-7', 1882698807572955136);
INSERT INTO tags (tag, seq) VALUES ('order-7', 1882698807576100864);
INSERT INTO tags (tag, seq) VALUES ('order-7', 1882698807577149440);
INSERT INTO progress (seq, run, percent, note, at) VALUES (1882698807563517953, 1, 50.0, 'half', 1700000000000);
INSERT INTO checkpoints (seq, key, value) VALUES (1882698807563517953, 'page', '7');
INSERT INTO logs (n, seq, run, at, level, message, fields) VALUES (1, 1882698807563517953, 1, 1700000000000, 2, 'half of it', NULL);
INSERT INTO log_sizes (seq, bytes) VALUES (1882698807563517953, 42);
INSERT INTO counters (grain, at, handler, made, succeeded, failed, retried, deleted, runs, run_us, fuel) VALUES (0, 1795481460000, 1, 7, 1, 1, 1, 1, 3, 0, 3000);
INSERT INTO counters (grain, at, handler, made, succeeded, failed, retried, deleted, runs, run_us, fuel) VALUES (0, 1795481460000, 2, 1, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO counters (grain, at, handler, made, succeeded, failed, retried, deleted, runs, run_us, fuel) VALUES (1, 1795478400000, 1, 7, 1, 1, 1, 1, 3, 0, 3000);
INSERT INTO counters (grain, at, handler, made, succeeded, failed, retried, deleted, runs, run_us, fuel) VALUES (1, 1795478400000, 2, 1, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO recurring (name, definition, paused, next_at, last_at, last_job, revision) VALUES ('nightly', '{"cron":"0 3 * * *"}', 0, 4102444800000, NULL, NULL, 1);
COMMIT;
