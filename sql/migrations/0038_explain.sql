-- +goose NO TRANSACTION

-- What explains an order: how often its lost jobs are looked for, and what operators did about it.

-- +goose Up

-- How often a process sweeps when it leads. 15 s is the default of programs that do not say it.
-- allow validate: the table has a row for each process
ALTER TABLE millrace.instances ADD COLUMN IF NOT EXISTS sweep_every interval NOT NULL DEFAULT '15 seconds'
    CONSTRAINT instances_sweep_every_range CHECK (sweep_every >= '0');

-- CREATE INDEX CONCURRENTLY waits for open transactions, a backup's included.
SET lock_timeout = 0;

-- What was done to one target, such as an order. Only operators and admins write into the audit log, so it costs little.
DROP INDEX CONCURRENTLY IF EXISTS millrace.audit_log_target_idx;
CREATE INDEX CONCURRENTLY audit_log_target_idx ON millrace.audit_log (target, id);

RESET lock_timeout;

-- Programs of the version before need not know any of it.
INSERT INTO millrace.schema_compatibility (version_id, runs_with) VALUES (38, 30) ON CONFLICT DO NOTHING;
