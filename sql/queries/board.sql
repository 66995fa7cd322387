-- name: OrdersByReference :many
-- OrdersByReference finds the orders with a payment or shipment that a provider knows by a reference.
SELECT r.order_id FROM millrace.order_references r WHERE r.reference = @reference LIMIT @most;

-- name: WebhooksFailing :many
-- WebhooksFailing lists the webhooks that fail, or that Millrace disabled because they failed, longest first.
SELECT * FROM millrace.webhook_endpoints
WHERE failing_since IS NOT NULL AND state <> 'deleted' ORDER BY failing_since LIMIT @most;

-- name: DeadLetterGroupsLatest :many
-- DeadLetterGroupsLatest counts the latest orders that need attention by cause, largest group first. For BETWEEN see
-- UnfinishedOrders.
SELECT d.cause_step, d.cause_state, d.cause_code, count(*) AS orders,
    min(d.updated_at)::timestamptz AS first_at, max(d.updated_at)::timestamptz AS last_at
FROM (
    SELECT o.cause_step, o.cause_state, o.cause_code, o.updated_at FROM millrace.orders o
    WHERE o.standing BETWEEN 'needs_attention' AND 'needs_attention' ORDER BY o.standing, o.id DESC LIMIT @latest
) d
GROUP BY d.cause_step, d.cause_state, d.cause_code
ORDER BY count(*) DESC, d.cause_step, d.cause_state, d.cause_code LIMIT @most;
