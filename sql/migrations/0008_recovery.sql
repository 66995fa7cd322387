-- What a person asks of an order that needs attention, and which processes are alive.

-- +goose Up

-- Of another try of a step that got no answer: the generation whose idempotency key and bytes it is sent with. Its own
-- request is empty. NULL for all others, which have their own.
ALTER TABLE order_steps
    ADD COLUMN key_generation integer,
    ADD CONSTRAINT order_steps_key_generation_range CHECK (key_generation BETWEEN 1 AND generation - 1);

-- Who asked, of a request.
ALTER TABLE order_events
    ADD COLUMN actor text NOT NULL DEFAULT '',
    ADD CONSTRAINT order_events_actor_length CHECK (char_length(actor) <= 200),
    DROP CONSTRAINT order_events_kind_known,
    ADD CONSTRAINT order_events_kind_known CHECK (kind IN
        ('order_placed', 'cancel_requested', 'refund_requested', 'retry_requested', 'undo_requested',
        'success_declared', 'refusal_declared', 'step_succeeded', 'step_refused', 'step_unknown'));

CREATE OR REPLACE VIEW order_documents AS
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
            'step', s.step, 'generation', s.generation, 'key_generation', coalesce(s.key_generation, s.generation),
            'state', s.state, 'amount_minor', s.amount_minor, 'reference', s.reference, 'reason', s.reason,
            'started_at', s.started_at, 'deadline_at', s.deadline_at, 'settled_at', s.settled_at))
        FROM order_steps s WHERE s.order_id = o.id
    ) AS steps,
    o.customer_email
FROM orders o;

-- The processes that carry out steps. A process whose heartbeat stops has died: its running jobs are given to others.
CREATE TABLE instances (
    id text NOT NULL,
    started_at timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,

    CONSTRAINT instances_pkey PRIMARY KEY (id),
    CONSTRAINT instances_id_length CHECK (char_length(id) BETWEEN 1 AND 200)
-- Every heartbeat updates its row: room on the page keeps those updates off the index (HOT).
) WITH (fillfactor = 50);
