-- name: QueueDepths :many
-- QueueDepths counts the unfinished jobs by queue and state, each up to a maximum, and returns since when the oldest
-- job could have run. It goes from queue to queue along River's index: counting a whole million would take longer than
-- a scrape may.
WITH RECURSIVE found AS (
    SELECT s.state, (SELECT min(j.queue) FROM millrace.river_job j WHERE j.state = s.state) AS queue
    FROM unnest('{available,pending,retryable,running,scheduled}'::millrace.river_job_state[]) AS s (state)
    UNION ALL
    SELECT f.state, (SELECT min(j.queue) FROM millrace.river_job j WHERE j.state = f.state AND j.queue > f.queue)
    FROM found f WHERE f.queue IS NOT NULL
)
SELECT f.queue::text AS queue, f.state::text AS state, d.jobs, o.oldest_at::timestamptz AS oldest_at
FROM found f
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs FROM (
        SELECT FROM millrace.river_job c WHERE c.state = f.state AND c.queue = f.queue
        ORDER BY c.priority, c.scheduled_at LIMIT @most -- in the order of the index, so that the index is used
    ) l
) d
CROSS JOIN LATERAL (
    SELECT min(r.scheduled_at) AS oldest_at FROM generate_series(1, 4) AS p (priority)
    CROSS JOIN LATERAL (
        SELECT j.scheduled_at FROM millrace.river_job j
        WHERE j.state = f.state AND j.queue = f.queue AND j.priority = p.priority
        ORDER BY j.scheduled_at LIMIT 1
    ) r
) o
WHERE f.queue IS NOT NULL;

-- name: UnfinishedOrders :many
-- UnfinishedOrders counts the orders that are under way, and those that need attention, by status. It looks at a
-- maximum of each. BETWEEN and the first column of ORDER BY keep the planner to the index over standing: it would take
-- the orders for evenly spread, and walk through all the finished ones.
SELECT o.status::text AS status, count(*) AS orders FROM (
    SELECT u.status FROM millrace.orders u WHERE u.standing BETWEEN 'open' AND 'open'
    ORDER BY u.standing, u.id DESC LIMIT @most
) o
GROUP BY o.status
UNION ALL
SELECT 'needs_attention' AS status, count(*) AS orders FROM (
    SELECT FROM millrace.orders u WHERE u.standing BETWEEN 'needs_attention' AND 'needs_attention'
    ORDER BY u.standing, u.id DESC LIMIT @most
) n;

-- name: Now :one
SELECT clock_timestamp()::timestamptz;

-- name: TryMigrationLock :one
SELECT pg_try_advisory_xact_lock(@key::bigint);
