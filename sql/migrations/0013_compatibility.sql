-- +goose Up

-- Programs that were built for an older schema refuse to run, unless each migration that they do not know has a row here: it names
-- the oldest version whose programs may still run beside it. A migration that adds what old programs need not know writes
-- one; nothing is safe by default.
CREATE TABLE millrace.schema_compatibility (
    version_id bigint NOT NULL,
    runs_with bigint NOT NULL,

    CONSTRAINT schema_compatibility_pkey PRIMARY KEY (version_id),
    CONSTRAINT schema_compatibility_runs_with_range CHECK (runs_with BETWEEN 1 AND version_id)
);
