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
-- LaneSteps counts the pending steps of each kind, up to a maximum, and returns since when the step with the earliest
-- deadline has been pending.
SELECT w.step::text AS step, c.steps, d.started_at
FROM (SELECT unnest(@steps::text[]) AS step) w
CROSS JOIN LATERAL (
    SELECT s.started_at FROM millrace.order_steps s
    WHERE s.step = w.step AND s.state = 'pending' ORDER BY s.deadline_at, s.order_id LIMIT 1
) d
CROSS JOIN LATERAL (
    SELECT count(*) AS steps FROM (
        SELECT FROM millrace.order_steps n WHERE n.step = w.step AND n.state = 'pending'
        ORDER BY n.deadline_at, n.order_id, n.generation LIMIT @most
    ) l
) c;
