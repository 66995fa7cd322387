-- +goose NO TRANSACTION

-- The sweep and recovery look up the jobs of single steps, and read pending steps page by page. Neither costs more when
-- more steps are pending. The indexes are made while others write. An index that an earlier run left unfinished is made
-- again.

-- +goose Up

-- The statement waits for open transactions, a backup's included.
SET lock_timeout = 0;

-- The unfinished jobs of an order. A finished job leaves the index.
DROP INDEX CONCURRENTLY IF EXISTS millrace.river_job_order_idx;
CREATE INDEX CONCURRENTLY river_job_order_idx ON millrace.river_job ((args ->> 'order_id'))
    WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled');

-- Pending steps of one kind, nearest deadline first. One provider's outage does not delay the sweep of another
-- provider's steps.
DROP INDEX CONCURRENTLY IF EXISTS millrace.order_steps_due_idx;
CREATE INDEX CONCURRENTLY order_steps_due_idx ON millrace.order_steps (step, deadline_at, order_id, generation)
    WHERE state = 'pending';
DROP INDEX CONCURRENTLY IF EXISTS millrace.order_steps_pending_idx;

RESET lock_timeout;

-- The pending step of each kind up to which the sweep has looked. Without a row the sweep begins anew.
CREATE TABLE IF NOT EXISTS millrace.sweep_progress (
    step text NOT NULL,
    deadline_at timestamptz NOT NULL,
    order_id uuid NOT NULL,
    generation integer NOT NULL,

    CONSTRAINT sweep_progress_pkey PRIMARY KEY (step),
    CONSTRAINT sweep_progress_step_length CHECK (char_length(step) BETWEEN 1 AND 100)
);

-- The queues from which a process takes no jobs, because their provider's breaker is open there.
ALTER TABLE millrace.instances ADD COLUMN IF NOT EXISTS shut_queues text[] NOT NULL DEFAULT '{}'
    CONSTRAINT instances_shut_queues_length CHECK (cardinality(shut_queues) <= 100);
ALTER TABLE millrace.instances DROP CONSTRAINT IF EXISTS instances_shut_queues_size,
    ADD CONSTRAINT instances_shut_queues_size CHECK (octet_length(shut_queues::text) <= 4000);
