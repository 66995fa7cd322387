-- +goose Up

-- A program that was built for an older schema refuses to run, unless each migration that it does not know has a row
-- here. The row names the oldest version whose programs may still run beside the migration. A migration writes a row if
-- old programs need not know what it adds; no migration is safe by default.
CREATE TABLE millrace.schema_compatibility (
    version_id bigint NOT NULL,
    runs_with bigint NOT NULL,

    CONSTRAINT schema_compatibility_pkey PRIMARY KEY (version_id),
    CONSTRAINT schema_compatibility_runs_with_range CHECK (runs_with BETWEEN 1 AND version_id)
);
