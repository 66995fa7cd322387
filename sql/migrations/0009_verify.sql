-- The findings of the latest verification. Every process shows these, whichever process ran it.

-- +goose Up

CREATE TABLE millrace.verification (
    singleton boolean NOT NULL DEFAULT true,
    started_at timestamptz NOT NULL,
    duration_seconds double precision NOT NULL,
    orders bigint NOT NULL,
    events bigint NOT NULL,
    violations jsonb NOT NULL,

    CONSTRAINT verification_pkey PRIMARY KEY (singleton),
    CONSTRAINT verification_one_row CHECK (singleton),
    CONSTRAINT verification_violations_size CHECK (octet_length(violations::text) <= 262144)
);

-- How far each provider's own records have been compared with the orders, and the result of the last run.
CREATE TABLE millrace.reconciliation_progress (
    provider text NOT NULL,
    state text NOT NULL,
    reconciled_to timestamptz NOT NULL,
    log_cursor text NOT NULL,
    ran_at timestamptz NOT NULL,

    CONSTRAINT reconciliation_progress_pkey PRIMARY KEY (provider),
    CONSTRAINT reconciliation_progress_provider_length CHECK (char_length(provider) BETWEEN 1 AND 100),
    CONSTRAINT reconciliation_progress_state_known CHECK (state IN ('ok', 'behind', 'not_listed', 'unavailable')),
    CONSTRAINT reconciliation_progress_log_cursor_length CHECK (char_length(log_cursor) <= 200)
);

-- The differences between the providers' records and the orders.
CREATE TABLE millrace.reconciliation_findings (
    provider text NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    order_id text NOT NULL,
    detail text NOT NULL,
    state text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,

    CONSTRAINT reconciliation_findings_pkey PRIMARY KEY (provider, kind, key),
    CONSTRAINT reconciliation_findings_provider_length CHECK (char_length(provider) BETWEEN 1 AND 100),
    CONSTRAINT reconciliation_findings_kind_known CHECK (kind IN
        ('unknown_order', 'no_intent', 'amount', 'not_undone', 'late', 'missing')),
    CONSTRAINT reconciliation_findings_key_length CHECK (octet_length(key) BETWEEN 1 AND 255),
    CONSTRAINT reconciliation_findings_order_id_length CHECK (char_length(order_id) <= 100),
    CONSTRAINT reconciliation_findings_detail_length CHECK (char_length(detail) <= 500),
    CONSTRAINT reconciliation_findings_state_known CHECK (state IN ('open', 'resolved', 'accepted'))
);

-- Findings are listed by state, newest first.
CREATE INDEX reconciliation_findings_state_idx ON millrace.reconciliation_findings (state, first_seen_at DESC);
