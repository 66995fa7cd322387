-- Shows whether periodic work runs at all: verification, River's leader, and the log's upkeep.

-- +goose Up

-- A heartbeat shows since when a process has lived without a gap, how often it verifies when it leads, and since when
-- it has seen no living process lead.
ALTER TABLE millrace.instances
    ADD COLUMN live_since timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN verify_every interval NOT NULL DEFAULT '0',
    ADD COLUMN unled_since timestamptz,
    ADD CONSTRAINT instances_verify_every_range CHECK (verify_every >= '0');

-- The result of the log's upkeep. passing is true if an outage or a lock made it fail, which the next run may not meet.
CREATE TABLE millrace.log_upkeep (
    singleton boolean NOT NULL DEFAULT true,
    succeeded_at timestamptz,
    failing_since timestamptz,
    error text NOT NULL DEFAULT '',
    passing boolean NOT NULL DEFAULT false,

    CONSTRAINT log_upkeep_pkey PRIMARY KEY (singleton),
    CONSTRAINT log_upkeep_one_row CHECK (singleton),
    CONSTRAINT log_upkeep_error_length CHECK (char_length(error) <= 500)
);
