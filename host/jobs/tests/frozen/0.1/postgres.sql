SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA windlass_frozen;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE windlass_frozen.changes (
    queue integer NOT NULL,
    handler integer NOT NULL,
    at bigint NOT NULL,
    scheduled bigint DEFAULT 0 NOT NULL,
    awaiting bigint DEFAULT 0 NOT NULL,
    enqueued bigint DEFAULT 0 NOT NULL,
    processing bigint DEFAULT 0 NOT NULL,
    succeeded bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    deleted bigint DEFAULT 0 NOT NULL,
    n_made bigint DEFAULT 0 NOT NULL,
    n_succeeded bigint DEFAULT 0 NOT NULL,
    n_failed bigint DEFAULT 0 NOT NULL,
    n_retried bigint DEFAULT 0 NOT NULL,
    n_deleted bigint DEFAULT 0 NOT NULL,
    runs bigint DEFAULT 0 NOT NULL,
    run_us bigint DEFAULT 0 NOT NULL,
    fuel bigint DEFAULT 0 NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.1', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0');
CREATE TABLE windlass_frozen.checkpoints (
    seq bigint NOT NULL,
    key bytea NOT NULL,
    value text NOT NULL,
    bytes bigint NOT NULL
);
CREATE TABLE windlass_frozen.components (
    digest bytea NOT NULL,
    bytes bytea NOT NULL
);
ALTER TABLE ONLY windlass_frozen.components ALTER COLUMN bytes SET STORAGE EXTERNAL;
CREATE TABLE windlass_frozen.counters (
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
    fuel bigint NOT NULL
);
CREATE TABLE windlass_frozen.ended (
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
    CONSTRAINT ended_check CHECK ((((state >= 4) AND (state <= 6)) AND ((mode >= 0) AND (mode <= 1)) AND ((ask IS NULL) OR ((ask >= 0) AND (ask <= 1)))))
);
CREATE TABLE windlass_frozen.handlers (
    n integer NOT NULL,
    module text NOT NULL,
    name text NOT NULL,
    active_mode smallint
);
ALTER TABLE windlass_frozen.handlers ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME windlass_frozen.handlers_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE windlass_frozen.history (
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
    failure text
);
CREATE TABLE windlass_frozen.jobs (
    seq bigint NOT NULL,
    id uuid NOT NULL,
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
CREATE TABLE windlass_frozen.live (
    id uuid NOT NULL,
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
    CONSTRAINT live_check CHECK ((((state >= 0) AND (state <= 3)) AND ((mode >= 0) AND (mode <= 1)) AND ((ask IS NULL) OR ((ask >= 0) AND (ask <= 1)))))
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_scale_factor='0.2', autovacuum_analyze_threshold='2000');
CREATE TABLE windlass_frozen.log_sizes (
    seq bigint NOT NULL,
    bytes bigint NOT NULL
);
CREATE TABLE windlass_frozen.logs (
    seq bigint NOT NULL,
    n bigint NOT NULL,
    run bigint NOT NULL,
    at bigint NOT NULL,
    level smallint NOT NULL,
    message text NOT NULL,
    fields text
);
ALTER TABLE windlass_frozen.logs ALTER COLUMN n ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME windlass_frozen.logs_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE windlass_frozen.modules (
    name text NOT NULL,
    active integer NOT NULL,
    changes bigint DEFAULT 1 NOT NULL
);
CREATE SEQUENCE windlass_frozen.numbers
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE windlass_frozen.progress (
    seq bigint NOT NULL,
    run bigint NOT NULL,
    percent real NOT NULL,
    note text,
    at bigint NOT NULL
);
CREATE TABLE windlass_frozen.queues (
    n integer NOT NULL,
    name text NOT NULL,
    paused boolean DEFAULT false NOT NULL
);
ALTER TABLE windlass_frozen.queues ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME windlass_frozen.queues_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE windlass_frozen.recurring (
    name text NOT NULL COLLATE pg_catalog."C",
    definition text NOT NULL,
    paused boolean NOT NULL,
    next_at bigint,
    last_at bigint,
    last_job uuid,
    revision bigint NOT NULL
);
CREATE TABLE windlass_frozen.schema_versions (
    version integer NOT NULL,
    readable_by integer NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE windlass_frozen.servers (
    n integer NOT NULL,
    id uuid NOT NULL,
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
ALTER TABLE windlass_frozen.servers ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME windlass_frozen.servers_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE windlass_frozen.tags (
    tag text NOT NULL,
    seq bigint NOT NULL
);
CREATE TABLE windlass_frozen.tally (
    queue integer NOT NULL,
    handler integer NOT NULL,
    scheduled bigint NOT NULL,
    awaiting bigint NOT NULL,
    enqueued bigint NOT NULL,
    processing bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    deleted bigint NOT NULL
);
CREATE TABLE windlass_frozen.versions (
    n integer NOT NULL,
    module text NOT NULL,
    digest bytea NOT NULL,
    size bigint NOT NULL,
    version text NOT NULL,
    sdk text NOT NULL,
    handlers text NOT NULL,
    deployed_at bigint NOT NULL
);
ALTER TABLE windlass_frozen.versions ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME windlass_frozen.versions_n_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE UNLOGGED TABLE windlass_frozen.wishes (
    listener uuid NOT NULL,
    what smallint NOT NULL,
    until_at timestamp with time zone NOT NULL
);
INSERT INTO windlass_frozen.checkpoints VALUES (1882698808386650116, '\x70616765', '7', 5);
INSERT INTO windlass_frozen.components VALUES ('\x6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa', '\x636f6d706f6e656e74');
INSERT INTO windlass_frozen.counters VALUES (0, 1795481460000, 1, 7, 1, 1, 1, 1, 3, 0, 3000);
INSERT INTO windlass_frozen.counters VALUES (1, 1795478400000, 2, 1, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO windlass_frozen.counters VALUES (0, 1795481460000, 2, 1, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO windlass_frozen.counters VALUES (1, 1795478400000, 1, 7, 1, 1, 1, 1, 3, 0, 3000);
INSERT INTO windlass_frozen.ended VALUES (1882698808381407233, 4, 0, 1, 1, 0, 1, 1795481499093, 1795481499082, 1795481499091, 1, 1, NULL, NULL, '"paid"');
INSERT INTO windlass_frozen.ended VALUES (1882698808385601538, 6, 0, 1, 1, 0, 2, 1795481499096, 1795481499086, 1795481499091, 1, 1, NULL, 'deleted', NULL);
INSERT INTO windlass_frozen.handlers OVERRIDING SYSTEM VALUE VALUES (1, 'shop', 'bill', 0);
INSERT INTO windlass_frozen.handlers OVERRIDING SYSTEM VALUE VALUES (2, 'shop', 'refund', NULL);
INSERT INTO windlass_frozen.history VALUES (1882698808381407233, 1, 3, 4, 1795481499093, 1, 1, 1795481499091, 1, 1000, 0, 0, 0, 0, 0, NULL, NULL, NULL);
INSERT INTO windlass_frozen.history VALUES (1882698808385601538, 1, 3, 5, 1795481499093, 1, 1, 1795481499091, 1, 1000, 0, 0, 0, 0, 0, NULL, 'handler', '{"cause":"handler","code":"card","message":"no money","details":{"left":0}}');
INSERT INTO windlass_frozen.history VALUES (1882698808386650115, 1, 3, 0, 1795481499095, 1, 1, 1795481499091, 1, 1000, 0, 0, 0, 0, 0, NULL, 'retry', '{"cause":"handler","code":"card","message":"no money","details":{"left":0}}');
INSERT INTO windlass_frozen.history VALUES (1882698808385601538, 2, 5, 6, 1795481499096, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'bob', 'deleted', NULL);
INSERT INTO windlass_frozen.jobs VALUES (1882698808381407233, '01a20b09-75ca-732c-96a5-ee5ab1a0bc17', 1, 1, 0, 4, 2, 5, 1795481499082, 1795481499082, 30000, 'ann', '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO windlass_frozen.jobs VALUES (1882698808385601538, '01a20b09-75ce-7437-89f9-8da4ebb2351d', 1, 1, 0, 4, 2, 5, 1795481499086, 1795481499086, 30000, 'ann', '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO windlass_frozen.jobs VALUES (1882698808386650115, '01a20b09-75cf-7249-aad7-65f9540b18d0', 1, 1, 0, 4, 2, 5, 1795481499087, 1795481499087, 30000, 'ann', '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO windlass_frozen.jobs VALUES (1882698808386650116, '01a20b09-75cf-7249-aad7-65fa58b0f37a', 1, 1, 0, 4, 2, 5, 1795481499087, 1795481499087, 30000, 'ann', '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO windlass_frozen.jobs VALUES (1882698808387698693, '01a20b09-75d0-7158-8955-0f29ebae31a5', 1, 1, 0, 4, 2, 5, 1795481499088, 1795481499088, 30000, 'ann', '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO windlass_frozen.jobs VALUES (1882698808399233030, '01a20b09-75db-7042-82e8-cb377e7a4b10', 1, 1, 0, 4, 2, 5, 1795481499099, 1795481499099, 30000, 'ann', '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO windlass_frozen.jobs VALUES (1882698808400281607, '01a20b09-75dc-76d5-96b9-326bb7da260d', 1, 1, 0, 4, 0, 5, 1795481499100, 4102444800000, 30000, 'ann', '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO windlass_frozen.jobs VALUES (1882698808401330184, '01a20b09-75dc-76d5-96b9-326c88033632', 2, 1, 0, 4, 1, 5, 1795481499101, 1795481499101, 30000, 'ann', '["eu","order-7"]', NULL, '{"traceparent":"00-1-2-01"}', '{"note":"frühstück","order":9007199254740993}');
INSERT INTO windlass_frozen.live VALUES ('01a20b09-75cf-7249-aad7-65fa58b0f37a', 1882698808386650116, 1, 1, 0, 4, 3, 1, 1, 0, 0, 1795481499091, 1795481499087, 1795481499091, 1, 1, NULL, NULL, NULL, NULL, -7383964773806158841, NULL);
INSERT INTO windlass_frozen.live VALUES ('01a20b09-75cf-7249-aad7-65f9540b18d0', 1882698808386650115, 1, 1, 0, 4, 0, 1, 1, 0, 1, 1795481499096, 1795481499087, 1795481499091, NULL, 1, 1, NULL, NULL, 'retry', NULL, NULL);
INSERT INTO windlass_frozen.live VALUES ('01a20b09-75d0-7158-8955-0f29ebae31a5', 1882698808387698693, 1, 1, 0, 4, 3, 1, 1, 0, 0, 1795481499091, 1795481499088, 1795481499091, 1, 1, NULL, 0, 'bob', NULL, -7383964773806158841, NULL);
INSERT INTO windlass_frozen.live VALUES ('01a20b09-75db-7042-82e8-cb377e7a4b10', 1882698808399233030, 1, 1, 0, 4, 2, 0, 0, 0, 0, 1795481499099, 1795481499099, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO windlass_frozen.live VALUES ('01a20b09-75dc-76d5-96b9-326bb7da260d', 1882698808400281607, 1, 1, 0, 4, 0, 0, 0, 0, 0, 4102444800000, 1795481499100, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO windlass_frozen.live VALUES ('01a20b09-75dc-76d5-96b9-326c88033632', 1882698808401330184, 2, 1, 0, 4, 1, 0, 0, 0, 0, 1795481499101, 1795481499101, NULL, NULL, NULL, NULL, NULL, NULL, 'handler-missing', NULL, NULL);
INSERT INTO windlass_frozen.log_sizes VALUES (1882698808386650116, 42);
INSERT INTO windlass_frozen.logs VALUES (1882698808386650116, 1, 1, 1700000000000, 2, 'half of it', NULL);
INSERT INTO windlass_frozen.modules VALUES ('shop', 1, 1);
INSERT INTO windlass_frozen.progress VALUES (1882698808386650116, 1, 50, 'half', 1700000000000);
INSERT INTO windlass_frozen.queues OVERRIDING SYSTEM VALUE VALUES (1, 'default', false);
INSERT INTO windlass_frozen.queues OVERRIDING SYSTEM VALUE VALUES (2, 'mail', true);
INSERT INTO windlass_frozen.recurring VALUES ('nightly', '{"cron":"0 3 * * *"}', false, 4102444800000, NULL, NULL, 1);
INSERT INTO windlass_frozen.schema_versions VALUES (1, 1, '2026-11-24 00:51:39.037167+00');
INSERT INTO windlass_frozen.servers OVERRIDING SYSTEM VALUE VALUES (1, '21df1792-3860-48e1-9bd1-452abf71e730', true, 0, 'frozen', 7, '0.1.0', '[]', 4, 0, 4, 0, 1795481499082, 1795481499082);
INSERT INTO windlass_frozen.tags VALUES ('eu', 1882698808381407233);
INSERT INTO windlass_frozen.tags VALUES ('order-7', 1882698808381407233);
INSERT INTO windlass_frozen.tags VALUES ('eu', 1882698808385601538);
INSERT INTO windlass_frozen.tags VALUES ('order-7', 1882698808385601538);
INSERT INTO windlass_frozen.tags VALUES ('eu', 1882698808386650115);
INSERT INTO windlass_frozen.tags VALUES ('order-7', 1882698808386650115);
INSERT INTO windlass_frozen.tags VALUES ('eu', 1882698808386650116);
INSERT INTO windlass_frozen.tags VALUES ('order-7', 1882698808386650116);
INSERT INTO windlass_frozen.tags VALUES ('eu', 1882698808387698693);
INSERT INTO windlass_frozen.tags VALUES ('order-7', 1882698808387698693);
INSERT INTO windlass_frozen.tags VALUES ('eu', 1882698808399233030);
INSERT INTO windlass_frozen.tags VALUES ('order-7', 1882698808399233030);
INSERT INTO windlass_frozen.tags VALUES ('eu', 1882698808400281607);
INSERT INTO windlass_frozen.tags VALUES ('order-7', 1882698808400281607);
INSERT INTO windlass_frozen.tags VALUES ('eu', 1882698808401330184);
INSERT INTO windlass_frozen.tags VALUES ('order-7', 1882698808401330184);
INSERT INTO windlass_frozen.tally VALUES (1, 2, 0, 1, 0, 0, 0, 0, 0);
INSERT INTO windlass_frozen.tally VALUES (1, 1, 2, 0, 1, 2, 1, 0, 1);
INSERT INTO windlass_frozen.versions OVERRIDING SYSTEM VALUE VALUES (1, 'shop', '\x6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa', 9, '1.2.3', 'windlass-guest 0.1.0', '[{"name":"bill","mode":"sync","summary":"Sends a bill."}]', 1795481499076);
SELECT pg_catalog.setval('windlass_frozen.handlers_n_seq', 2, true);
SELECT pg_catalog.setval('windlass_frozen.logs_n_seq', 1, true);
SELECT pg_catalog.setval('windlass_frozen.numbers', 8, true);
SELECT pg_catalog.setval('windlass_frozen.queues_n_seq', 2, true);
SELECT pg_catalog.setval('windlass_frozen.servers_n_seq', 1, true);
SELECT pg_catalog.setval('windlass_frozen.versions_n_seq', 1, true);
ALTER TABLE ONLY windlass_frozen.checkpoints
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (seq, key);
ALTER TABLE ONLY windlass_frozen.components
    ADD CONSTRAINT components_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY windlass_frozen.counters
    ADD CONSTRAINT counters_pkey PRIMARY KEY (grain, at, handler);
ALTER TABLE ONLY windlass_frozen.ended
    ADD CONSTRAINT ended_pkey PRIMARY KEY (state, seq);
ALTER TABLE ONLY windlass_frozen.handlers
    ADD CONSTRAINT handlers_module_name_key UNIQUE (module, name);
ALTER TABLE ONLY windlass_frozen.handlers
    ADD CONSTRAINT handlers_pkey PRIMARY KEY (n);
ALTER TABLE ONLY windlass_frozen.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (seq, n);
ALTER TABLE ONLY windlass_frozen.jobs
    ADD CONSTRAINT jobs_id_key UNIQUE (id);
ALTER TABLE ONLY windlass_frozen.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY windlass_frozen.live
    ADD CONSTRAINT live_pkey PRIMARY KEY (id);
ALTER TABLE ONLY windlass_frozen.log_sizes
    ADD CONSTRAINT log_sizes_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY windlass_frozen.logs
    ADD CONSTRAINT logs_pkey PRIMARY KEY (seq, n);
ALTER TABLE ONLY windlass_frozen.modules
    ADD CONSTRAINT modules_pkey PRIMARY KEY (name);
ALTER TABLE ONLY windlass_frozen.progress
    ADD CONSTRAINT progress_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY windlass_frozen.queues
    ADD CONSTRAINT queues_name_key UNIQUE (name);
ALTER TABLE ONLY windlass_frozen.queues
    ADD CONSTRAINT queues_pkey PRIMARY KEY (n);
ALTER TABLE ONLY windlass_frozen.recurring
    ADD CONSTRAINT recurring_pkey PRIMARY KEY (name);
ALTER TABLE ONLY windlass_frozen.schema_versions
    ADD CONSTRAINT schema_versions_pkey PRIMARY KEY (version);
ALTER TABLE ONLY windlass_frozen.servers
    ADD CONSTRAINT servers_id_key UNIQUE (id);
ALTER TABLE ONLY windlass_frozen.servers
    ADD CONSTRAINT servers_pkey PRIMARY KEY (n);
ALTER TABLE ONLY windlass_frozen.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (tag, seq);
ALTER TABLE ONLY windlass_frozen.tally
    ADD CONSTRAINT tally_pkey PRIMARY KEY (queue, handler);
ALTER TABLE ONLY windlass_frozen.versions
    ADD CONSTRAINT versions_module_digest_key UNIQUE (module, digest);
ALTER TABLE ONLY windlass_frozen.versions
    ADD CONSTRAINT versions_pkey PRIMARY KEY (n);
ALTER TABLE ONLY windlass_frozen.wishes
    ADD CONSTRAINT wishes_pkey PRIMARY KEY (listener, what);
CREATE INDEX ended_at ON windlass_frozen.ended USING btree (((state + 0)), at);
CREATE INDEX handlers_active ON windlass_frozen.handlers USING btree (n) WHERE (active_mode IS NOT NULL);
CREATE INDEX jobs_by_handler ON windlass_frozen.jobs USING btree (handler, seq);
CREATE INDEX jobs_by_queue ON windlass_frozen.jobs USING btree (queue, seq);
CREATE INDEX live_awaiting ON windlass_frozen.live USING btree (handler, seq) WHERE (state = 1);
CREATE INDEX live_by_state ON windlass_frozen.live USING btree (((state + 0)), seq);
CREATE INDEX live_first ON windlass_frozen.live USING btree (mode, ((priority + 0)), ready_at, seq) WHERE (state = 2);
CREATE INDEX live_running ON windlass_frozen.live USING btree (server) WHERE (state = 3);
CREATE INDEX live_scheduled ON windlass_frozen.live USING btree (at, seq) WHERE (state = 0);
CREATE INDEX live_waiting ON windlass_frozen.live USING btree (mode, queue, priority, ready_at, seq) WHERE (state = 2);
CREATE INDEX logs_at ON windlass_frozen.logs USING btree (at);
CREATE INDEX queues_paused ON windlass_frozen.queues USING btree (n) WHERE paused;
CREATE INDEX recurring_due ON windlass_frozen.recurring USING btree (next_at, name) WHERE ((NOT paused) AND (next_at IS NOT NULL));
CREATE INDEX servers_alive ON windlass_frozen.servers USING btree (n) WHERE alive;
CREATE INDEX tags_by_job ON windlass_frozen.tags USING btree (seq);
CREATE INDEX tally_empty ON windlass_frozen.tally USING btree (queue, handler) WHERE ((scheduled = 0) AND (awaiting = 0) AND (enqueued = 0) AND (processing = 0) AND (succeeded = 0) AND (failed = 0) AND (deleted = 0));
ALTER TABLE ONLY windlass_frozen.modules
    ADD CONSTRAINT modules_active_fkey FOREIGN KEY (active) REFERENCES windlass_frozen.versions(n);
