-- name: Leader :one
-- Leader returns the River client that enqueues the periodic jobs.
SELECT leader_id FROM millrace.river_leader WHERE expires_at > now();

-- name: Vigil :one
-- Vigil reads the rows that show whether periodic work runs at all: the living processes with workers, River's leader,
-- the latest verification, the log's upkeep, and the partitions of this week and the next. An event that never happened
-- has the time of the epoch.
WITH live AS (
    SELECT i.* FROM millrace.instances i WHERE i.heartbeat_at > now() - @silence::interval
), leader AS (
    SELECT l.leader_id FROM millrace.river_leader l WHERE l.expires_at > now()
)
SELECT
    now()::timestamptz AS at,
    (SELECT count(*) FROM live) AS live,
    coalesce((SELECT min(l.live_since) FROM live l), now())::timestamptz AS live_since,
    coalesce((SELECT l.leader_id FROM leader l), '')::text AS leader,
    EXISTS (SELECT FROM live l JOIN leader r ON r.leader_id = l.id) AS led,
    coalesce((SELECT min(l.unled_since) FROM live l), now())::timestamptz AS unled_since,
    coalesce((SELECT min(l.live_since) FROM live l WHERE l.verify_every > '0'), now())::timestamptz AS verifying_since,
    coalesce((SELECT max(extract(epoch FROM l.verify_every)) FROM live l), 0)::float8 AS verify_every,
    coalesce((SELECT v.started_at FROM millrace.verification v), 'epoch')::timestamptz AS verified_at,
    coalesce((SELECT u.succeeded_at FROM millrace.log_upkeep u), 'epoch')::timestamptz AS upkept_at,
    coalesce((SELECT u.failing_since FROM millrace.log_upkeep u), now())::timestamptz AS upkeep_failing_since,
    coalesce((SELECT u.error FROM millrace.log_upkeep u), '')::text AS upkeep_error,
    coalesce((SELECT u.passing FROM millrace.log_upkeep u), false)::boolean AS upkeep_passing,
    (SELECT count(*) FROM unnest(ARRAY[now(), now() + @ahead::interval]) AS m (at)
        WHERE NOT EXISTS (SELECT FROM millrace.log_partitions() p WHERE p.starts <= m.at AND p.ends > m.at)
    ) AS partitions_missing;

-- name: OwnsJobs :one
-- OwnsJobs reports whether the session may rebuild the indexes of River's jobs.
SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE')::boolean AS owns
FROM pg_catalog.pg_class c WHERE c.oid = 'millrace.river_job'::regclass;

-- name: QueuesPaused :many
-- QueuesPaused lists the queues that are worked. It reports which of them an operator has paused, in River or by a
-- lever, and which are shut in every live process because the provider's breaker is open.
SELECT
    q.name, (q.paused_at IS NOT NULL)::boolean AS paused,
    EXISTS (
        SELECT FROM millrace.levers l WHERE l.kind = 'lane' AND l.lane = q.name AND l.ends_at > now()
    )::boolean AS held,
    coalesce((
        SELECT bool_and(q.name = ANY(i.shut_queues)) FROM millrace.instances i WHERE i.heartbeat_at > now() - @silence::interval
    ), false)::boolean AS shut
FROM millrace.river_queue q ORDER BY q.name;

-- name: Confirm :exec
-- Confirm makes a transaction that only reads wait at its commit as one that writes would. A row that the transaction
-- has read may be missing on the synchronous standby: when the wait for the standby times out, Postgres shows the row
-- all the same.
SELECT pg_logical_emit_message(true, 'millrace', '');

-- name: ConnectionsAllowed :one
-- ConnectionsAllowed returns how many connections the role, the database and the server allow; -1 stands for any
-- number.
SELECT
    r.rolname::text AS role, (CASE WHEN r.rolsuper THEN -1 ELSE r.rolconnlimit END)::integer AS of_role,
    (CASE WHEN r.rolsuper THEN -1 ELSE d.datconnlimit END)::integer AS of_database,
    (current_setting('max_connections')::integer - CASE WHEN r.rolsuper THEN 0 ELSE
        current_setting('superuser_reserved_connections')::integer
        + coalesce(current_setting('reserved_connections', true)::integer, 0) END)::integer AS of_server
FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
WHERE r.rolname = session_user AND d.datname = current_database();
