-- name: DeliveriesInsert :execrows
-- DeliveriesInsert stores messages that are to be sent at once. A second message about the same event is left out.
INSERT INTO millrace.webhook_deliveries (
    id, endpoint_id, event_type, order_id, version, body, state, attempts, give_up_at, next_attempt_at, created_at
)
SELECT
    unnest(@ids::uuid[]), unnest(@webhook_ids::uuid[]), unnest(@event_types::text[]),
    nullif(unnest(@order_ids::uuid[]), '00000000-0000-0000-0000-000000000000'), unnest(@versions::bigint[]),
    unnest(@bodies::text[]), 'pending', 0, @give_up_at, @at, @at
ON CONFLICT ON CONSTRAINT webhook_deliveries_once DO NOTHING;

-- name: DeliveriesBefore :many
-- DeliveriesBefore finds each webhook's last message about an order before a version.
SELECT w.endpoint_id::uuid AS endpoint_id, w.order_id::uuid AS order_id, d.id
FROM (
    SELECT unnest(@webhook_ids::uuid[]) AS endpoint_id, unnest(@order_ids::uuid[]) AS order_id,
        unnest(@versions::bigint[]) AS version
) w
CROSS JOIN LATERAL (
    SELECT p.id FROM millrace.webhook_deliveries p
    WHERE p.endpoint_id = w.endpoint_id AND p.order_id = w.order_id AND p.version < w.version
    ORDER BY p.version DESC LIMIT 1
) d;

-- name: DeliveriesClaim :many
-- DeliveriesClaim takes messages to send, at most one of each order: while one waits, later messages about its order
-- wait, too. Until claimed_until no other worker takes them. Here and below the ids are an array, which is read once. A
-- join may read them again for every row of the webhook, if the statistics are from when the webhook had few. Each comes
-- with the request that placed its order.
UPDATE millrace.webhook_deliveries c SET next_attempt_at = @claimed_until
WHERE c.endpoint_id = @webhook_id AND c.id = ANY(ARRAY(
    SELECT d.id FROM millrace.webhook_deliveries d
    WHERE d.endpoint_id = @webhook_id AND d.state = 'pending' AND d.next_attempt_at <= @at AND NOT EXISTS (
        SELECT FROM millrace.webhook_deliveries e
        WHERE e.endpoint_id = d.endpoint_id AND e.order_id = d.order_id AND e.version < d.version
            AND e.state || '' = 'pending' OFFSET 0 -- looked up for each: a join reads all that is pending for each
    )
    ORDER BY d.next_attempt_at, d.id LIMIT @batch_size
))
RETURNING sqlc.embed(c),
    coalesce((SELECT o.request_id FROM millrace.orders o WHERE o.id = c.order_id), '')::text AS request_id,
    coalesce((SELECT o.traceparent FROM millrace.orders o WHERE o.id = c.order_id), '')::text AS traceparent;

-- name: DeliveriesRecord :exec
-- DeliveriesRecord records the results of attempts. A result with attempts 0 was not attempted: the message is again as
-- before it was claimed. A message that another worker finished or claimed meanwhile stays as it is.
WITH made AS (
    SELECT
        unnest(@ids::uuid[]) AS id, unnest(@states::text[]) AS state, unnest(@attempts::int[]) AS attempt,
        unnest(@next_attempt_at::timestamptz[]) AS next_attempt_at, unnest(@at::timestamptz[]) AS at,
        unnest(@durations_ms::int[]) AS duration_ms, unnest(@statuses::int[]) AS status,
        unnest(@errors::text[]) AS error, unnest(@responses::text[]) AS response
), recorded AS (
    UPDATE millrace.webhook_deliveries d SET
        state = m.state, attempts = greatest(d.attempts, m.attempt), next_attempt_at = m.next_attempt_at,
        finished_at = CASE WHEN m.state <> 'pending' THEN m.at END
    FROM made m
    WHERE d.endpoint_id = @webhook_id AND d.id = m.id AND d.state = 'pending'
        AND (m.attempt = 0 OR d.attempts = m.attempt - 1)
    RETURNING d.id
)
INSERT INTO millrace.webhook_attempts (endpoint_id, delivery_id, attempt, at, duration_ms, status, error, response)
SELECT @webhook_id::uuid, m.id, m.attempt, m.at, m.duration_ms, m.status, m.error, m.response
FROM made m JOIN recorded s ON s.id = m.id WHERE m.attempt > 0;

-- name: DeliveriesHasten :execrows
-- DeliveriesHasten makes messages that wait for their next attempt due at once: the webhook works again.
UPDATE millrace.webhook_deliveries h SET next_attempt_at = @at
WHERE h.endpoint_id = @webhook_id AND h.id = ANY(ARRAY(
    SELECT d.id FROM millrace.webhook_deliveries d
    WHERE d.endpoint_id = @webhook_id AND d.state = 'pending' AND d.next_attempt_at > @at
    ORDER BY d.next_attempt_at LIMIT @batch_size
));

-- name: DeliveriesList :many
SELECT * FROM millrace.webhook_deliveries
WHERE endpoint_id = @webhook_id AND id < @before ORDER BY id DESC LIMIT @page_size;

-- name: DeliveriesListByState :many
SELECT * FROM millrace.webhook_deliveries
WHERE endpoint_id = @webhook_id AND state = @state AND id < @before ORDER BY id DESC LIMIT @page_size;

-- name: DeliveryRead :one
SELECT * FROM millrace.webhook_deliveries WHERE endpoint_id = @webhook_id AND id = @id;

-- name: AttemptsList :many
SELECT * FROM millrace.webhook_attempts
WHERE endpoint_id = @webhook_id AND delivery_id = @delivery_id ORDER BY attempt DESC LIMIT @page_size;

-- name: AttemptsLast :many
-- AttemptsLast reads the last attempts of deliveries.
SELECT DISTINCT ON (delivery_id) * FROM millrace.webhook_attempts
WHERE endpoint_id = @webhook_id AND delivery_id = ANY(@delivery_ids::uuid[])
ORDER BY delivery_id, attempt DESC;

-- name: DeliveryRepeat :one
-- DeliveryRepeat makes a message due again, with as many attempts as a new one. A pending message is tried at once.
UPDATE millrace.webhook_deliveries SET
    state = 'pending', next_attempt_at = @at, finished_at = NULL,
    give_up_at = CASE WHEN state = 'pending' THEN give_up_at ELSE attempts + @more END
WHERE endpoint_id = @webhook_id AND id = @id RETURNING *;

-- name: DeliveriesRepeat :many
-- DeliveriesRepeat makes messages due again, oldest first and a bounded number at a time. It takes messages in the
-- given states that were made at a moment or later, after the last id.
UPDATE millrace.webhook_deliveries r SET
    state = 'pending', next_attempt_at = @at, finished_at = NULL, give_up_at = r.attempts + @more
WHERE r.endpoint_id = @webhook_id AND r.id = ANY(ARRAY(
    SELECT d.id FROM millrace.webhook_deliveries d
    WHERE d.endpoint_id = @webhook_id AND d.id > @after AND d.created_at >= @since AND d.created_at <= @until
        AND d.state = ANY(@states::text[])
    ORDER BY d.id LIMIT @batch_size
))
RETURNING r.id;

-- name: DeliveriesPurge :execrows
-- DeliveriesPurge deletes messages that were finished long ago, and messages of webhooks that have been disabled for
-- as long.
DELETE FROM millrace.webhook_deliveries WHERE ctid = ANY(ARRAY(
    SELECT d.ctid FROM millrace.webhook_deliveries d WHERE d.finished_at < @before
    ORDER BY d.finished_at LIMIT @batch_size
)) AND finished_at < @before;

-- name: DeliveriesPurgeDeleted :execrows
-- DeliveriesPurgeDeleted deletes messages that will not be sent: those of deleted webhooks, and those that have waited
-- for a disabled webhook for a long time. Ids begin with the time at which they were made. below follows from before,
-- and lets an index find the old messages among the waiting ones.
DELETE FROM millrace.webhook_deliveries WHERE ctid = ANY(ARRAY(
    SELECT d.ctid FROM millrace.webhook_endpoints e
    CROSS JOIN LATERAL (
        (SELECT a.ctid FROM millrace.webhook_deliveries a WHERE e.state = 'deleted' AND a.endpoint_id = e.id
        ORDER BY a.id LIMIT @batch_size) -- in the order of the index, so that the index is used
        UNION ALL
        (SELECT p.ctid FROM millrace.webhook_deliveries p
        WHERE e.state = 'disabled' AND p.endpoint_id = e.id AND p.state = 'pending' AND p.id < @below::uuid
            AND p.created_at < @before
        ORDER BY p.id LIMIT @batch_size)
    ) d
    WHERE e.state IN ('deleted', 'disabled')
    LIMIT @batch_size
));

-- name: DeliveriesOldestDue :one
-- DeliveriesOldestDue returns since when the message that has waited longest could have been sent, for webhooks that
-- work.
SELECT coalesce(min(due.next_attempt_at), @at)::timestamptz FROM millrace.webhook_endpoints e
CROSS JOIN LATERAL (
    SELECT d.next_attempt_at FROM millrace.webhook_deliveries d
    WHERE d.endpoint_id = e.id AND d.state = 'pending' AND NOT EXISTS (
        SELECT FROM millrace.webhook_deliveries p
        WHERE p.endpoint_id = d.endpoint_id AND p.order_id = d.order_id AND p.version < d.version
            AND p.state || '' = 'pending' OFFSET 0 -- looked up for each: a join reads all that is pending for each
    )
    ORDER BY d.next_attempt_at LIMIT 1
) due
WHERE e.state = 'enabled' AND e.failures = 0;
