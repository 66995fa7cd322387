-- Autovacuum waits for a fifth of a table by default: two million dead rows of ten million orders. These tables are
-- vacuumed and analyzed earlier, in shorter runs.

-- +goose Up

-- Programs read and write meanwhile. An autovacuum that runs ends after a second.
SET LOCAL lock_timeout = '10s';

ALTER TABLE millrace.orders SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05
);
ALTER TABLE millrace.order_steps SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05
);
-- Rows are only added, and deleted with their order. Vacuum keeps the map that lets it skip what it has frozen.
ALTER TABLE millrace.order_items SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.05
);
-- A job is written four times within seconds and deleted within an hour: dead rows outnumber living ones, and each
-- fetch passes by them.
ALTER TABLE millrace.river_job SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.02
);
ALTER TABLE millrace.webhook_deliveries SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.02
);

INSERT INTO millrace.schema_compatibility (version_id, runs_with) VALUES (42, 30) ON CONFLICT DO NOTHING;
