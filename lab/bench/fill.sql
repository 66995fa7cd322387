-- Fills a database as it is after weeks of orders: @orders of them over the last eight weeks, all at rest, each with two
-- items, six steps and ten events, and the jobs of the last hours, which River has not pruned yet. A customer has forty
-- orders, however many there are.

SELECT millrace.log_partition_create(week) FROM generate_series(
    date_trunc('week', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '9 weeks',
    date_trunc('week', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '2 weeks', interval '1 week') AS week;

INSERT INTO millrace.orders (
    id, principal, idempotency_key, fingerprint, customer_id, currency, total_minor, payment_method, version, status,
    goal, reason, placed_at, updated_at
)
SELECT
    (lpad(to_hex((extract(epoch FROM o.at) * 1000)::bigint), 12, '0') || '7' || substr(o.hash, 1, 3) || '8' || substr(o.hash, 4, 15))::uuid,
    'grown', o.n::text, decode(md5(o.n::text) || md5(o.n::text), 'hex'), (1 + o.n * 7919 % (@orders / 40))::text, 'USD', 20997,
    'card', 10, CASE o.n % 50 WHEN 0 THEN 'failed' WHEN 1 THEN 'cancelled' ELSE 'completed' END,
    CASE o.n % 50 WHEN 0 THEN 'fail' WHEN 1 THEN 'cancel' ELSE 'complete' END, '', o.at, o.at + interval '2 seconds'
FROM (
    SELECT n, now() - interval '56 days' * (1 - n / @orders::float8) AS at, md5(n::text || 'id') AS hash
    FROM generate_series(1, @orders::bigint) AS n
) o;

INSERT INTO millrace.order_items (order_id, line, product_id, quantity, price_minor)
SELECT o.id, line, line, 1 + line % 2, 2999 FROM millrace.orders o CROSS JOIN generate_series(1, 2) AS line ORDER BY o.id, line;

INSERT INTO millrace.order_steps (
    order_id, step, generation, state, amount_minor, request, reference, reason, started_at, deadline_at, settled_at
)
SELECT
    o.id, s.step, 1, 'succeeded', 20997, convert_to('{"orderId":"' || o.id || '","customerId":"' || o.customer_id ||
        '","amount":209.97,"currency":"USD","paymentMethod":"card"}', 'UTF8'),
    s.step || '_0123456789abcdef', '', o.placed_at, o.placed_at + interval '1 hour', o.updated_at
FROM millrace.orders o CROSS JOIN (VALUES ('authorize_payment'), ('reserve_inventory'), ('quote_shipping'), ('capture_payment'),
    ('book_shipment'), ('send_email')) AS s (step)
ORDER BY o.id;

INSERT INTO millrace.order_events (
    logged_at, order_id, version, kind, amount_minor, step, generation, reference, reason, status, progress,
    status_changed, at
)
SELECT
    o.placed_at, o.id, v, CASE v WHEN 1 THEN 'order_placed' ELSE 'step_succeeded' END, 0, coalesce((ARRAY['', 'authorize_payment', 'reserve_inventory', 'quote_shipping', 'capture_payment', 'book_shipment'])[v], 'send_email'),
    least(v - 1, 1), '', '', CASE WHEN v < 10 THEN 'processing' ELSE o.status END, v * 10, v IN (1, 10), o.placed_at
FROM millrace.orders o CROSS JOIN generate_series(1, 10) AS v
ORDER BY o.id, v;

-- The finished jobs of a busy hour: older ones would be deleted meanwhile.
INSERT INTO millrace.river_job (
    state, attempt, max_attempts, attempted_at, created_at, finalized_at, scheduled_at, args, attempted_by, kind, queue
)
SELECT
    'completed', 1, 25, o.at, o.at, o.at, o.at, jsonb_build_object('order_id', o.id), ARRAY['grown'], 'carry_order', 'orders'
FROM (
    SELECT id, now() - interval '15 minutes' * random() AS at FROM millrace.orders ORDER BY id DESC LIMIT @orders / 2
) o;
