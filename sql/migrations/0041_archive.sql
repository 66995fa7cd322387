-- Orders that left the database for files. Programs of the version before need not know any of it, as long as no
-- process has --keep-orders.

-- +goose Up

-- One file of orders. Its contents have been read back and compared before its row is written.
CREATE TABLE millrace.archive_files (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    orders bigint NOT NULL,
    bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    written_at timestamptz NOT NULL,

    CONSTRAINT archive_files_pkey PRIMARY KEY (id),
    CONSTRAINT archive_files_name_unique UNIQUE (name),
    CONSTRAINT archive_files_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT archive_files_orders_positive CHECK (orders >= 1),
    CONSTRAINT archive_files_bytes_positive CHECK (bytes >= 1),
    CONSTRAINT archive_files_sha256_length CHECK (octet_length(sha256) = 32)
);

-- What stays of an archived order, for ever: enough to answer a repeated placement as the first time, to tell the
-- order from one that never was, and to find its file. Until deleted_at is set the order is still in orders.
CREATE TABLE millrace.archived_orders (
    order_id uuid NOT NULL,
    file_id bigint NOT NULL,
    principal text NOT NULL,
    idempotency_key text,
    fingerprint bytea,
    customer_id text NOT NULL,
    version bigint NOT NULL,
    placed_at timestamptz NOT NULL,
    deleted_at timestamptz,

    CONSTRAINT archived_orders_pkey PRIMARY KEY (order_id),
    CONSTRAINT archived_orders_file_fkey FOREIGN KEY (file_id) REFERENCES millrace.archive_files (id),
    CONSTRAINT archived_orders_principal_length CHECK (char_length(principal) BETWEEN 1 AND 200),
    CONSTRAINT archived_orders_idempotency_key_length CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
    CONSTRAINT archived_orders_fingerprint_length CHECK (octet_length(fingerprint) = 32),
    CONSTRAINT archived_orders_customer_id_length CHECK (char_length(customer_id) BETWEEN 1 AND 200),
    CONSTRAINT archived_orders_version_positive CHECK (version >= 1)
);

-- I2 goes on for archived orders.
CREATE UNIQUE INDEX archived_orders_idempotency_key_idx ON millrace.archived_orders (principal, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
-- For the orders whose file is written and that are still to be deleted.
CREATE INDEX archived_orders_pending_idx ON millrace.archived_orders (file_id, order_id) WHERE deleted_at IS NULL;

-- Reports for each of some idempotency keys whether an archived order has it, for a statement that stores orders. It
-- takes the lock of order_sealed_to before it reads. The session that registers an order here waits for the holders of
-- the lock before it deletes the order. So a statement either finds the key here, or its order is still in orders.
-- +goose StatementBegin
CREATE FUNCTION millrace.order_keys_archived(principals text[], keys text[]) RETURNS boolean[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared((1835625580::bigint << 32) | 1886151011); -- "millplac"
    RETURN (
        SELECT array_agg(EXISTS (
            SELECT FROM millrace.archived_orders a WHERE a.principal = k.principal AND a.idempotency_key = k.key
        ) ORDER BY k.number)
        FROM unnest(principals, keys) WITH ORDINALITY AS k (principal, key, number)
    );
END
$$;
-- +goose StatementEnd

INSERT INTO millrace.schema_compatibility (version_id, runs_with) VALUES (41, 30) ON CONFLICT DO NOTHING;
