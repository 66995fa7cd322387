-- name: StepRead :one
-- StepRead is all that a worker needs to carry a step out. The goal tells it whether the order still wants it.
SELECT s.state, s.request, s.deadline_at, o.goal FROM order_steps s
JOIN orders o ON o.id = s.order_id
WHERE s.order_id = @order_id AND s.step = @step AND s.generation = @generation;

-- name: StepsStranded :many
-- StepsStranded finds steps that are pending but have no job that could carry them out: River's rows were pruned,
-- discarded or deleted, or the process that runs the job has been silent for longer than any job may take.
SELECT s.order_id, s.step, s.generation FROM order_steps s
WHERE s.state = 'pending' AND s.started_at < @started_before AND NOT EXISTS (
    SELECT FROM river_job j
    WHERE j.state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
        AND j.kind = s.step
        AND j.args ->> 'order_id' = s.order_id::text
        AND j.args ->> 'generation' = s.generation::text
        AND (j.state <> 'running' OR j.attempted_at > @running_since::timestamptz)
)
ORDER BY s.started_at LIMIT @batch_size;
