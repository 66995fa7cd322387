-- Messages to operators: which causes they have been told of, and which webhooks hear of them.

-- +goose Up

-- One row for each cause that holds, or that operators were told of within the last hour. It keeps a cause that lasts,
-- or comes and goes, from being told again and again.
CREATE TABLE millrace.operator_notices (
    type text NOT NULL,
    cause text NOT NULL,
    told_at timestamptz NOT NULL,
    holds boolean NOT NULL, -- when it was looked for last

    CONSTRAINT operator_notices_pkey PRIMARY KEY (type, cause),
    CONSTRAINT operator_notices_type_length CHECK (char_length(type) BETWEEN 1 AND 100),
    CONSTRAINT operator_notices_cause_length CHECK (char_length(cause) BETWEEN 1 AND 300)
);

-- True if an operator or an admin owns the endpoint, and it hears of all orders. Only such endpoints are told of the
-- system.
ALTER TABLE millrace.webhook_endpoints ADD COLUMN for_operators boolean NOT NULL DEFAULT false;
-- allow update: an operator has at most 20 endpoints
UPDATE millrace.webhook_endpoints e SET for_operators = true
FROM millrace.api_keys k WHERE k.id = e.principal AND k.role IN ('admin', 'operator') AND e.customer_id = '';

-- Programs of the version before need not know any of it.
INSERT INTO millrace.schema_compatibility (version_id, runs_with) VALUES (36, 30) ON CONFLICT DO NOTHING;
