-- name: QueueDepths :many
-- QueueDepths counts the unfinished jobs by queue and state, and says since when the oldest one could have run.
SELECT queue, state::text AS state, count(*) AS jobs, min(scheduled_at)::timestamptz AS oldest_at
FROM millrace.river_job WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
GROUP BY queue, state;

-- name: UnfinishedOrders :many
-- UnfinishedOrders counts the orders that are not at rest, and those that wait for a person.
SELECT status, count(*) AS orders FROM millrace.orders WHERE status IN ('pending', 'processing', 'needs_attention')
GROUP BY status;

-- name: Now :one
SELECT clock_timestamp()::timestamptz;

-- name: TryMigrationLock :one
SELECT pg_try_advisory_lock(@key::bigint);

-- name: ReleaseMigrationLock :exec
SELECT pg_advisory_unlock(@key::bigint);
