-- Why an order needs attention, as data beside the sentence in reason: the step that keeps the order from its end, the
-- step's state, and the code of its refusal or failure. All are empty while the order needs no attention. They are
-- written with the status; lists filter and group by them.

-- +goose Up

ALTER TABLE millrace.orders
    ADD COLUMN IF NOT EXISTS cause_step text NOT NULL DEFAULT ''
        CONSTRAINT orders_cause_step_length CHECK (char_length(cause_step) <= 100),
    ADD COLUMN IF NOT EXISTS cause_state text NOT NULL DEFAULT ''
        CONSTRAINT orders_cause_state_known CHECK (cause_state IN ('', 'refused', 'unknown')),
    ADD COLUMN IF NOT EXISTS cause_code text NOT NULL DEFAULT ''
        CONSTRAINT orders_cause_code_length CHECK (char_length(cause_code) <= 64);

-- For existing orders only the sentence is known. Where the sentence is not a code, it has an operator's own words.
UPDATE millrace.orders
SET cause_step = split_part(reason, ' ', 1), cause_state = split_part(split_part(reason, ' ', 2), ':', 1),
    cause_code = coalesce(substring(reason FROM '^[a-z_]+ [a-z]+: ([a-z0-9_]{1,64})$'), 'declared')
WHERE status = 'needs_attention' AND reason ~ '^[a-z_]{1,100} (refused|unknown): ';

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
    o.customer_email, o.cause_step, o.cause_state, o.cause_code
FROM millrace.orders o;
