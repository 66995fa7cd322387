-- name: StepsRead :many
-- StepsRead is all that workers need to carry steps out. The goal tells them whether the order still wants it. undoes is
-- the forward step that each compensates, if it does, and undone_state what became of that. The request is that of the
-- generation whose key is used.
SELECT
    s.order_id, s.step, s.generation, s.state, k.generation AS key_generation, k.request, s.deadline_at, o.goal,
    coalesce(u.state, '')::text AS undone_state
FROM (
    SELECT
        unnest(@order_ids::uuid[]) AS order_id, unnest(@steps::text[]) AS step,
        unnest(@generations::integer[]) AS generation, unnest(@undoes::text[]) AS undoes
) w
JOIN millrace.order_steps s ON s.order_id = w.order_id AND s.step = w.step AND s.generation = w.generation
JOIN millrace.orders o ON o.id = s.order_id
JOIN millrace.order_steps k
    ON k.order_id = s.order_id AND k.step = s.step AND k.generation = coalesce(s.key_generation, s.generation)
LEFT JOIN millrace.order_steps u ON u.order_id = s.order_id AND u.step = w.undoes AND u.generation = 1;

-- name: StepsStranded :many
-- StepsStranded finds steps that are pending but have no job that could carry them out: River's rows were pruned,
-- discarded or deleted, or the process that runs the job has been silent for longer than any job may take, or the job
-- is known to be lost.
SELECT s.order_id, s.step, s.generation FROM millrace.order_steps s
WHERE s.state = 'pending' AND s.started_at < @started_before AND NOT EXISTS (
    SELECT FROM millrace.river_job j
    WHERE j.state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
        AND j.kind = s.step
        AND j.args ->> 'order_id' = s.order_id::text
        AND j.args ->> 'generation' = s.generation::text
        AND (j.state <> 'running' OR j.attempted_at > now() - @longest_run::interval AND j.id <> ALL(@lost::bigint[]))
)
ORDER BY s.started_at LIMIT @batch_size;

-- name: TakeTurn :one
-- TakeTurn takes the turn of a kind of work, until the transaction ends; false if somebody else has it.
SELECT pg_try_advisory_xact_lock(@key::bigint);

-- name: SweepPlan :exec
-- SweepPlan keeps the planner from joining row by row. Its statistics are from when nothing was pending; in an outage
-- there are as many pending steps as jobs, and their product takes for ever.
SET LOCAL enable_nestloop = off;

-- name: StepHandOver :execrows
-- StepHandOver notes that a pending step is about to be handed over. No row: that was noted before.
UPDATE millrace.order_steps SET handed_over_at = @at
WHERE order_id = @order_id AND step = @step AND generation = @generation
    AND state = 'pending' AND handed_over_at IS NULL;

-- name: StepTakeBack :exec
-- StepTakeBack notes that a step was not taken after all.
UPDATE millrace.order_steps SET handed_over_at = NULL
WHERE order_id = @order_id AND step = @step AND generation = @generation AND state = 'pending';
