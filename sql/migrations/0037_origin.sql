-- +goose NO TRANSACTION

-- The request that placed an order: its id, and its place in a trace. Both are written with the order and never changed,
-- and no index has them. So an order is still updated in place, and a row that is updated does not write them again.

-- +goose Up

-- Both are empty for orders that exist, and for those of the version before. A traceparent (W3C Trace Context) of
-- version 00 has 55 characters.
-- The first lock ends an autovacuum that runs. Programs do not wait for it, and meanwhile read and write.
-- +goose StatementBegin
DO $$
BEGIN
    PERFORM set_config('lock_timeout', '10s', true);
    LOCK TABLE millrace.orders IN SHARE UPDATE EXCLUSIVE MODE;
    PERFORM set_config('lock_timeout', '100ms', true);
    ALTER TABLE millrace.orders
        ADD COLUMN IF NOT EXISTS request_id text,
        ADD COLUMN IF NOT EXISTS traceparent text,
        DROP CONSTRAINT IF EXISTS orders_request_id_length,
        DROP CONSTRAINT IF EXISTS orders_traceparent_length,
        ADD CONSTRAINT orders_request_id_length CHECK (char_length(request_id) BETWEEN 1 AND 64) NOT VALID,
        ADD CONSTRAINT orders_traceparent_length CHECK (char_length(traceparent) = 55) NOT VALID;
END
$$;
-- +goose StatementEnd

CREATE OR REPLACE VIEW millrace.order_documents AS
SELECT
    o.id, o.principal, o.customer_id, o.currency, o.total_minor, o.refunded_minor, o.payment_method,
    o.shipping_address, o.version, o.status, o.goal, o.reason, o.placed_at, o.updated_at,
    (
        SELECT json_agg(json_build_object(
            'product_id', i.product_id, 'quantity', i.quantity, 'price_minor', i.price_minor) ORDER BY i.line)
        FROM millrace.order_items i WHERE i.order_id = o.id
    ) AS items,
    (
        SELECT json_agg(json_build_object(
            'step', s.step, 'generation', s.generation, 'key_generation', coalesce(s.key_generation, s.generation),
            'state', s.state, 'amount_minor', s.amount_minor, 'reference', s.reference, 'reason', s.reason,
            'started_at', s.started_at, 'deadline_at', s.deadline_at, 'settled_at', s.settled_at))
        FROM millrace.order_steps s WHERE s.order_id = o.id
    ) AS steps,
    o.customer_email, o.cause_step, o.cause_state, o.cause_code, o.standing, o.request_id, o.traceparent
FROM millrace.orders o;

-- Programs read and write meanwhile.
SET lock_timeout = '10s';
ALTER TABLE millrace.orders VALIDATE CONSTRAINT orders_request_id_length;
ALTER TABLE millrace.orders VALIDATE CONSTRAINT orders_traceparent_length;
RESET lock_timeout;

-- Programs of the version before neither write nor read them.
INSERT INTO millrace.schema_compatibility (version_id, runs_with) VALUES (37, 30) ON CONFLICT DO NOTHING;
