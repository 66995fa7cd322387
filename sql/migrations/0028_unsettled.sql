-- Effects at providers that could not be compared yet: their step was pending, or their order was still being undone.
-- Each is checked again until it can be compared.

-- +goose Up

-- The amount is missing: it is the intended one, or is a finding already. The key names order and step. order_id is the
-- provider's.
CREATE TABLE millrace.reconciliation_unsettled (
    provider text NOT NULL,
    key text NOT NULL,
    order_id text NOT NULL,
    took_effect_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,

    CONSTRAINT reconciliation_unsettled_pkey PRIMARY KEY (provider, key),
    CONSTRAINT reconciliation_unsettled_provider_length CHECK (char_length(provider) BETWEEN 1 AND 100),
    CONSTRAINT reconciliation_unsettled_key_length CHECK (octet_length(key) BETWEEN 1 AND 255),
    CONSTRAINT reconciliation_unsettled_order_id_length CHECK (char_length(order_id) <= 100)
);

CREATE INDEX reconciliation_unsettled_due_idx ON millrace.reconciliation_unsettled (provider, due_at, key);
