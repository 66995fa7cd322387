-- name: HistoryDue :one
-- HistoryDue reports whether a sample is missing, whether the asking process leads, and the latest sample of the same
-- resolution; the epoch if there is none.
SELECT
    NOT EXISTS (SELECT FROM millrace.history_samples s WHERE s.resolution = @resolution AND s.at = @at) AS missing,
    EXISTS (SELECT FROM millrace.river_leader l WHERE l.leader_id = @self AND l.expires_at > now()) AS leads,
    coalesce((
        SELECT s.at FROM millrace.history_samples s WHERE s.resolution = @resolution ORDER BY s.at DESC LIMIT 1
    ), 'epoch')::timestamptz AS latest;

-- name: HistoryWrite :exec
-- HistoryWrite stores samples. A sample that another process has stored stays.
INSERT INTO millrace.history_samples (resolution, at, sample)
SELECT @resolution::integer, unnest(@at::timestamptz[]), unnest(@samples::text[])::jsonb
ON CONFLICT ON CONSTRAINT history_samples_pkey DO NOTHING;

-- name: HistoryRead :many
-- HistoryRead reads the latest samples of a span, newest first.
SELECT at, sample FROM millrace.history_samples
WHERE resolution = @resolution AND at >= @since AND at < @before ORDER BY at DESC LIMIT @most;

-- name: HistoryPrune :exec
DELETE FROM millrace.history_samples WHERE resolution = @resolution AND at < @before;

-- name: LaneSteps :many
-- LaneSteps counts the pending steps of the oldest open orders by kind, and returns since when the oldest of each has
-- been pending.
SELECT s.step::text AS step, count(*) AS steps, min(s.started_at)::timestamptz AS started_at
FROM (SELECT p.order_id FROM millrace.open_orders p ORDER BY p.order_id LIMIT @most) o
CROSS JOIN LATERAL (
    SELECT p.step, p.started_at FROM millrace.order_steps p WHERE p.order_id = o.order_id AND p.state = 'pending' OFFSET 0
) s
GROUP BY s.step;
