-- name: StepsRead :many
-- StepsRead reads all that workers need to carry steps out. The goal shows them whether the order still wants the step.
-- undoes is the forward step that a compensation undoes, and undone_state is the state of that forward step. The
-- request is that of the generation whose key is used.
SELECT
    s.order_id, s.step, s.generation, s.state, k.generation AS key_generation, k.request, s.deadline_at, o.goal,
    coalesce(u.state, '')::text AS undone_state, o.request_id, o.traceparent
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

-- name: OrdersPending :many
-- OrdersPending reads the pending steps of some orders for the jobs that carry them: what StepsRead reads, and whether
-- another live job is to carry the step out: a job of the step's own, a carrying job that names the step, or a later
-- one that names none.
SELECT
    w.job_id, s.order_id, s.step, s.generation, s.state, k.generation AS key_generation, k.request, s.deadline_at, o.goal,
    coalesce(u.state, '')::text AS undone_state, o.request_id, o.traceparent,
    EXISTS (
        SELECT FROM millrace.river_job j
        WHERE j.args ->> 'order_id' = s.order_id::text
            AND j.state IN ('available', 'pending', 'retryable', 'running', 'scheduled') AND j.id <> w.job_id
            AND (j.kind || '' = s.step AND j.args ->> 'generation' = s.generation::text
                OR j.kind || '' = 'carry_order' AND CASE WHEN j.args ? 'steps'
                    THEN j.args -> 'steps' ? concat(s.step, ':', s.generation) ELSE j.id > w.job_id END)
    )::boolean AS taken
FROM (SELECT unnest(@order_ids::uuid[]) AS order_id, unnest(@job_ids::bigint[])::bigint AS job_id) w
JOIN millrace.orders o ON o.id = w.order_id
JOIN millrace.order_steps s ON s.order_id = w.order_id AND s.state = 'pending'
JOIN millrace.order_steps k
    ON k.order_id = s.order_id AND k.step = s.step AND k.generation = coalesce(s.key_generation, s.generation)
LEFT JOIN (SELECT unnest(@compensations::text[]) AS step, unnest(@undone::text[]) AS undone) c ON c.step = s.step
LEFT JOIN millrace.order_steps u ON u.order_id = s.order_id AND u.step = c.undone AND u.generation = 1;

-- name: OpenSteps :many
-- OpenSteps reads a page of the open orders with their pending steps, after a given order. A stranded step was started
-- before a moment, and no job can carry it out: neither a job of its own nor one that carries its order. River's row was
-- pruned, discarded or deleted, or its process has been silent for longer than any job may take. An order without a
-- pending step has an empty step. Steps and jobs are looked up for each order by itself. The limits and offsets keep the
-- planner from joining: its statistics are from when no order was open.
WITH page AS (
    SELECT p.order_id FROM millrace.open_orders p WHERE p.order_id > @after::uuid ORDER BY p.order_id LIMIT @page_size
)
SELECT
    page.order_id, coalesce(s.step, '')::text AS step, coalesce(s.generation, 0)::integer AS generation,
    coalesce(s.deadline_at, 'epoch')::timestamptz AS deadline_at, coalesce(o.goal, '')::text AS goal,
    coalesce(s.started_at < @started_before::timestamptz AND live.id IS NULL, false)::boolean AS stranded
FROM page
LEFT JOIN LATERAL (
    SELECT p.step, p.generation, p.started_at, p.deadline_at FROM millrace.order_steps p
    WHERE p.order_id = page.order_id AND p.state = 'pending' OFFSET 0
) s ON true
LEFT JOIN LATERAL (SELECT g.goal FROM millrace.orders g WHERE g.id = page.order_id LIMIT 1) o ON true
LEFT JOIN LATERAL (
    SELECT j.id FROM millrace.river_job j
    WHERE s.started_at < @started_before::timestamptz
        AND j.state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
        AND j.args ->> 'order_id' = page.order_id::text
        AND (j.kind || '' = 'carry_order' -- an index over kinds finds as many jobs as there are
            OR j.kind || '' = s.step AND j.args ->> 'generation' = s.generation::text)
        AND (j.state <> 'running' OR j.attempted_at > now() - @longest_run::interval)
    LIMIT 1
) live ON true
ORDER BY page.order_id;

-- name: OrdersUnopened :many
-- OrdersUnopened reads a page of the orders that are under way, after a given order, and reports which are missing from
-- the open orders: programs of an earlier version do not add them.
SELECT o.id, NOT EXISTS (SELECT FROM millrace.open_orders p WHERE p.order_id = o.id) AS missing
FROM millrace.orders o WHERE o.standing = 'open' AND o.id > @after::uuid ORDER BY o.id LIMIT @page_size;

-- name: OrdersOpen :exec
-- OrdersOpen adds those of some locked orders that are not idle to the open orders, and removes the others.
WITH o AS (
    SELECT r.id, (r.standing = 'open' OR EXISTS (
        SELECT FROM millrace.order_steps s WHERE s.order_id = r.id AND s.state = 'pending'
    )) AS open
    FROM (SELECT unnest(@ids::uuid[]) AS id) i JOIN millrace.orders r ON r.id = i.id
), closed AS (
    DELETE FROM millrace.open_orders p USING unnest(@ids::uuid[]) AS i (id)
    WHERE p.order_id = i.id AND NOT EXISTS (SELECT FROM o WHERE o.id = i.id AND o.open)
)
INSERT INTO millrace.open_orders (order_id) SELECT o.id FROM o WHERE o.open ON CONFLICT DO NOTHING;

-- name: SweepCursors :many
SELECT * FROM millrace.sweep_cursor;

-- name: SweepCursorWrite :exec
INSERT INTO millrace.sweep_cursor (walk, order_id) VALUES (@walk, @order_id)
ON CONFLICT ON CONSTRAINT sweep_cursor_pkey DO UPDATE SET order_id = EXCLUDED.order_id;

-- name: SweepCursorForget :exec
DELETE FROM millrace.sweep_cursor WHERE walk = @walk;

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
