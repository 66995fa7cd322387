-- +goose NO TRANSACTION

-- River's scheduler looks every five seconds for jobs that are due. By its own index it reads all jobs that wait: in a
-- long outage a million. The index is made while others write. One that an earlier run left unfinished is made again.

-- +goose Up

-- The statement waits for open transactions, a backup's included.
SET lock_timeout = 0;

-- The jobs that wait for a moment, by moment. Other jobs are not in the index, and cost nothing.
DROP INDEX CONCURRENTLY IF EXISTS millrace.river_job_due_idx;
CREATE INDEX CONCURRENTLY river_job_due_idx ON millrace.river_job (scheduled_at, priority, id)
    WHERE state IN ('retryable', 'scheduled');

RESET lock_timeout;

-- Programs of the version before do not notice.
INSERT INTO millrace.schema_compatibility (version_id, runs_with) VALUES (44, 30) ON CONFLICT DO NOTHING;
