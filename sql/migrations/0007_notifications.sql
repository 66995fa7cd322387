-- Where customers get their e-mail, which messages may have been handed over, and both as a list.

-- +goose Up

ALTER TABLE orders ADD COLUMN customer_email text NOT NULL DEFAULT '',
    ADD CONSTRAINT orders_customer_email_length CHECK (octet_length(customer_email) <= 254);

-- Set before a step is sent to a provider that knows no idempotency keys: from then on nobody sends it again. Empty
-- for all others.
ALTER TABLE order_steps ADD COLUMN handed_over_at timestamptz;

DROP VIEW order_documents;
CREATE VIEW order_documents AS
SELECT
    o.id, o.principal, o.customer_id, o.currency, o.total_minor, o.refunded_minor, o.payment_method,
    o.shipping_address, o.version, o.status, o.goal, o.reason, o.placed_at, o.updated_at,
    (
        SELECT json_agg(json_build_object(
            'product_id', i.product_id, 'quantity', i.quantity, 'price_minor', i.price_minor) ORDER BY i.line)
        FROM order_items i WHERE i.order_id = o.id
    ) AS items,
    (
        SELECT json_agg(json_build_object(
            'step', s.step, 'generation', s.generation, 'state', s.state, 'amount_minor', s.amount_minor, 'reference', s.reference,
            'reason', s.reason, 'started_at', s.started_at, 'deadline_at', s.deadline_at,
            'settled_at', s.settled_at))
        FROM order_steps s WHERE s.order_id = o.id
    ) AS steps,
    o.customer_email
FROM orders o;

-- The e-mails of orders. The steps are the truth; what a message says and to whom is in its frozen request. Lists are
-- sorted by the order, and each of them follows an index that is there already: orders_pkey or
-- orders_customer_id_idx, and order_steps_pkey.
CREATE VIEW notifications AS
SELECT
    o.id AS order_id, s.generation, o.customer_id,
    coalesce(convert_from(s.request, 'UTF8')::jsonb ->> 'template', '')::text AS template,
    coalesce(convert_from(s.request, 'UTF8')::jsonb ->> 'to', '')::text AS recipient,
    s.state, s.reason, s.reference, s.started_at, s.settled_at
FROM orders o JOIN order_steps s ON s.order_id = o.id AND s.step = 'send_email';
