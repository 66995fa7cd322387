-- name: VerifyBegin :exec
-- VerifyBegin must be the first statement of a transaction. The transaction then sees one moment and can change
-- nothing.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: VerifyRecent :many
-- VerifyRecent lists the orders of the last entries of the log.
SELECT DISTINCT e.order_id FROM (
    SELECT l.order_id FROM millrace.order_events l ORDER BY l.txid DESC, l.id DESC LIMIT @entries
) e;

-- name: VerifyPage :many
-- VerifyPage reads a page of all orders by id, above the given id.
SELECT id FROM millrace.orders WHERE id > @after::uuid ORDER BY id LIMIT @page_size;

-- name: VerifyEvents :many
-- VerifyEvents reads the whole log of some orders.
SELECT * FROM millrace.order_events WHERE order_id = ANY(@ids::uuid[]) ORDER BY order_id, version, id;

-- name: VerifyPruned :one
SELECT pruned_to FROM millrace.log_history;

-- name: VerifyKeys :many
-- VerifyKeys finds orders that share their idempotency key with one of the given orders.
SELECT o.id, twin.id AS twin_id FROM millrace.orders o
JOIN millrace.orders twin ON twin.principal = o.principal AND twin.idempotency_key = o.idempotency_key AND twin.id <> o.id
WHERE o.id = ANY(@ids::uuid[]) AND o.idempotency_key IS NOT NULL;

-- name: VerifyLogPage :many
-- VerifyLogPage reads a page of the log after a cursor, and reports whether the order of each event exists.
SELECT e.txid, e.id, e.order_id, (
    o.id IS NULL AND NOT EXISTS (SELECT FROM millrace.archived_orders a WHERE a.order_id = e.order_id)
)::boolean AS orphan
FROM (
    SELECT l.txid, l.id, l.order_id FROM millrace.order_events l
    WHERE (l.txid, l.id) > (@txid::xid8, @id::bigint) ORDER BY l.txid, l.id LIMIT @page_size
) e LEFT JOIN millrace.orders o ON o.id = e.order_id
ORDER BY e.txid, e.id;

-- name: VerifyOrphans :many
-- VerifyOrphans finds items and steps without an order, between two ids.
SELECT s.order_id FROM millrace.order_steps s
WHERE s.order_id > @after::uuid AND s.order_id <= @up_to::uuid
    AND NOT EXISTS (SELECT FROM millrace.orders o WHERE o.id = s.order_id)
UNION
SELECT i.order_id FROM millrace.order_items i
WHERE i.order_id > @after::uuid AND i.order_id <= @up_to::uuid
    AND NOT EXISTS (SELECT FROM millrace.orders o WHERE o.id = i.order_id)
LIMIT @most;

-- name: VerifyStuck :many
-- VerifyStuck finds, among the oldest orders under way, those without any step that they could wait for. For BETWEEN see
-- UnfinishedOrders. The LIMIT 1 keeps the planner from reading all pending steps to join them: the steps of each order
-- are looked up.
SELECT o.id, o.status FROM (
    SELECT p.id, p.status FROM millrace.orders p WHERE p.standing BETWEEN 'open' AND 'open'
    ORDER BY p.standing DESC, p.id LIMIT @scan_size
) o
LEFT JOIN LATERAL (
    SELECT true AS waits FROM millrace.order_steps s
    WHERE s.order_id = o.id AND s.state = 'pending' AND s.step <> ALL(@notices::text[]) LIMIT 1
) w ON true
WHERE w.waits IS NULL;

-- name: VerifyLongJobs :many
-- VerifyLongJobs lists jobs that have run for longer than they may. The log's upkeep has a limit of its own.
SELECT id, kind, attempted_at::timestamptz AS attempted_at, coalesce(args ->> 'order_id', '')::text AS order_id
FROM millrace.river_job
WHERE state = 'running' AND attempted_at < @before::timestamptz
    AND (kind <> @upkeep::text OR attempted_at < @upkeep_before::timestamptz)
ORDER BY attempted_at LIMIT @most;

-- name: VerifyBacklog :many
-- VerifyBacklog lists the queues in which a job has been ready since before a moment and which no process has worked
-- since, with the time of that job. It leaves out queues that are or were paused by an operator after that moment, and
-- queues that were shut in every live process because the provider's breaker was open. It leaves out all queues until a
-- process has lived for as long.
WITH RECURSIVE found AS (
    SELECT min(j.queue) AS queue FROM millrace.river_job j WHERE j.state = 'available'
    UNION ALL
    SELECT (SELECT min(j.queue) FROM millrace.river_job j WHERE j.state = 'available' AND j.queue > f.queue)
    FROM found f WHERE f.queue IS NOT NULL
), live AS (
    SELECT i.shut_queues, i.started_at FROM millrace.instances i WHERE i.heartbeat_at > now() - @silence::interval
)
SELECT f.queue::text AS queue, o.oldest_at::timestamptz AS oldest_at
FROM found f
CROSS JOIN LATERAL (
    SELECT min(r.scheduled_at) AS oldest_at FROM generate_series(1, 4) AS p (priority)
    CROSS JOIN LATERAL (
        SELECT j.scheduled_at FROM millrace.river_job j
        WHERE j.state = 'available' AND j.queue = f.queue AND j.priority = p.priority
        ORDER BY j.scheduled_at LIMIT 1
    ) r
) o
WHERE f.queue IS NOT NULL AND o.oldest_at < @before::timestamptz
    AND NOT EXISTS (SELECT FROM millrace.river_queue p WHERE p.name = f.queue AND p.paused_at IS NOT NULL)
    AND NOT EXISTS (SELECT FROM millrace.levers l WHERE l.kind = 'lane' AND l.lane = f.queue AND l.ends_at > now())
    AND (NOT EXISTS (SELECT FROM live) OR EXISTS (
        SELECT FROM live l WHERE f.queue <> ALL(l.shut_queues) AND l.started_at < @before::timestamptz
    ))
    AND NOT EXISTS (
        SELECT FROM millrace.queue_attendance a
        WHERE a.queue = f.queue AND greatest(a.paused_at, a.shut_at, a.worked_at) >= @before::timestamptz
    )
ORDER BY f.queue;

-- name: VerifyResumed :many
-- VerifyResumed returns those of some queues that are paused, or were paused after a moment. It returns all of them if
-- no living process is older than that moment.
SELECT q.name::text AS name FROM unnest(@queues::text[]) AS q (name)
WHERE EXISTS (SELECT FROM millrace.river_queue r WHERE r.name = q.name AND r.paused_at IS NOT NULL)
    OR EXISTS (SELECT FROM millrace.levers l WHERE l.kind = 'lane' AND l.lane = q.name AND l.ends_at > now())
    OR EXISTS (SELECT FROM millrace.queue_attendance a WHERE a.queue = q.name AND a.paused_at >= @after::timestamptz)
    OR (
        SELECT min(i.started_at) FROM millrace.instances i WHERE i.heartbeat_at > now() - @silence::interval
    ) >= @after::timestamptz;

-- name: VerifyTransactions :many
-- VerifyTransactions lists the transactions of this database that are older than they should be. writes reports whether
-- a transaction has an id, and therefore holds up all readers of the log. Postgres shows other users' sessions to
-- pg_read_all_stats only. The log's upkeep, which reads a whole partition, and a dump are left out for as long as they
-- may still be at work.
SELECT
    a.pid::integer AS pid, coalesce(a.application_name, '')::text AS application,
    (a.backend_xid IS NOT NULL)::boolean AS writes, a.xact_start::timestamptz AS started_at
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
    AND (a.backend_xid IS NOT NULL AND a.xact_start < @writes_before::timestamptz
        OR a.backend_xmin IS NOT NULL AND a.xact_start < @reads_before::timestamptz)
    AND NOT (a.xact_start >= @upkeep_before::timestamptz AND EXISTS (
        SELECT FROM pg_catalog.pg_locks l
        WHERE l.pid = a.pid AND l.granted AND l.locktype = 'advisory' AND l.objsubid = 1
            AND l.classid::bigint = @mark::bigint >> 32 AND l.objid::bigint = @mark::bigint & 4294967295
    ))
    AND NOT (a.xact_start >= @dumps_before::timestamptz AND a.application_name = 'pg_dump' AND a.backend_xid IS NULL)
UNION ALL
SELECT 0, format('prepared transaction %L of %s', p.gid, p.owner), true, p.prepared
FROM pg_catalog.pg_prepared_xacts p
WHERE p.database = current_database() AND p.prepared < @writes_before::timestamptz
ORDER BY started_at LIMIT @most;

-- name: VerifySlots :many
-- VerifySlots lists the consumers elsewhere for which Postgres keeps WAL or dead rows: replication slots of the whole
-- server, and standbys that send feedback without a slot. Temporary slots end with their session, and a lost slot holds
-- nothing back. From Postgres 17 on it is known since when a slot is unused.
SELECT s.name::text AS name, s.active::boolean AS active, s.retained::bigint AS retained, s.horizon::bigint AS horizon,
    s.catalog_horizon::bigint AS catalog_horizon
FROM (
    SELECT r.slot_name AS name, r.active, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), r.restart_lsn), 0) AS retained,
        coalesce(age(r.xmin), 0) AS horizon, coalesce(age(r.catalog_xmin), 0) AS catalog_horizon,
        coalesce((to_jsonb(r) ->> 'inactive_since')::timestamptz < now() - @unused::interval, false) AS unused
    FROM pg_catalog.pg_replication_slots r
    WHERE NOT r.temporary AND r.wal_status IS DISTINCT FROM 'lost'
    UNION ALL
    SELECT 'standby ' || w.application_name, true, 0, age(w.backend_xmin), 0, false
    FROM pg_catalog.pg_stat_replication w
    WHERE w.backend_xmin IS NOT NULL
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots r WHERE r.active_pid = w.pid)
) s
WHERE s.retained > @most_retained::bigint OR s.unused AND s.retained > @most_unused::bigint
    OR s.horizon > @most_horizon::bigint OR s.catalog_horizon > @most_catalog_horizon::bigint
ORDER BY s.name LIMIT @most;

-- name: VerifyNotifications :one
SELECT pg_notification_queue_usage()::float8 AS usage;

-- name: VerifyDeadRows :many
-- VerifyDeadRows lists the tables where vacuum leaves twice as many dead rows as by default.
SELECT relname::text AS relation, n_dead_tup::bigint AS dead, n_live_tup::bigint AS live FROM pg_catalog.pg_stat_user_tables
WHERE schemaname = 'millrace' AND n_dead_tup - 2 * n_live_tup / 5 > @least::bigint ORDER BY relname;

-- name: VerifyNames :exec
-- VerifyNames makes Postgres print definitions with the schema of every name, and quotes only where names need
-- them, whatever the session's settings are.
SELECT set_config('search_path', 'pg_catalog', true), set_config('quote_all_identifiers', 'off', true);

-- name: VerifyGuards :many
-- VerifyGuards returns the definitions of the constraints, unique indexes and triggers of the given names, with their
-- table and with anything that disables them. A trigger includes its function's text, because the function can be
-- replaced, too.
SELECT c.conname::text AS name, concat(r.relname, ': ', pg_get_constraintdef(c.oid),
    CASE WHEN NOT i.indisvalid THEN ' INVALID' END,
    CASE WHEN EXISTS (
        SELECT FROM pg_catalog.pg_trigger t WHERE t.tgconstraint = c.oid AND t.tgenabled NOT IN ('O', 'A')
    ) THEN ' DISABLED' END)::text AS definition
FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class r ON r.oid = c.conrelid
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.conindid AND c.contype IN ('p', 'u')
WHERE c.conname = ANY(@names::text[]) AND c.connamespace = 'millrace'::regnamespace
UNION ALL
SELECT x.relname::text, concat(r.relname, ': ', pg_get_indexdef(i.indexrelid), CASE WHEN NOT i.indisvalid THEN ' INVALID' END)
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_class r ON r.oid = i.indrelid
WHERE x.relname = ANY(@names::text[]) AND x.relnamespace = 'millrace'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('p', 'u'))
UNION ALL
SELECT t.tgname::text, concat(r.relname, ': ', pg_get_triggerdef(t.oid),
    CASE WHEN t.tgenabled NOT IN ('O', 'A') THEN ' DISABLED' END, E'\n', p.prosrc)
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class r ON r.oid = t.tgrelid JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
WHERE t.tgname = ANY(@names::text[]) AND r.relnamespace = 'millrace'::regnamespace;

-- name: VerificationWrite :exec
-- VerificationWrite stores the latest verification, for all processes to show.
INSERT INTO millrace.verification (started_at, duration_seconds, orders, events, violations)
VALUES (@started_at, @duration_seconds, @orders, @events, @violations)
ON CONFLICT (singleton) DO UPDATE
SET started_at = EXCLUDED.started_at, duration_seconds = EXCLUDED.duration_seconds, orders = EXCLUDED.orders,
    events = EXCLUDED.events, violations = EXCLUDED.violations
WHERE verification.started_at < EXCLUDED.started_at;

-- name: VerificationRead :one
SELECT * FROM millrace.verification;
