-- name: Leader :one
-- Leader is the River client that enqueues the periodic jobs.
SELECT leader_id FROM millrace.river_leader WHERE expires_at > now();

-- name: QueuesPaused :many
-- QueuesPaused lists the queues that are worked, and tells which of them an operator has paused, and from which every live
-- process keeps away because the provider's breaker is open.
SELECT
    q.name, (q.paused_at IS NOT NULL)::boolean AS paused,
    coalesce((
        SELECT bool_and(q.name = ANY(i.shut_queues)) FROM millrace.instances i WHERE i.heartbeat_at > now() - @silence::interval
    ), false)::boolean AS shut
FROM millrace.river_queue q ORDER BY q.name;

-- name: Confirm :exec
-- Confirm makes a transaction that only reads wait at its commit as one that writes does. What it has read may be
-- there and not yet be with the synchronous standby: Postgres stops waiting, and shows it, when a statement times out.
SELECT pg_logical_emit_message(true, 'millrace', '');

-- name: ConnectionsAllowed :one
-- ConnectionsAllowed says how many connections the role, the database and the server allow; -1 is any number.
SELECT
    r.rolname::text AS role, (CASE WHEN r.rolsuper THEN -1 ELSE r.rolconnlimit END)::integer AS of_role,
    (CASE WHEN r.rolsuper THEN -1 ELSE d.datconnlimit END)::integer AS of_database,
    (current_setting('max_connections')::integer - CASE WHEN r.rolsuper THEN 0 ELSE
        current_setting('superuser_reserved_connections')::integer
        + coalesce(current_setting('reserved_connections', true)::integer, 0) END)::integer AS of_server
FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
WHERE r.rolname = session_user AND d.datname = current_database();
