-- +goose NO TRANSACTION

-- One job carries an order. Nothing that changes while an order is under way is indexed any more, so Postgres updates
-- orders and steps in place (HOT) and writes half as much WAL. Pending work is found through open_orders, and lists go
-- by orders.standing. Programs of the version before run beside this one: a trigger keeps standing for them, and the
-- sweep adds their orders to open_orders. Their own sweep reads order_steps without an index.

-- +goose Up

-- The orders that are not idle: they are not at rest, or one of their steps is pending. Placing an order adds it, and
-- the event after which it is idle removes it.
CREATE TABLE IF NOT EXISTS millrace.open_orders (
    order_id uuid NOT NULL,

    CONSTRAINT open_orders_pkey PRIMARY KEY (order_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);

-- The open order up to which the sweep has looked. Without a row it begins anew. sweep_progress is left to the
-- version before.
CREATE TABLE IF NOT EXISTS millrace.sweep_cursor (
    walk text NOT NULL,
    order_id uuid NOT NULL,

    CONSTRAINT sweep_cursor_pkey PRIMARY KEY (walk),
    CONSTRAINT sweep_cursor_walk_length CHECK (char_length(walk) BETWEEN 1 AND 100)
);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.order_stands() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.standing := CASE WHEN NEW.status IN ('pending', 'processing') THEN 'open' ELSE NEW.status END;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- An order's status for lists and counts. All statuses under way share the value open. This version's programs write
-- standing themselves, so for them the trigger's condition is false and nothing is called. The first lock ends an
-- autovacuum that runs. Programs do not wait for it, and meanwhile read and write.
-- +goose StatementBegin
DO $$
BEGIN
    PERFORM set_config('lock_timeout', '10s', true);
    LOCK TABLE millrace.orders IN SHARE UPDATE EXCLUSIVE MODE;
    PERFORM set_config('lock_timeout', '100ms', true);
    ALTER TABLE millrace.orders
        ADD COLUMN IF NOT EXISTS standing text,
        DROP CONSTRAINT IF EXISTS orders_standing_length,
        ADD CONSTRAINT orders_standing_length CHECK (char_length(standing) BETWEEN 1 AND 100) NOT VALID;
    CREATE OR REPLACE TRIGGER orders_standing BEFORE INSERT OR UPDATE ON millrace.orders FOR EACH ROW
        WHEN (NEW.standing IS DISTINCT FROM
            CASE WHEN NEW.status IN ('pending', 'processing') THEN 'open' ELSE NEW.status END)
        EXECUTE FUNCTION millrace.order_stands();
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
    o.customer_email, o.cause_step, o.cause_state, o.cause_code, o.standing
FROM millrace.orders o;

-- What follows stops no other session from reading or writing, and waits for open transactions, a backup's included.
SET lock_timeout = 0;

ALTER TABLE millrace.orders VALIDATE CONSTRAINT orders_standing_length;

-- A step is written once and settled once. Room on its page keeps its second version there.
ALTER TABLE millrace.order_steps SET (fillfactor = 60);

-- The orders that exist, a thousand and a transaction at a time. They are locked in the order of their ids, as programs
-- lock them.
-- +goose StatementBegin
DO $$
DECLARE
    last uuid := '00000000-0000-0000-0000-000000000000';
    page uuid[];
BEGIN
    LOOP
        SELECT array_agg(p.id ORDER BY p.id) INTO page FROM (
            SELECT o.id FROM millrace.orders o WHERE o.id > last ORDER BY o.id LIMIT 1000
        ) p;
        EXIT WHEN page IS NULL;
        PERFORM o.id FROM millrace.orders o WHERE o.id = ANY (page) AND o.standing IS NULL ORDER BY o.id FOR NO KEY UPDATE;
        UPDATE millrace.orders o
        SET standing = CASE WHEN o.status IN ('pending', 'processing') THEN 'open' ELSE o.status END
        WHERE o.id = ANY (page) AND o.standing IS NULL;
        COMMIT;
        last := page[cardinality(page)];
    END LOOP;
END
$$;
-- +goose StatementEnd

-- allow insert: two indexes name the orders that are not idle
INSERT INTO millrace.open_orders (order_id)
SELECT o.id FROM millrace.orders o WHERE o.status IN ('pending', 'processing')
UNION
SELECT s.order_id FROM millrace.order_steps s WHERE s.state = 'pending'
ON CONFLICT DO NOTHING;

DROP INDEX CONCURRENTLY IF EXISTS millrace.orders_standing_idx;
CREATE INDEX CONCURRENTLY orders_standing_idx ON millrace.orders (standing, id DESC);
DROP INDEX CONCURRENTLY IF EXISTS millrace.orders_status_idx;
DROP INDEX CONCURRENTLY IF EXISTS millrace.order_steps_due_idx;

RESET lock_timeout;

-- Programs of the version before may run beside this one: see the top.
INSERT INTO millrace.schema_compatibility (version_id, runs_with) VALUES (31, 30) ON CONFLICT DO NOTHING;
