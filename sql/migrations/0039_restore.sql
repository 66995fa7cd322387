-- After a restore: a history of the log that no other restore has, and the undos of effects whose orders are lost.

-- +goose Up

-- Begins a new history after the last event of the log, without writing to any event. The epoch has the time in it, in
-- milliseconds: a database that is restored twice from one backup begins two histories, and a cursor of the first must
-- not be valid in the second.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.log_adopt() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    above bigint;
BEGIN
    LOCK TABLE millrace.order_events IN ACCESS EXCLUSIVE MODE;
    SELECT greatest(h.txid_offset, coalesce(max(e.txid)::text::bigint, 0)) INTO above
    FROM millrace.log_history h LEFT JOIN millrace.order_events e ON true GROUP BY h.txid_offset;
    UPDATE millrace.log_history
    SET epoch = greatest(epoch + 1, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), txid_offset = above;
    UPDATE millrace.feed_cursors SET epoch = (SELECT h.epoch FROM millrace.log_history h);
    EXECUTE format('ALTER TABLE millrace.order_events ALTER COLUMN txid SET DEFAULT '
        '((pg_current_xact_id()::text::bigint + %s)::text::xid8)', above);
END
$$;
-- +goose StatementEnd

-- One row for each effect at a provider that operators had undone because its order is lost, or that needs no undo. The
-- row precedes the call. A call that is made again has the same key, and the same bytes.
CREATE TABLE millrace.reconciliation_undos (
    provider text NOT NULL,
    key text NOT NULL, -- of the effect
    order_id uuid NOT NULL,
    step text NOT NULL, -- the compensation; empty if the effect needs none
    undo_key text NOT NULL, -- of the compensation
    request bytea NOT NULL,
    state text NOT NULL,
    reference text NOT NULL, -- the provider's own id of the compensation
    detail text NOT NULL,
    began_at timestamptz NOT NULL,
    settled_at timestamptz,

    CONSTRAINT reconciliation_undos_pkey PRIMARY KEY (provider, key),
    CONSTRAINT reconciliation_undos_provider_length CHECK (char_length(provider) BETWEEN 1 AND 100),
    CONSTRAINT reconciliation_undos_key_length CHECK (octet_length(key) BETWEEN 1 AND 255),
    CONSTRAINT reconciliation_undos_step_length CHECK (char_length(step) <= 100),
    CONSTRAINT reconciliation_undos_undo_key_length CHECK (octet_length(undo_key) <= 255),
    CONSTRAINT reconciliation_undos_undo_key_of_step CHECK ((step = '') = (undo_key = '')),
    CONSTRAINT reconciliation_undos_request_size CHECK (octet_length(request) <= 65536),
    CONSTRAINT reconciliation_undos_state_known CHECK (state IN ('pending', 'done', 'refused', 'not_found')),
    CONSTRAINT reconciliation_undos_settled_with_outcome CHECK ((state = 'pending') = (settled_at IS NULL)),
    CONSTRAINT reconciliation_undos_reference_length CHECK (char_length(reference) <= 200),
    CONSTRAINT reconciliation_undos_detail_length CHECK (char_length(detail) <= 200)
);

-- Programs of the version before need not know any of it: they undo nothing. One that reconciles may open a finding
-- again whose effect was undone; the next run of a program of this version closes it.
INSERT INTO millrace.schema_compatibility (version_id, runs_with) VALUES (39, 30) ON CONFLICT DO NOTHING;
