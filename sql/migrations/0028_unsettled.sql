-- Effects at providers that could not be compared yet, because what they were compared with had not been decided: their
-- step was pending, or their order was still being undone. Each is looked at again until it is decided.

-- +goose Up

-- No amount: it is what was meant, or is a finding already. The key names order and step; order_id is as the provider has it.
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
