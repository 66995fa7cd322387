-- The order and its items, steps and events. River's migrator makes River's own tables before these.

-- +goose Up

CREATE TABLE millrace.orders (
    id uuid NOT NULL,
    principal text NOT NULL,
    idempotency_key text,
    fingerprint bytea,
    customer_id text NOT NULL,
    customer_email text NOT NULL DEFAULT '',
    currency text NOT NULL,
    total_minor bigint NOT NULL,
    refunded_minor bigint NOT NULL DEFAULT 0,
    payment_method text NOT NULL,
    shipping_address jsonb,
    version bigint NOT NULL,
    status text NOT NULL,
    goal text NOT NULL,
    reason text NOT NULL,
    placed_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,

    CONSTRAINT orders_pkey PRIMARY KEY (id),
    CONSTRAINT orders_principal_length CHECK (char_length(principal) BETWEEN 1 AND 200),
    CONSTRAINT orders_idempotency_key_length CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
    CONSTRAINT orders_fingerprint_with_key CHECK ((idempotency_key IS NULL) = (fingerprint IS NULL)),
    CONSTRAINT orders_fingerprint_length CHECK (octet_length(fingerprint) = 32),
    CONSTRAINT orders_customer_id_length CHECK (char_length(customer_id) BETWEEN 1 AND 200),
    CONSTRAINT orders_customer_email_length CHECK (octet_length(customer_email) <= 254),
    CONSTRAINT orders_currency_length CHECK (char_length(currency) = 3),
    CONSTRAINT orders_total_range CHECK (total_minor BETWEEN 0 AND 9007199254740991),
    CONSTRAINT orders_refunded_range CHECK (refunded_minor BETWEEN 0 AND total_minor),
    CONSTRAINT orders_payment_method_length CHECK (char_length(payment_method) <= 200),
    CONSTRAINT orders_shipping_address_size CHECK (octet_length(shipping_address::text) <= 8192),
    CONSTRAINT orders_version_positive CHECK (version >= 1),
    CONSTRAINT orders_status_known CHECK (status IN
        ('pending', 'processing', 'completed', 'failed', 'cancelled', 'refunded', 'needs_attention')),
    CONSTRAINT orders_goal_known CHECK (goal IN ('complete', 'cancel', 'fail')),
    CONSTRAINT orders_reason_length CHECK (char_length(reason) <= 500)
-- Every event of an order updates its row: room on the page keeps most of those updates off the indexes (HOT).
) WITH (fillfactor = 70);

-- I2: one order per (principal, idempotency key).
CREATE UNIQUE INDEX orders_idempotency_key_idx ON millrace.orders (principal, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
-- Lists, newest first: ids are UUIDv7, so they sort by the time of placing.
CREATE INDEX orders_customer_id_idx ON millrace.orders (customer_id, id DESC);
CREATE INDEX orders_status_idx ON millrace.orders (status, id DESC);

-- Items and steps have no foreign key to their order. Only the statement that writes the order writes them, and five
-- look-ups per order are a seventh of what placing it costs.
CREATE TABLE millrace.order_items (
    order_id uuid NOT NULL,
    line integer NOT NULL,
    product_id bigint NOT NULL,
    quantity bigint NOT NULL,
    price_minor bigint NOT NULL,

    CONSTRAINT order_items_pkey PRIMARY KEY (order_id, line),
    CONSTRAINT order_items_line_range CHECK (line BETWEEN 1 AND 100),
    CONSTRAINT order_items_product_id_positive CHECK (product_id >= 1),
    CONSTRAINT order_items_quantity_range CHECK (quantity BETWEEN 1 AND 10000),
    CONSTRAINT order_items_price_range CHECK (price_minor BETWEEN 0 AND 9007199254740991)
);

-- Each call to a provider, stored before the call is made, and its outcome. key_generation is set for a retry of a step
-- that got no answer: the retry reuses the idempotency key and the bytes of that generation, and its own request is
-- empty. handed_over_at is set before a step is sent to a provider without idempotency keys. Such a step is not sent
-- again.
--
-- What settling a step changes stands last. Postgres logs an update from the first byte that differs to the last one,
-- so with the request in between, each request would be logged twice.
CREATE TABLE millrace.order_steps (
    order_id uuid NOT NULL,
    step text NOT NULL,
    generation integer NOT NULL,
    key_generation integer,
    amount_minor bigint NOT NULL,
    started_at timestamptz NOT NULL,
    deadline_at timestamptz NOT NULL,
    request bytea NOT NULL,
    handed_over_at timestamptz,
    state text NOT NULL,
    reference text NOT NULL,
    reason text NOT NULL,
    settled_at timestamptz,

    CONSTRAINT order_steps_pkey PRIMARY KEY (order_id, step, generation),
    CONSTRAINT order_steps_step_length CHECK (char_length(step) BETWEEN 1 AND 100),
    CONSTRAINT order_steps_generation_positive CHECK (generation >= 1),
    CONSTRAINT order_steps_state_known CHECK (state IN ('pending', 'succeeded', 'refused', 'unknown')),
    CONSTRAINT order_steps_settled_with_outcome CHECK ((state = 'pending') = (settled_at IS NULL)),
    CONSTRAINT order_steps_amount_range CHECK (amount_minor BETWEEN 0 AND 9007199254740991),
    CONSTRAINT order_steps_request_size CHECK (octet_length(request) <= 65536),
    CONSTRAINT order_steps_reference_length CHECK (char_length(reference) <= 200),
    CONSTRAINT order_steps_reason_length CHECK (char_length(reason) <= 200),
    CONSTRAINT order_steps_key_generation_range CHECK (key_generation BETWEEN 1 AND generation - 1)
);

-- For the sweep: steps that have been pending for a long time.
CREATE INDEX order_steps_pending_idx ON millrace.order_steps (started_at) WHERE state = 'pending';

-- The commands that orders received under an idempotency key, and the version of the order that answered each. A row
-- is written together with the command's effect. (The key under which an order was placed is on the order.)
CREATE TABLE millrace.order_commands (
    principal text NOT NULL,
    kind text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint bytea NOT NULL,
    order_id uuid NOT NULL,
    version bigint NOT NULL,
    at timestamptz NOT NULL,

    CONSTRAINT order_commands_pkey PRIMARY KEY (principal, kind, idempotency_key),
    CONSTRAINT order_commands_order_fkey FOREIGN KEY (order_id) REFERENCES millrace.orders (id) ON DELETE CASCADE,
    CONSTRAINT order_commands_principal_length CHECK (char_length(principal) BETWEEN 1 AND 200),
    CONSTRAINT order_commands_kind_length CHECK (char_length(kind) BETWEEN 1 AND 100),
    CONSTRAINT order_commands_idempotency_key_length CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
    CONSTRAINT order_commands_fingerprint_length CHECK (octet_length(fingerprint) = 32),
    CONSTRAINT order_commands_version_positive CHECK (version >= 1)
);

CREATE INDEX order_commands_at_idx ON millrace.order_commands (at);
CREATE INDEX order_commands_order_id_idx ON millrace.order_commands (order_id);

-- The log. txid is the transaction that wrote the event. Postgres hands out ids before the commit, so a reader that
-- follows the id alone skips events that commit late. Readers follow (txid, id), below the oldest transaction still
-- running.
--
-- The log is cut into partitions by the time of writing, by the database's clock, and pruned by dropping partitions.
-- It has no foreign key: dropping a partition would lock the orders, too, and every insert would look up an order that
-- the same transaction has just written or locked. The order's row ensures that an order has each version once.
CREATE TABLE millrace.order_events (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    logged_at timestamptz NOT NULL DEFAULT now(),
    order_id uuid NOT NULL,
    version bigint NOT NULL,
    kind text NOT NULL,
    amount_minor bigint NOT NULL,
    step text NOT NULL,
    generation integer NOT NULL,
    reference text NOT NULL,
    reason text NOT NULL,
    status text NOT NULL,
    progress smallint NOT NULL,
    status_changed boolean NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL DEFAULT '',

    CONSTRAINT order_events_pkey PRIMARY KEY (order_id, version, logged_at),
    CONSTRAINT order_events_version_positive CHECK (version >= 1),
    CONSTRAINT order_events_kind_known CHECK (kind IN
        ('order_placed', 'cancel_requested', 'refund_requested', 'retry_requested', 'undo_requested',
        'success_declared', 'refusal_declared', 'step_succeeded', 'step_refused', 'step_unknown')),
    CONSTRAINT order_events_amount_range CHECK (amount_minor BETWEEN 0 AND 9007199254740991),
    CONSTRAINT order_events_step_length CHECK (char_length(step) <= 100),
    CONSTRAINT order_events_reference_length CHECK (char_length(reference) <= 200),
    CONSTRAINT order_events_reason_length CHECK (char_length(reason) <= 200),
    CONSTRAINT order_events_status_known CHECK (status IN
        ('pending', 'processing', 'completed', 'failed', 'cancelled', 'refunded', 'needs_attention')),
    CONSTRAINT order_events_progress_range CHECK (progress BETWEEN 0 AND 100),
    CONSTRAINT order_events_actor_length CHECK (char_length(actor) <= 200)
) PARTITION BY RANGE (logged_at);

-- Takes the rows that no other partition takes, so that orders can be stored when a partition is missing.
CREATE TABLE millrace.order_events_default PARTITION OF millrace.order_events DEFAULT;

CREATE INDEX order_events_feed_idx ON millrace.order_events (txid, id);

-- An order as readers see it. One statement is one snapshot, so its version and its steps always agree.
CREATE VIEW millrace.order_documents AS
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
    o.customer_email
FROM millrace.orders o;

-- The e-mails of orders. The steps are the truth; the frozen request has a message's text and recipient. Lists are
-- sorted by the order. Each list follows an existing index: orders_pkey or orders_customer_id_idx, and
-- order_steps_pkey.
CREATE VIEW millrace.notifications AS
SELECT
    o.id AS order_id, s.generation, o.customer_id,
    coalesce(convert_from(s.request, 'UTF8')::jsonb ->> 'template', '')::text AS template,
    coalesce(convert_from(s.request, 'UTF8')::jsonb ->> 'to', '')::text AS recipient,
    s.state, s.reason, s.reference, s.started_at, s.settled_at
FROM millrace.orders o JOIN millrace.order_steps s ON s.order_id = o.id AND s.step = 'send_email';
