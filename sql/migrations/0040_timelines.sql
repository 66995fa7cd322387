-- Which timelines the database has lived on. A replica that has replayed the mark of a timeline has followed the
-- database onto it, and belongs to this database and no other.

-- +goose Up

-- One row for each timeline of the cluster on which a process with replicas has found the database. A failover or a
-- restore begins a timeline. A copy of the database in another cluster, or beside it, has marks of its own.
CREATE TABLE millrace.timelines (
    system bigint NOT NULL, -- the cluster's identifier
    database bigint NOT NULL,
    timeline bigint NOT NULL,
    mark bigint NOT NULL, -- random: positions that callers hold carry it
    began_at timestamptz NOT NULL DEFAULT now(), -- when it was found

    CONSTRAINT timelines_pkey PRIMARY KEY (system, database, timeline),
    CONSTRAINT timelines_mark_key UNIQUE (mark),
    CONSTRAINT timelines_mark_positive CHECK (mark > 0)
);

-- The database's cluster, and its own number there.
-- +goose StatementBegin
CREATE FUNCTION millrace.database_identity() RETURNS TABLE (system bigint, database bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT c.system_identifier, d.oid::bigint FROM pg_control_system() c, pg_database d WHERE d.datname = current_database()
$$;
-- +goose StatementEnd

-- The timeline on which a primary writes. It fails on a standby.
-- +goose StatementBegin
CREATE FUNCTION millrace.current_timeline() RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint
$$;
-- +goose StatementEnd

-- Programs of the version before need not know of timelines.
INSERT INTO millrace.schema_compatibility (version_id, runs_with) VALUES (40, 30) ON CONFLICT DO NOTHING;
