-- name: OrdersInsert :many
-- OrdersInsert stores new orders with their items, steps and first events in one statement, and returns the ids of the
-- stored ones. An order whose idempotency key or id is taken, also by an archived order, is left out, with its items,
-- steps and events. An order from before the seal is left out, too.
WITH seal AS MATERIALIZED (
    SELECT millrace.order_sealed_to() AS at
), archived AS MATERIALIZED (
    SELECT millrace.order_keys_archived(@principals::text[], @idempotency_keys::text[])::boolean[] AS taken
), placed AS (
    INSERT INTO millrace.orders (
        id, principal, idempotency_key, fingerprint, customer_id, currency, total_minor, payment_method,
        shipping_address, customer_email, version, status, standing, goal, reason, placed_at, updated_at, request_id,
        traceparent
    )
    SELECT
        u.id, u.principal, nullif(u.idempotency_key, ''), nullif(u.fingerprint, ''), u.customer_id, u.currency,
        u.total_minor, u.payment_method, nullif(u.shipping_address, '')::jsonb, u.customer_email, 1, 'pending', 'open',
        'complete', '', u.placed_at, u.placed_at, nullif(u.request_id, ''), nullif(u.traceparent, '')
    FROM (
        SELECT
            unnest(@ids::uuid[]) AS id, unnest(@principals::text[]) AS principal,
            unnest(@idempotency_keys::text[]) AS idempotency_key, unnest(@fingerprints::bytea[]) AS fingerprint,
            unnest(@customer_ids::text[]) AS customer_id, unnest(@currencies::text[]) AS currency,
            unnest(@totals_minor::bigint[]) AS total_minor, unnest(@payment_methods::text[]) AS payment_method,
            unnest(@shipping_addresses::text[]) AS shipping_address, unnest(@customer_emails::text[]) AS customer_email,
            unnest(@placed_at::timestamptz[]) AS placed_at,
            unnest(@request_ids::text[]) AS request_id, unnest(@traceparents::text[]) AS traceparent,
            unnest((SELECT archived.taken FROM archived)) AS taken
    ) u, seal
    WHERE u.placed_at >= seal.at
        AND ('x' || left(replace(u.id::text, '-', ''), 12))::bit(48)::bigint >= floor(extract(epoch FROM seal.at) * 1000)
        AND NOT u.taken
    ON CONFLICT DO NOTHING
    RETURNING orders.id
), opened AS (
    INSERT INTO millrace.open_orders (order_id) SELECT placed.id FROM placed
), items AS (
    INSERT INTO millrace.order_items (order_id, line, product_id, quantity, price_minor)
    SELECT i.order_id, i.line, i.product_id, i.quantity, i.price_minor
    FROM (
        SELECT
            unnest(@item_order_ids::uuid[]) AS order_id, unnest(@item_lines::integer[]) AS line,
            unnest(@item_product_ids::bigint[]) AS product_id, unnest(@item_quantities::bigint[]) AS quantity,
            unnest(@item_prices_minor::bigint[]) AS price_minor
    ) i JOIN placed ON placed.id = i.order_id
), steps AS (
    INSERT INTO millrace.order_steps (
        order_id, step, generation, state, amount_minor, request, reference, reason, started_at, deadline_at
    )
    SELECT
        s.order_id, s.step, s.generation, 'pending', s.amount_minor, s.request, '', '', s.started_at, s.deadline_at
    FROM (
        SELECT
            unnest(@step_order_ids::uuid[]) AS order_id, unnest(@step_names::text[]) AS step,
            unnest(@step_generations::integer[]) AS generation, unnest(@step_amounts_minor::bigint[]) AS amount_minor,
            unnest(@step_requests::bytea[]) AS request,
            unnest(@step_started_at::timestamptz[]) AS started_at,
            unnest(@step_deadline_at::timestamptz[]) AS deadline_at
    ) s JOIN placed ON placed.id = s.order_id
), events AS (
    INSERT INTO millrace.order_events (
        order_id, version, kind, amount_minor, step, generation, reference, reason, status, progress, status_changed,
        at
    )
    SELECT e.order_id, 1, 'order_placed', 0, '', 0, '', '', 'pending', 0, true, e.at
    FROM (SELECT unnest(@ids::uuid[]) AS order_id, unnest(@placed_at::timestamptz[]) AS at) e
    JOIN placed ON placed.id = e.order_id
)
SELECT placed.id FROM placed;

-- name: OrdersMissing :one
-- OrdersMissing reports whether any of some orders is missing.
SELECT EXISTS (
    SELECT FROM (SELECT unnest(@ids::uuid[]) AS id) i WHERE NOT EXISTS (SELECT FROM millrace.orders o WHERE o.id = i.id)
);

-- name: OrderSealRead :one
SELECT sealed_to, settled_to FROM millrace.order_seal;

-- name: OrderSealTo :one
-- OrderSealTo seals everything before a moment. The moment is not after now, allowing for the difference that clocks
-- may have.
UPDATE millrace.order_seal
SET sealed_to = greatest(sealed_to, least(@at::timestamptz, date_trunc('milliseconds', clock_timestamp()) + interval '2 seconds'))
RETURNING sealed_to;

-- name: OrderSettledTo :exec
UPDATE millrace.order_seal SET settled_to = greatest(settled_to, @at::timestamptz);

-- name: OrdersPlacing :one
-- OrdersPlacing returns the transactions that are storing orders.
SELECT millrace.order_placing()::text[] AS transactions;

-- name: OrdersByIdempotencyKey :many
-- OrdersByIdempotencyKey finds the orders that hold the given (principal, key) pairs.
SELECT o.id, o.principal, o.idempotency_key, o.fingerprint FROM millrace.orders o
WHERE o.idempotency_key IS NOT NULL AND (o.principal, o.idempotency_key) IN (
    SELECT unnest(@principals::text[]), unnest(@idempotency_keys::text[])
);

-- name: OrdersQueue :exec
-- OrdersQueue makes writers of the same orders take turns, before any of them has a transaction id. With a row lock
-- alone, Postgres would hand out the id first. A writer could then wait with an older id than the writer it waits for,
-- and the feed, which follows the ids, would show their events in the wrong sequence. Orders are locked in key order,
-- so that two batches cannot deadlock.
SELECT pg_advisory_xact_lock(k.key) FROM (
    SELECT DISTINCT hashtextextended(i.id::text, 0) AS key
    FROM (SELECT unnest(@ids::uuid[]) AS id) i ORDER BY key
) k;

-- name: OrdersLock :many
-- OrdersLock locks orders until the transaction ends, against writers that do not queue. It returns the orders as they
-- are once locked, also if it had to wait for another writer.
SELECT id, version, updated_at FROM millrace.orders WHERE id = ANY(@ids::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: OrdersUpdate :exec
-- OrdersUpdate writes the result of events on locked orders: the rows, the settled and started steps, and the log.
-- closed are the orders that are idle now, and opened those that were idle before.
WITH changed AS (
    UPDATE millrace.orders o
    SET version = u.version, status = u.status, goal = u.goal,
        standing = CASE WHEN u.status IN ('pending', 'processing') THEN 'open' ELSE u.status END, reason = u.reason, refunded_minor = u.refunded_minor,
        updated_at = u.updated_at, cause_step = u.cause_step, cause_state = u.cause_state, cause_code = u.cause_code
    FROM (
        SELECT
            unnest(@ids::uuid[]) AS id, unnest(@versions::bigint[]) AS version, unnest(@statuses::text[]) AS status,
            unnest(@goals::text[]) AS goal, unnest(@reasons::text[]) AS reason,
            unnest(@refunded_minor::bigint[]) AS refunded_minor, unnest(@updated_at::timestamptz[]) AS updated_at,
            unnest(@cause_steps::text[]) AS cause_step, unnest(@cause_states::text[]) AS cause_state,
            unnest(@cause_codes::text[]) AS cause_code
    ) u WHERE o.id = u.id
), closed AS (
    DELETE FROM millrace.open_orders p WHERE p.order_id = ANY(@closed::uuid[])
), opened AS (
    INSERT INTO millrace.open_orders (order_id) SELECT unnest(@opened::uuid[]) ON CONFLICT DO NOTHING
), settled AS (
    UPDATE millrace.order_steps s
    SET state = u.state, reference = u.reference, reason = u.reason, settled_at = u.settled_at
    FROM (
        SELECT
            unnest(@settled_order_ids::uuid[]) AS order_id, unnest(@settled_names::text[]) AS step,
            unnest(@settled_generations::integer[]) AS generation, unnest(@settled_states::text[]) AS state,
            unnest(@settled_references::text[]) AS reference, unnest(@settled_reasons::text[]) AS reason,
            unnest(@settled_at::timestamptz[]) AS settled_at
    ) u WHERE s.order_id = u.order_id AND s.step = u.step AND s.generation = u.generation
), referenced AS (
    INSERT INTO millrace.order_references (reference, order_id)
    SELECT r.reference, r.order_id FROM (
        SELECT
            unnest(@settled_references::text[]) AS reference, unnest(@settled_order_ids::uuid[]) AS order_id,
            unnest(@settled_names::text[]) AS step
    ) r
    WHERE r.reference <> '' AND r.step = ANY(@sought_steps::text[])
    ON CONFLICT DO NOTHING
), started AS (
    INSERT INTO millrace.order_steps (
        order_id, step, generation, key_generation, state, amount_minor, request, reference, reason, started_at,
        deadline_at
    )
    SELECT
        unnest(@step_order_ids::uuid[]), unnest(@step_names::text[]), unnest(@step_generations::integer[]),
        nullif(unnest(@step_key_generations::integer[]), 0), 'pending', unnest(@step_amounts_minor::bigint[]), unnest(@step_requests::bytea[]), '', '',
        unnest(@step_started_at::timestamptz[]), unnest(@step_deadline_at::timestamptz[])
)
INSERT INTO millrace.order_events (
    order_id, version, kind, actor, amount_minor, step, generation, reference, reason, status, progress,
    status_changed, at
)
SELECT
    unnest(@event_order_ids::uuid[]), unnest(@event_versions::bigint[]), unnest(@event_kinds::text[]),
    unnest(@event_actors::text[]),
    unnest(@event_amounts_minor::bigint[]), unnest(@event_steps::text[]), unnest(@event_generations::integer[]),
    unnest(@event_references::text[]), unnest(@event_reasons::text[]), unnest(@event_statuses::text[]), unnest(@event_progress::smallint[]),
    unnest(@event_status_changed::boolean[]), unnest(@event_at::timestamptz[]);

-- name: OrdersRead :many
SELECT * FROM millrace.order_documents WHERE id = ANY(@ids::uuid[]);

-- name: OrdersList :many
-- OrdersList reads a page of all orders, newest first, between two ids and two moments. The ids serve the index; the
-- moments are exact.
SELECT * FROM millrace.order_documents
WHERE id < @before::uuid AND id > @after::uuid AND placed_at >= @placed_from AND placed_at < @placed_to
ORDER BY id DESC LIMIT @page_size;

-- name: OrdersListByStatus :many
-- OrdersListByStatus reads a page of the orders with a status. For orders that need attention, a step, state and code
-- filter unless they are empty.
SELECT * FROM millrace.order_documents
WHERE standing = @standing::text AND status = @status AND id < @before::uuid AND (@cause_step::text = '' OR cause_step = @cause_step::text)
    AND (@cause_state::text = '' OR cause_state = @cause_state::text)
    AND (@cause_code::text = '' OR cause_code = @cause_code::text)
    AND id > @after::uuid AND placed_at >= @placed_from AND placed_at < @placed_to
ORDER BY id DESC LIMIT @page_size;

-- name: OrdersListByCustomer :many
-- OrdersListByCustomer reads a page of one customer's orders, of any status if status is empty.
SELECT * FROM millrace.order_documents
WHERE customer_id = @customer_id AND id < @before::uuid AND (@status::text = '' OR status = @status::text)
    AND id > @after::uuid AND placed_at >= @placed_from AND placed_at < @placed_to
ORDER BY id DESC LIMIT @page_size OFFSET @skip;

-- name: OrdersExport :many
-- OrdersExport reads a page of all orders, oldest first, between two ids and two moments. The ids serve the index; the
-- moments are exact.
SELECT * FROM millrace.order_documents
WHERE id > @after::uuid AND id < @before::uuid AND placed_at >= @placed_from AND placed_at < @placed_to
ORDER BY id LIMIT @page_size;

-- name: OrdersExportByStatus :many
SELECT * FROM millrace.order_documents
WHERE standing = @standing::text AND status = @status AND id > @after::uuid AND id < @before::uuid
    AND placed_at >= @placed_from AND placed_at < @placed_to
ORDER BY id LIMIT @page_size;

-- name: OrdersExportByCustomer :many
SELECT * FROM millrace.order_documents
WHERE customer_id = @customer_id AND (@status::text = '' OR status = @status::text)
    AND id > @after::uuid AND id < @before::uuid AND placed_at >= @placed_from AND placed_at < @placed_to
ORDER BY id LIMIT @page_size;
