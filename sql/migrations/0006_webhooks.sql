-- Webhooks: the endpoints that messages about orders go to, the messages, and the attempts to send them.

-- +goose Up

-- How far a reader of order_events has read, as (txid, id). The row outlives the reader's process.
CREATE TABLE millrace.feed_cursors (
    name text NOT NULL,
    epoch bigint NOT NULL,
    txid xid8 NOT NULL,
    id bigint NOT NULL,
    at timestamptz NOT NULL,

    CONSTRAINT feed_cursors_pkey PRIMARY KEY (name),
    CONSTRAINT feed_cursors_name_length CHECK (char_length(name) BETWEEN 1 AND 100)
);

-- The secrets are stored in plain text: signing needs them. An endpoint hears of the orders of customer_id, or of all
-- orders if customer_id is empty. An empty event_types stands for all. Before busy_until no job is started for the
-- endpoint, because a job is running or because the endpoint failed.
CREATE TABLE millrace.webhook_endpoints (
    id uuid NOT NULL,
    principal text NOT NULL,
    idempotency_key text,
    fingerprint bytea,
    customer_id text NOT NULL,
    owner_customer_id text NOT NULL,
    url text NOT NULL,
    event_types text[] NOT NULL,
    description text NOT NULL,
    secret bytea NOT NULL,
    previous_secret bytea,
    previous_expires_at timestamptz,
    rotation_key text NOT NULL,
    state text NOT NULL,
    disabled_reason text NOT NULL,
    failures integer NOT NULL,
    failing_since timestamptz,
    busy_until timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,

    CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_endpoints_principal_length CHECK (char_length(principal) BETWEEN 1 AND 200),
    CONSTRAINT webhook_endpoints_idempotency_key_length CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
    CONSTRAINT webhook_endpoints_fingerprint_length CHECK (octet_length(fingerprint) = 32),
    CONSTRAINT webhook_endpoints_fingerprint_with_key CHECK ((idempotency_key IS NULL) = (fingerprint IS NULL)),
    CONSTRAINT webhook_endpoints_customer_id_length CHECK (char_length(customer_id) <= 200),
    -- A customer's endpoint hears of that customer's orders.
    CONSTRAINT webhook_endpoints_owner_customer_id CHECK (owner_customer_id IN ('', customer_id)),
    CONSTRAINT webhook_endpoints_url_length CHECK (char_length(url) BETWEEN 1 AND 2000),
    CONSTRAINT webhook_endpoints_event_types_length CHECK (cardinality(event_types) <= 20),
    CONSTRAINT webhook_endpoints_event_types_size CHECK (octet_length(event_types::text) <= 2000),
    CONSTRAINT webhook_endpoints_description_length CHECK (char_length(description) <= 200),
    CONSTRAINT webhook_endpoints_secret_length CHECK (octet_length(secret) = 32),
    CONSTRAINT webhook_endpoints_previous_secret_length CHECK (octet_length(previous_secret) = 32),
    CONSTRAINT webhook_endpoints_previous_expires CHECK ((previous_secret IS NULL) = (previous_expires_at IS NULL)),
    CONSTRAINT webhook_endpoints_rotation_key_length CHECK (octet_length(rotation_key) <= 255),
    CONSTRAINT webhook_endpoints_state_known CHECK (state IN ('enabled', 'disabled', 'deleted')),
    CONSTRAINT webhook_endpoints_disabled_reason_known CHECK (disabled_reason IN
        ('', 'owner', 'gone', 'failing', 'key_ended')),
    CONSTRAINT webhook_endpoints_disabled_with_reason CHECK (state = 'deleted' OR (state = 'disabled') = (disabled_reason <> '')),
    CONSTRAINT webhook_endpoints_failures_range CHECK (failures >= 0)
-- Every attempt updates its row: room on the page keeps those updates off the indexes (HOT).
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX webhook_endpoints_idempotency_idx ON millrace.webhook_endpoints (principal, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
-- For the lists of all endpoints, of a principal's and of a customer's.
CREATE INDEX webhook_endpoints_listed_idx ON millrace.webhook_endpoints (id) WHERE state <> 'deleted';
CREATE INDEX webhook_endpoints_principal_idx ON millrace.webhook_endpoints (principal, id) WHERE state <> 'deleted';
CREATE INDEX webhook_endpoints_owner_customer_id_idx ON millrace.webhook_endpoints (owner_customer_id, id)
    WHERE state <> 'deleted' AND owner_customer_id <> '';
-- For the fan-out: the endpoints that hear of a customer's orders.
CREATE INDEX webhook_endpoints_enabled_idx ON millrace.webhook_endpoints (customer_id, id) WHERE state = 'enabled';
CREATE INDEX webhook_endpoints_deleted_idx ON millrace.webhook_endpoints (id) WHERE state = 'deleted';

-- A message to an endpoint. Its id is its webhook-id, and its body never changes. There is at most one message about
-- each event of an order; messages about something else have no order_id. A pending message is sent once
-- next_attempt_at has come. While a worker sends it, next_attempt_at is when another worker may take it over. After
-- give_up_at attempts the message is given up.
CREATE TABLE millrace.webhook_deliveries (
    id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    event_type text NOT NULL,
    order_id uuid,
    version bigint NOT NULL,
    body text NOT NULL,
    state text NOT NULL,
    attempts integer NOT NULL,
    give_up_at integer NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,

    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (endpoint_id, id),
    CONSTRAINT webhook_deliveries_endpoint_fkey FOREIGN KEY (endpoint_id) REFERENCES millrace.webhook_endpoints (id),
    CONSTRAINT webhook_deliveries_once UNIQUE (endpoint_id, order_id, version),
    CONSTRAINT webhook_deliveries_event_type_length CHECK (char_length(event_type) BETWEEN 1 AND 100),
    CONSTRAINT webhook_deliveries_body_size CHECK (octet_length(body) <= 16384),
    CONSTRAINT webhook_deliveries_state_known CHECK (state IN ('pending', 'delivered', 'failed', 'blocked')),
    CONSTRAINT webhook_deliveries_attempts_range CHECK (attempts BETWEEN 0 AND give_up_at),
    CONSTRAINT webhook_deliveries_finished CHECK ((state = 'pending') = (finished_at IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX webhook_deliveries_state_idx ON millrace.webhook_deliveries (endpoint_id, state, id);
CREATE INDEX webhook_deliveries_due_idx ON millrace.webhook_deliveries (endpoint_id, next_attempt_at, id) WHERE state = 'pending';
-- For pruning.
CREATE INDEX webhook_deliveries_finished_at_idx ON millrace.webhook_deliveries (finished_at) WHERE finished_at IS NOT NULL;

-- One attempt to send a message. status is 0 if there was no answer.
CREATE TABLE millrace.webhook_attempts (
    endpoint_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL,
    duration_ms integer NOT NULL,
    status integer NOT NULL,
    error text NOT NULL,
    response text NOT NULL,

    CONSTRAINT webhook_attempts_pkey PRIMARY KEY (endpoint_id, delivery_id, attempt),
    CONSTRAINT webhook_attempts_delivery_fkey FOREIGN KEY (endpoint_id, delivery_id)
        REFERENCES millrace.webhook_deliveries (endpoint_id, id) ON DELETE CASCADE,
    CONSTRAINT webhook_attempts_attempt_positive CHECK (attempt >= 1),
    CONSTRAINT webhook_attempts_status_range CHECK (status BETWEEN 0 AND 999),
    CONSTRAINT webhook_attempts_error_length CHECK (char_length(error) <= 200),
    CONSTRAINT webhook_attempts_response_size CHECK (octet_length(response) <= 1024)
);
