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
