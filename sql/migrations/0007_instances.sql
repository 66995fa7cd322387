-- The processes that are alive.

-- +goose Up

-- The processes that carry out steps. A process whose heartbeat stops has died, and other processes get its running
-- jobs.
CREATE TABLE millrace.instances (
    id text NOT NULL,
    started_at timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,

    CONSTRAINT instances_pkey PRIMARY KEY (id),
    CONSTRAINT instances_id_length CHECK (char_length(id) BETWEEN 1 AND 200)
-- Every heartbeat updates its row: room on the page keeps those updates off the index (HOT).
) WITH (fillfactor = 50);
