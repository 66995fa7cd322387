-- A browser's EventSource cannot send a header, so it follows events with a ticket in the address. Addresses end up in
-- logs and histories. A ticket is therefore short-lived and opens nothing else, and only its hash is stored.

-- +goose Up

CREATE TABLE millrace.stream_tickets (
    secret_sha256 bytea NOT NULL,
    principal text NOT NULL,
    role text NOT NULL,
    customer_id text NOT NULL,
    key_id text,
    good_until timestamptz,
    expires_at timestamptz NOT NULL,

    CONSTRAINT stream_tickets_pkey PRIMARY KEY (secret_sha256),
    CONSTRAINT stream_tickets_key_fkey FOREIGN KEY (key_id) REFERENCES millrace.api_keys (id) ON DELETE CASCADE,
    CONSTRAINT stream_tickets_secret_sha256_length CHECK (octet_length(secret_sha256) = 32),
    CONSTRAINT stream_tickets_principal_length CHECK (char_length(principal) BETWEEN 1 AND 200),
    CONSTRAINT stream_tickets_role_known CHECK (role IN ('admin', 'operator', 'viewer', 'service', 'customer')),
    CONSTRAINT stream_tickets_customer_id_length CHECK (char_length(customer_id) <= 200),
    CONSTRAINT stream_tickets_customer_id_of_customer CHECK ((role = 'customer') = (customer_id <> ''))
);

-- For pruning.
CREATE INDEX stream_tickets_expires_at_idx ON millrace.stream_tickets (expires_at);
-- For the foreign key.
CREATE INDEX stream_tickets_key_id_idx ON millrace.stream_tickets (key_id) WHERE key_id IS NOT NULL;
