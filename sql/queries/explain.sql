-- name: EvidenceOrder :one
-- EvidenceOrder reads an order together with its unfinished jobs, newest first. One statement sees one state of both:
-- otherwise a job that ends in between would look like a lost one. The sum keeps Postgres from going by ids.
SELECT
    sqlc.embed(o),
    (
        SELECT coalesce(json_agg(f), '[]') FROM (
            SELECT
                j.kind, j.queue, j.state, j.attempt, j.scheduled_at, j.attempted_at,
                coalesce(j.attempted_by[array_upper(j.attempted_by, 1)], '') AS worker,
                coalesce(j.args ->> 'generation', '') AS generation, coalesce(j.args ->> 'tries', '') AS tries,
                coalesce(j.args -> 'steps', '[]') AS steps,
                coalesce(j.errors[array_upper(j.errors, 1)] ->> 'error', '') AS error,
                j.errors[array_upper(j.errors, 1)] ->> 'at' AS error_at
            FROM millrace.river_job j
            WHERE j.args ->> 'order_id' = o.id::text
                AND j.state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
            ORDER BY j.id + 0 DESC LIMIT @most_jobs
        ) f
    )::json AS jobs,
    now()::timestamptz AS now
FROM millrace.order_documents o WHERE o.id = @id;

-- name: EvidenceQueues :many
-- EvidenceQueues reads since when queues are paused in River, and since when their oldest job could have run. The
-- oldest is looked up by priority, along River's index. An epoch stands for none.
SELECT
    q.name::text AS name, coalesce(r.paused_at, 'epoch')::timestamptz AS paused_at,
    coalesce(o.oldest_at, 'epoch')::timestamptz AS oldest_at
FROM (SELECT unnest(@names::text[]) AS name) q
LEFT JOIN millrace.river_queue r ON r.name = q.name
CROSS JOIN LATERAL (
    SELECT min(a.scheduled_at) AS oldest_at FROM generate_series(1, 4) AS p (priority)
    CROSS JOIN LATERAL (
        SELECT j.scheduled_at FROM millrace.river_job j
        WHERE j.state = 'available' AND j.queue = q.name AND j.priority = p.priority
        ORDER BY j.scheduled_at LIMIT 1
    ) a
) o;

-- name: EvidenceInstances :many
-- EvidenceInstances reads the processes with workers.
SELECT
    id, heartbeat_at, live_since, shut_queues, (heartbeat_at > now() - @silence::interval)::boolean AS live,
    extract(epoch FROM sweep_every)::float8 AS sweep_seconds
FROM millrace.instances ORDER BY heartbeat_at DESC LIMIT @most;

-- name: EvidenceDeliveries :many
-- EvidenceDeliveries counts the messages about an order by state. It looks up each webhook's, along the constraint that
-- has each event once.
SELECT d.state, count(*) AS deliveries
FROM (SELECT w.id FROM millrace.webhook_endpoints w ORDER BY w.id LIMIT @most_webhooks) e
CROSS JOIN LATERAL (
    SELECT x.state FROM millrace.webhook_deliveries x
    WHERE x.endpoint_id = e.id AND x.order_id = @order_id::uuid ORDER BY x.version LIMIT @most_each
) d
GROUP BY d.state ORDER BY d.state;

-- name: EvidenceMessages :many
-- EvidenceMessages reads the newest messages about an order, each with its latest attempt. It goes the same way.
SELECT
    d.endpoint_id, d.id, d.event_type, d.version, d.state, d.attempts, d.next_attempt_at, d.created_at,
    coalesce(a.status, 0)::integer AS status, coalesce(a.error, '')::text AS error
FROM (
    SELECT x.* FROM (SELECT w.id FROM millrace.webhook_endpoints w ORDER BY w.id LIMIT @most_webhooks) e
    CROSS JOIN LATERAL (
        SELECT y.* FROM millrace.webhook_deliveries y
        WHERE y.endpoint_id = e.id AND y.order_id = @order_id::uuid ORDER BY y.version DESC LIMIT @most
    ) x
    ORDER BY x.version DESC, x.endpoint_id LIMIT @most
) d
LEFT JOIN LATERAL (
    SELECT t.status, t.error FROM millrace.webhook_attempts t
    WHERE t.endpoint_id = d.endpoint_id AND t.delivery_id = d.id ORDER BY t.attempt DESC LIMIT 1
) a ON true
ORDER BY d.version DESC, d.endpoint_id;

-- name: EvidenceFindings :many
-- EvidenceFindings reads the findings about some keys, by the primary key.
SELECT f.provider, f.kind, f.key, f.state, f.detail, f.first_seen_at
FROM (SELECT unnest(@providers::text[]) AS provider, unnest(@keys::text[]) AS key) s
CROSS JOIN (SELECT unnest(@kinds::text[]) AS kind) k
CROSS JOIN LATERAL (
    SELECT r.* FROM millrace.reconciliation_findings r
    WHERE r.provider = s.provider AND r.kind = k.kind AND r.key = s.key OFFSET 0
) f
ORDER BY f.first_seen_at DESC, f.key, f.kind LIMIT @most;

-- name: EvidenceAudit :many
-- EvidenceAudit reads the newest entries about a target.
SELECT id, at, actor, role, action FROM millrace.audit_log WHERE target = @target::text ORDER BY id DESC LIMIT @most;
