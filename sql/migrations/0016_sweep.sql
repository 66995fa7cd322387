-- +goose NO TRANSACTION

-- The sweep and recovery look for the jobs of single steps, and for pending steps page by page, so that neither costs
-- more the more steps are pending. The indexes are made while others write. One that was begun and not finished is made anew.

-- +goose Up

-- Transactions that are open, a backup's among them, are waited for.
SET lock_timeout = 0;

-- The unfinished jobs of an order. A finished job leaves the index.
DROP INDEX CONCURRENTLY IF EXISTS millrace.river_job_order_idx;
CREATE INDEX CONCURRENTLY river_job_order_idx ON millrace.river_job ((args ->> 'order_id'))
    WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled');

-- Pending steps of one kind, those first whose deadline is nearest. One provider's outage makes no other's steps wait for
-- being looked at.
DROP INDEX CONCURRENTLY IF EXISTS millrace.order_steps_due_idx;
CREATE INDEX CONCURRENTLY order_steps_due_idx ON millrace.order_steps (step, deadline_at, order_id, generation)
    WHERE state = 'pending';
DROP INDEX CONCURRENTLY IF EXISTS millrace.order_steps_pending_idx;

RESET lock_timeout;

-- Up to which pending step of a kind the sweep has looked. No row: it begins anew.
CREATE TABLE IF NOT EXISTS millrace.sweep_progress (
    step text NOT NULL,
    deadline_at timestamptz NOT NULL,
    order_id uuid NOT NULL,
    generation integer NOT NULL,

    CONSTRAINT sweep_progress_pkey PRIMARY KEY (step),
    CONSTRAINT sweep_progress_step_length CHECK (char_length(step) BETWEEN 1 AND 100)
);

-- From which queues a process takes no jobs, because their provider's breaker is open there.
ALTER TABLE millrace.instances ADD COLUMN IF NOT EXISTS shut_queues text[] NOT NULL DEFAULT '{}'
    CONSTRAINT instances_shut_queues_length CHECK (cardinality(shut_queues) <= 100);
ALTER TABLE millrace.instances DROP CONSTRAINT IF EXISTS instances_shut_queues_size,
    ADD CONSTRAINT instances_shut_queues_size CHECK (octet_length(shut_queues::text) <= 4000);
