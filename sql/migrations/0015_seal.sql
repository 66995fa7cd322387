-- The moment up to which all orders are stored. An export seals a moment. From then on no order is stored under an
-- earlier id or time, however long its process was frozen and whatever its clock shows. The moment is settled once
-- every transaction that may have missed the seal has ended. All orders before a settled moment are stored.

-- +goose Up

CREATE TABLE IF NOT EXISTS millrace.order_seal (
    singleton boolean NOT NULL DEFAULT true,
    sealed_to timestamptz NOT NULL,
    settled_to timestamptz NOT NULL,

    CONSTRAINT order_seal_pkey PRIMARY KEY (singleton),
    CONSTRAINT order_seal_one_row CHECK (singleton)
) WITH (fillfactor = 50);

INSERT INTO millrace.order_seal (sealed_to, settled_to) VALUES ('2000-01-01T00:00:00Z', '2000-01-01T00:00:00Z')
ON CONFLICT DO NOTHING;

-- Reads the seal for a transaction that stores orders. The transaction takes a lock before it reads the seal. The
-- export that makes a seal waits for the holders of the lock, so it also waits for a transaction that saw no seal.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.order_sealed_to() RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared((1835625580::bigint << 32) | 1886151011); -- "millplac"
    RETURN (SELECT s.sealed_to FROM millrace.order_seal s);
END
$$;
-- +goose StatementEnd

-- The transactions that are storing orders at the moment.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.order_placing() RETURNS text[]
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
SELECT coalesce(array_agg(DISTINCT l.virtualtransaction), '{}') FROM pg_locks l
WHERE l.locktype = 'advisory' AND l.classid = 1835625580 AND l.objid = 1886151011 AND l.objsubid = 1 AND l.granted
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
    AND l.pid IS DISTINCT FROM pg_backend_pid()
$$;
-- +goose StatementEnd
