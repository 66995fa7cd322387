-- +goose NO TRANSACTION

-- What an operator looks at: the processes, samples of the system over time, and when a version appeared. Two indexes
-- serve the operator's questions. They are made while others write, and made again if an earlier run left them
-- unfinished.

-- +goose Up

-- Every process, with workers or without. instances has the processes with workers, and decides which jobs are lost.
-- Nothing is decided by this table. report has what changes: running jobs by queue, and what the process has seen of
-- each provider.
CREATE TABLE IF NOT EXISTS millrace.processes (
    id text NOT NULL,
    version text NOT NULL,
    role text NOT NULL,
    started_at timestamptz NOT NULL,
    reported_at timestamptz NOT NULL,
    report jsonb NOT NULL,

    CONSTRAINT processes_pkey PRIMARY KEY (id),
    CONSTRAINT processes_id_length CHECK (char_length(id) BETWEEN 1 AND 200),
    CONSTRAINT processes_version_length CHECK (char_length(version) BETWEEN 1 AND 100),
    CONSTRAINT processes_role_known CHECK (role IN ('serve', 'api', 'work')),
    CONSTRAINT processes_report_size CHECK (octet_length(report::text) <= 16384)
-- Every report updates its row: room on the page keeps those updates off the index (HOT).
) WITH (fillfactor = 50);

-- Samples of the whole system. resolution is the span of a sample in seconds, and at is where the span begins. Old
-- samples are deleted: there are at most a few thousand rows.
CREATE TABLE IF NOT EXISTS millrace.history_samples (
    resolution integer NOT NULL,
    at timestamptz NOT NULL,
    sample jsonb NOT NULL,

    CONSTRAINT history_samples_pkey PRIMARY KEY (resolution, at),
    CONSTRAINT history_samples_resolution_known CHECK (resolution IN (10, 60, 3600)),
    CONSTRAINT history_samples_sample_size CHECK (octet_length(sample::text) <= 8192)
);

-- When a process of a version appeared that no other process had at the time.
CREATE TABLE IF NOT EXISTS millrace.version_marks (
    at timestamptz NOT NULL,
    version text NOT NULL,

    CONSTRAINT version_marks_pkey PRIMARY KEY (at, version),
    CONSTRAINT version_marks_version_length CHECK (char_length(version) BETWEEN 1 AND 100)
);

-- An operator has a provider's own id, and looks for its order. An index over the steps' references would cost more:
-- Postgres could not settle a step in place any more. Only references that providers tell people about are here.
CREATE TABLE IF NOT EXISTS millrace.order_references (
    reference text NOT NULL,
    order_id uuid NOT NULL,

    CONSTRAINT order_references_pkey PRIMARY KEY (reference, order_id),
    CONSTRAINT order_references_reference_length CHECK (char_length(reference) BETWEEN 1 AND 200)
);

-- The orders that exist, a thousand and a transaction at a time. Readers of the log wait for older transactions, so one
-- for all orders would hold them up.
-- +goose StatementBegin
DO $$
DECLARE
    last uuid := '00000000-0000-0000-0000-000000000000';
    page uuid[];
BEGIN
    LOOP
        SELECT array_agg(p.id ORDER BY p.id) INTO page FROM (
            SELECT o.id FROM millrace.orders o WHERE o.id > last ORDER BY o.id LIMIT 1000
        ) p;
        EXIT WHEN page IS NULL;
        INSERT INTO millrace.order_references (reference, order_id)
        SELECT DISTINCT s.reference, s.order_id FROM millrace.order_steps s
        WHERE s.order_id = ANY (page) AND s.reference <> ''
            AND s.step IN ('authorize_payment', 'capture_payment', 'refund_payment', 'book_shipment')
        ON CONFLICT DO NOTHING;
        COMMIT;
        last := page[cardinality(page)];
    END LOOP;
END
$$;
-- +goose StatementEnd

-- CREATE INDEX CONCURRENTLY waits for open transactions, a backup's included.
SET lock_timeout = 0;

-- The endpoints that fail, and those that Millrace disabled.
DROP INDEX CONCURRENTLY IF EXISTS millrace.webhook_endpoints_failing_idx;
CREATE INDEX CONCURRENTLY webhook_endpoints_failing_idx ON millrace.webhook_endpoints (failing_since)
    WHERE failing_since IS NOT NULL AND state <> 'deleted';

RESET lock_timeout;

-- Programs of the version before need not know any of it.
INSERT INTO millrace.schema_compatibility (version_id, runs_with) VALUES (35, 30) ON CONFLICT DO NOTHING;
