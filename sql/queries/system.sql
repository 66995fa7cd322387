-- name: Leader :one
-- Leader is the River client that enqueues the periodic jobs.
SELECT leader_id FROM millrace.river_leader WHERE expires_at > now();

-- name: QueuesPaused :many
-- QueuesPaused lists the queues that somebody works, and says which of them an operator has paused.
SELECT name, (paused_at IS NOT NULL)::boolean AS paused FROM millrace.river_queue ORDER BY name;

-- name: Confirm :exec
-- Confirm makes a transaction that only reads wait at its commit as one that writes does. What it has read may be
-- there and not yet be with the synchronous standby: Postgres stops waiting, and shows it, when a statement times out.
SELECT pg_logical_emit_message(true, 'millrace', '');
