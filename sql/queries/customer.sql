-- name: CustomerUnfinished :one
-- CustomerUnfinished counts the orders of a customer that still need what is to be forgotten.
SELECT count(*) FROM millrace.orders o
WHERE o.customer_id = @customer_id AND (o.status IN ('pending', 'processing', 'needs_attention') OR EXISTS (
    SELECT FROM millrace.order_steps s WHERE s.order_id = o.id AND s.state = 'pending'
));

-- name: CustomerFinished :many
-- CustomerFinished lists and locks the ended orders of a customer after an order, by id.
SELECT o.id, o.customer_email FROM millrace.orders o
WHERE o.customer_id = @customer_id AND o.id > @after AND o.status IN ('completed', 'failed', 'cancelled', 'refunded')
    AND NOT EXISTS (SELECT FROM millrace.order_steps s WHERE s.order_id = o.id AND s.state = 'pending')
ORDER BY o.id LIMIT @page_size FOR UPDATE;

-- name: ForgetOrders :execrows
-- ForgetOrders drops the address, the e-mail and the fingerprint of orders. A fingerprint is a hash of all of them.
UPDATE millrace.orders
SET customer_email = '', shipping_address = NULL,
    fingerprint = CASE WHEN fingerprint IS NOT NULL THEN decode(repeat('00', 32), 'hex') END
WHERE id = ANY(@ids::uuid[]) AND (customer_email <> '' OR shipping_address IS NOT NULL
    OR fingerprint <> decode(repeat('00', 32), 'hex'));

-- name: ForgetSteps :exec
-- ForgetSteps drops the bodies that were sent to providers. An e-mail's template stays, for the list of notifications.
UPDATE millrace.order_steps
SET request = CASE step
    WHEN 'send_email' THEN convert_to(json_build_object(
        'template', convert_from(request, 'UTF8')::jsonb ->> 'template')::text, 'UTF8')
    ELSE '{}' END
WHERE order_id = ANY(@ids::uuid[]) AND request <> '' AND request <> '{}';

-- name: ForgetCommands :exec
UPDATE millrace.order_commands SET fingerprint = decode(repeat('00', 32), 'hex'), answer = NULL
WHERE order_id = ANY(@ids::uuid[]);

-- name: ForgetResponses :exec
-- ForgetResponses drops what receivers of webhooks answered.
UPDATE millrace.webhook_attempts a SET response = ''
FROM millrace.webhook_endpoints w JOIN millrace.webhook_deliveries d ON d.endpoint_id = w.id
WHERE d.order_id = ANY(@ids::uuid[]) AND a.endpoint_id = d.endpoint_id AND a.delivery_id = d.id AND a.response <> '';

-- name: AuditMentions :many
-- AuditMentions lists the entries of the audit log that have one of some texts.
SELECT id FROM millrace.audit_log a
WHERE EXISTS (SELECT FROM unnest(@texts::text[]) AS t (text) WHERE strpos(a.detail::text, t.text) > 0);

-- name: ForgetAudit :exec
UPDATE millrace.audit_log SET detail = '{"forgotten": true}' WHERE id = ANY(@ids::bigint[]);
