-- name: StepsRead :many
-- StepsRead reads all that workers need to carry steps out. The goal shows them whether the order still wants the step.
-- undoes is the forward step that a compensation undoes, and undone_state is the state of that forward step. The
-- request is that of the generation whose key is used.
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

-- name: StepsSweep :many
-- StepsSweep reads a page of the pending steps of one kind, after a given step, and reports which are stranded. A
-- stranded step was started before a moment and has no job that could carry it out: River's row was pruned, discarded
-- or deleted, or its process has been silent for longer than any job may take. The job is looked up for each step by
-- itself. The limits keep the planner from joining: its statistics are from when no step was pending.
WITH page AS (
    SELECT s.order_id, s.generation, s.deadline_at, s.started_at FROM millrace.order_steps s
    WHERE s.step = @step AND s.state = 'pending'
        AND (s.deadline_at, s.order_id, s.generation)
            > (@after_deadline_at::timestamptz, @after_order_id::uuid, @after_generation::integer)
    ORDER BY s.deadline_at, s.order_id, s.generation LIMIT @page_size
)
SELECT
    page.order_id, page.generation, page.deadline_at,
    (page.started_at < @started_before::timestamptz AND live.id IS NULL)::boolean AS stranded
FROM page
LEFT JOIN LATERAL (
    SELECT j.id FROM millrace.river_job j
    WHERE page.started_at < @started_before::timestamptz
        AND j.state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
        AND j.args ->> 'order_id' = page.order_id::text AND j.args ->> 'generation' = page.generation::text
        AND j.kind || '' = @step -- an index over kinds finds as many jobs as there are
        AND (j.state <> 'running' OR j.attempted_at > now() - @longest_run::interval)
    LIMIT 1
) live ON true
ORDER BY page.deadline_at, page.order_id, page.generation;

-- name: StepsPending :many
-- StepsPending returns those of some steps that are pending.
SELECT s.order_id, s.step, s.generation FROM (
    SELECT
        unnest(@order_ids::uuid[]) AS order_id, unnest(@steps::text[]) AS step, unnest(@generations::integer[]) AS generation
) w
JOIN millrace.order_steps s ON s.order_id = w.order_id AND s.step = w.step AND s.generation = w.generation
WHERE s.state = 'pending';

-- name: StepsOverdue :many
-- StepsOverdue lists the steps of some kinds that are pending although their deadline was before a moment, for each
-- kind the earliest deadlines first.
SELECT d.order_id, w.step::text AS step, d.generation, d.deadline_at
FROM (SELECT unnest(@steps::text[]) AS step) w
CROSS JOIN LATERAL (
    SELECT s.order_id, s.generation, s.deadline_at FROM millrace.order_steps s
    WHERE s.step = w.step AND s.state = 'pending' AND s.deadline_at < @before
    ORDER BY s.deadline_at, s.order_id LIMIT @most_each
) d;

-- name: StepsUnwanted :many
-- StepsUnwanted reads the same page as StepsSweep, and reports which steps their orders do not want any more.
WITH page AS (
    SELECT s.order_id, s.generation, s.deadline_at FROM millrace.order_steps s
    WHERE s.step = @step AND s.state = 'pending'
        AND (s.deadline_at, s.order_id, s.generation)
            > (@after_deadline_at::timestamptz, @after_order_id::uuid, @after_generation::integer)
    ORDER BY s.deadline_at, s.order_id, s.generation LIMIT @page_size
)
SELECT page.order_id, page.generation, page.deadline_at, coalesce(o.goal <> 'complete', false)::boolean AS unwanted
FROM page
LEFT JOIN LATERAL (SELECT g.goal FROM millrace.orders g WHERE g.id = page.order_id LIMIT 1) o ON true
ORDER BY page.deadline_at, page.order_id, page.generation;

-- name: StepsOldest :many
-- StepsOldest returns, for each of some kinds, since when the pending step with the earliest deadline has been pending.
SELECT w.step::text AS step, d.started_at
FROM (SELECT unnest(@steps::text[]) AS step) w
CROSS JOIN LATERAL (
    SELECT s.started_at FROM millrace.order_steps s
    WHERE s.step = w.step AND s.state = 'pending' ORDER BY s.deadline_at, s.order_id LIMIT 1
) d;

-- name: SweepProgress :many
SELECT * FROM millrace.sweep_progress;

-- name: SweepProgressWrite :exec
INSERT INTO millrace.sweep_progress (step, deadline_at, order_id, generation) VALUES (@step, @deadline_at, @order_id, @generation)
ON CONFLICT ON CONSTRAINT sweep_progress_pkey DO UPDATE
SET deadline_at = EXCLUDED.deadline_at, order_id = EXCLUDED.order_id, generation = EXCLUDED.generation;

-- name: SweepProgressForget :exec
DELETE FROM millrace.sweep_progress WHERE step = @step;

-- name: TakeTurn :one
-- TakeTurn takes the turn of a kind of work until the transaction ends, and returns false if another process has it.
SELECT pg_try_advisory_xact_lock(@key::bigint);

-- name: SweepPlan :exec
-- SweepPlan is for the transactions that read pages of pending steps. It keeps Postgres from compiling a query that
-- takes a few milliseconds: with old statistics it would. And it has Postgres plan for the page's real size: a plan for
-- any size reads and sorts all pending steps for each page, which takes more than a second for a million.
SELECT set_config('jit', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true);

-- name: StepHandOver :execrows
-- StepHandOver records that a pending step is about to be handed over. It returns no row if that was recorded before.
UPDATE millrace.order_steps SET handed_over_at = @at
WHERE order_id = @order_id AND step = @step AND generation = @generation
    AND state = 'pending' AND handed_over_at IS NULL;

-- name: StepTakeBack :exec
-- StepTakeBack records that a step was not handed over after all.
UPDATE millrace.order_steps SET handed_over_at = NULL
WHERE order_id = @order_id AND step = @step AND generation = @generation AND state = 'pending';
