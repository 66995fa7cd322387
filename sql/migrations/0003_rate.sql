-- Requests by subject and segment of time, added up over all processes, for rate limits. The table is unlogged: after a
-- crash of the database it is empty, and each process continues with its own counts.

-- +goose Up

CREATE UNLOGGED TABLE millrace.rate_counts (
    subject text NOT NULL,
    segment_at timestamptz NOT NULL,
    requests bigint NOT NULL,
    last_at timestamptz NOT NULL,

    CONSTRAINT rate_counts_pkey PRIMARY KEY (subject, segment_at),
    CONSTRAINT rate_counts_subject_length CHECK (char_length(subject) BETWEEN 1 AND 250),
    CONSTRAINT rate_counts_requests_positive CHECK (requests >= 1)
-- Every flush updates its rows: room on the page keeps those updates off the indexes (HOT).
) WITH (fillfactor = 50);

-- For pruning.
CREATE INDEX rate_counts_segment_at_idx ON millrace.rate_counts (segment_at);
