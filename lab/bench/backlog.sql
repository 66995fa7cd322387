-- Adds to a filled database what a long outage leaves behind: @pending orders whose shipment is pending, each with a job
-- that waits for its next try; webhooks, with a message for every second order, of which @pending wait for a receiver
-- that is down; and some dead letters.

INSERT INTO millrace.orders (
    id, principal, idempotency_key, fingerprint, customer_id, currency, total_minor, payment_method, version, status,
    goal, reason, placed_at, updated_at
)
SELECT
    (lpad(to_hex((extract(epoch FROM o.at) * 1000)::bigint), 12, '0') || '7' || substr(o.hash, 1, 3) || '8' || substr(o.hash, 4, 15))::uuid,
    'backlog', o.n::text, decode(md5(o.n::text) || md5(o.n::text), 'hex'), (1 + o.n * 7919 % (@orders / 40))::text, 'USD', 20997,
    'card', 9, CASE o.n % 500 WHEN 0 THEN 'needs_attention' ELSE 'processing' END, 'complete', '', o.at, o.at
FROM (
    SELECT n, now() - interval '20 hours' * (1 - n / @pending::float8) AS at, md5(n::text || 'pending') AS hash
    FROM generate_series(1, @pending::bigint) AS n
) o;

INSERT INTO millrace.order_items (order_id, line, product_id, quantity, price_minor)
SELECT o.id, 1, 1, 1, 20997 FROM millrace.orders o WHERE o.principal = 'backlog' ORDER BY o.id;

INSERT INTO millrace.order_steps (
    order_id, step, generation, state, amount_minor, request, reference, reason, started_at, deadline_at, settled_at
)
SELECT
    o.id, s.step, 1, s.state, 20997, convert_to('{"orderId":"' || o.id || '","customerId":"' || o.customer_id ||
        '","amount":209.97,"currency":"USD","paymentMethod":"card"}', 'UTF8'),
    CASE s.state WHEN 'succeeded' THEN s.step || '_0123456789abcdef' ELSE '' END, '', o.placed_at,
    o.placed_at + interval '72 hours', CASE s.state WHEN 'succeeded' THEN o.placed_at END
FROM millrace.orders o CROSS JOIN (VALUES ('authorize_payment', 'succeeded'), ('reserve_inventory', 'succeeded'),
    ('capture_payment', 'succeeded'), ('book_shipment', 'pending')) AS s (step, state)
WHERE o.principal = 'backlog' ORDER BY o.id;

INSERT INTO millrace.order_events (
    logged_at, order_id, version, kind, amount_minor, step, generation, reference, reason, status, progress,
    status_changed, at
)
SELECT
    o.placed_at, o.id, v, CASE v WHEN 1 THEN 'order_placed' ELSE 'step_succeeded' END, 0, CASE v WHEN 1 THEN '' ELSE 'step' END,
    least(v - 1, 1), '', '', 'processing', v * 10, v = 1, o.placed_at
FROM millrace.orders o CROSS JOIN generate_series(1, 9) AS v
WHERE o.principal = 'backlog' ORDER BY o.id, v;

INSERT INTO millrace.river_job (
    state, attempt, max_attempts, attempted_at, created_at, scheduled_at, args, attempted_by, kind, queue, errors
)
SELECT
    'retryable', 9, 25, now(), o.placed_at, now() + interval '1 hour' * (1 + random()),
    jsonb_build_object('order_id', o.id, 'step', 'book_shipment', 'generation', 1), ARRAY['backlog'], 'book_shipment', 'shipping',
    ARRAY[jsonb_build_object('at', now(), 'attempt', 8, 'error', 'unavailable', 'trace', '')]
FROM millrace.orders o WHERE o.principal = 'backlog' AND o.status = 'processing';

-- The receiver of the first is down, the second and third are well; 1,000 more belong to customers and are disabled.
INSERT INTO millrace.webhook_endpoints (
    id, principal, customer_id, owner_customer_id, url, event_types, description, secret, rotation_key, state,
    disabled_reason, failures, failing_since, busy_until, created_at, updated_at
)
SELECT
    ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'backlog', CASE WHEN n > 3 THEN n::text ELSE '' END,
    CASE WHEN n > 3 THEN n::text ELSE '' END, 'https://shop.example.com/hooks', '{}', '', decode(repeat('00', 32), 'hex'), '',
    CASE WHEN n > 3 THEN 'disabled' ELSE 'enabled' END, CASE WHEN n > 3 THEN 'failing' ELSE '' END,
    CASE n WHEN 1 THEN 30 ELSE 0 END, CASE n WHEN 1 THEN now() - interval '1 day' END,
    now() + CASE n WHEN 1 THEN interval '1 day' ELSE interval '0' END, now() - interval '60 days', now() - interval '60 days'
FROM generate_series(1, 1003) AS n;

INSERT INTO millrace.webhook_deliveries (
    id, endpoint_id, event_type, order_id, version, body, state, attempts, give_up_at, next_attempt_at, created_at, finished_at
)
SELECT
    o.id, ('00000000-0000-7000-8000-' || lpad((2 + o.n % 2)::text, 12, '0'))::uuid, 'OrderCreated', o.id, 1,
    '{"type":"OrderCreated","data":{"orderId":"' || o.id || '","version":1}}',
    CASE o.n % 100 WHEN 0 THEN 'failed' ELSE 'delivered' END, 1, 10, o.placed_at, o.placed_at, o.placed_at
FROM (SELECT id, placed_at, row_number() OVER (ORDER BY id DESC) AS n FROM millrace.orders ORDER BY id DESC LIMIT @orders / 2) o;

INSERT INTO millrace.webhook_deliveries (
    id, endpoint_id, event_type, order_id, version, body, state, attempts, give_up_at, next_attempt_at, created_at
)
SELECT
    o.id, '00000000-0000-7000-8000-000000000001', 'OrderCreated', o.id, 1,
    '{"type":"OrderCreated","data":{"orderId":"' || o.id || '","version":1}}', 'pending', 1, 10, now() - interval '1 hour', o.placed_at
FROM millrace.orders o WHERE o.principal = 'backlog';

INSERT INTO millrace.webhook_attempts (endpoint_id, delivery_id, attempt, at, duration_ms, status, error, response)
SELECT d.endpoint_id, d.id, 1, d.created_at, 20, 200, '', 'ok' FROM millrace.webhook_deliveries d;

INSERT INTO millrace.instances (id, started_at, heartbeat_at)
SELECT 'gone-' || n, now() - interval '1 hour', now() - interval '1 minute' FROM generate_series(1, 20) AS n;
