-- What verification found when it was last run, for every process to show: whichever process runs it, all say the same.

-- +goose Up

CREATE TABLE verification (
    single boolean NOT NULL DEFAULT true,
    started_at timestamptz NOT NULL,
    duration_seconds double precision NOT NULL,
    orders bigint NOT NULL,
    events bigint NOT NULL,
    violations jsonb NOT NULL,

    CONSTRAINT verification_pkey PRIMARY KEY (single),
    CONSTRAINT verification_single CHECK (single),
    CONSTRAINT verification_violations_size CHECK (octet_length(violations::text) <= 262144)
);
