-- Readers follow the log by position only, an adopted log keeps its positions, and a default partition that has filled
-- up becomes a partition of its own.

-- +goose Up

-- The offset that is added to this cluster's transaction ids. A log that was restored from a cluster with higher ids
-- continues above them.
ALTER TABLE millrace.log_history ADD COLUMN IF NOT EXISTS txid_offset bigint NOT NULL DEFAULT 0
    CONSTRAINT log_history_txid_offset_range CHECK (txid_offset >= 0);

-- Begins a new history after the last event of the log, without writing to any event.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.log_adopt() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    above bigint;
BEGIN
    LOCK TABLE millrace.order_events IN ACCESS EXCLUSIVE MODE;
    SELECT greatest(h.txid_offset, coalesce(max(e.txid)::text::bigint, 0)) INTO above
    FROM millrace.log_history h LEFT JOIN millrace.order_events e ON true GROUP BY h.txid_offset;
    UPDATE millrace.log_history SET epoch = epoch + 1, txid_offset = above;
    UPDATE millrace.feed_cursors SET epoch = (SELECT h.epoch FROM millrace.log_history h);
    EXECUTE format('ALTER TABLE millrace.order_events ALTER COLUMN txid SET DEFAULT '
        '((pg_current_xact_id()::text::bigint + %s)::text::xid8)', above);
END
$$;
-- +goose StatementEnd

-- The partitions of the log except the default one. A name has the day on which the partition begins and, unless it is
-- a week, the day on which it ends.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.log_partitions() RETURNS TABLE (name text, starts timestamptz, ends timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT p.name, p.starts::timestamp AT TIME ZONE 'UTC' AS starts, p.ends::timestamp AT TIME ZONE 'UTC' AS ends
FROM (
    SELECT c.relname AS name, to_date(substr(c.relname, 14, 8), 'YYYYMMDD') AS starts,
        CASE WHEN length(c.relname) > 21 THEN to_date(substr(c.relname, 23, 8), 'YYYYMMDD')
            ELSE to_date(substr(c.relname, 14, 8), 'YYYYMMDD') + 7 END AS ends
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'millrace.order_events'::regclass AND c.relname ~ '^order_events_[0-9]{8}(_[0-9]{8})?$'
) p
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.log_partition_create(starts timestamptz) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '200ms' SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC' AS $$
DECLARE
    partition text := 'order_events_' || to_char(starts AT TIME ZONE 'UTC', 'YYYYMMDD');
    upto timestamptz := starts + interval '168 hours';
BEGIN
    IF EXISTS (SELECT FROM millrace.log_partitions() p WHERE p.starts < upto AND p.ends > log_partition_create.starts) THEN
        RETURN true;
    END IF;
    IF EXISTS (SELECT FROM millrace.order_events_default e WHERE e.logged_at >= starts AND e.logged_at < upto) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE millrace.%I (LIKE millrace.order_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition);
    EXECUTE format('ALTER TABLE millrace.order_events ATTACH PARTITION millrace.%I FOR VALUES FROM (%L) TO (%L)',
        partition, starts, upto);
    RETURN true;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.log_partition_drop(before timestamptz) RETURNS integer
LANGUAGE plpgsql SET lock_timeout = '200ms' SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC' AS $$
DECLARE
    partition record;
    dropped integer := 0;
BEGIN
    FOR partition IN SELECT p.name, p.ends FROM millrace.log_partitions() p WHERE p.ends <= before LOOP
        EXECUTE format('DROP TABLE millrace.%I', partition.name);
        UPDATE millrace.log_history SET pruned_to = greatest(pruned_to, partition.ends);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
-- +goose StatementEnd

-- Adds a constraint to the default partition: all its rows lie between the partitions around it. The default partition
-- can then become one of them without being read while it is locked. log_default_check validates the constraint later.
-- From then on, until log_default_split, the default partition takes no rows outside. Such rows are at least a week
-- away, or have a partition. The function reports whether there is anything to do.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.log_default_limit() RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '200ms' SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC' AS $$
DECLARE
    sample timestamptz;
    lower_end timestamptz;
    upper_end timestamptz;
BEGIN
    SELECT d.logged_at INTO sample FROM millrace.order_events_default d LIMIT 1;
    IF sample IS NULL THEN
        RETURN false;
    END IF;
    SELECT coalesce(max(p.ends), '2000-01-03') INTO lower_end FROM millrace.log_partitions() p WHERE p.ends <= sample;
    SELECT coalesce(min(p.starts), date_trunc('week', greatest(now(), sample)) + interval '14 days') INTO upper_end
    FROM millrace.log_partitions() p WHERE p.starts > sample;
    EXECUTE format('ALTER TABLE millrace.order_events_default DROP CONSTRAINT IF EXISTS order_events_default_limit, '
        'ADD CONSTRAINT order_events_default_limit CHECK (logged_at >= %L AND logged_at < %L) NOT VALID', lower_end, upper_end);
    EXECUTE format('COMMENT ON TABLE millrace.order_events_default IS %L',
        to_char(lower_end, 'YYYYMMDD') || '_' || to_char(upper_end, 'YYYYMMDD'));
    RETURN true;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.log_default_check() RETURNS void
LANGUAGE plpgsql SET lock_timeout = '5s' SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    ALTER TABLE millrace.order_events_default VALIDATE CONSTRAINT order_events_default_limit;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.log_default_unlimit() RETURNS void
LANGUAGE plpgsql SET lock_timeout = '200ms' SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = 'millrace.order_events_default'::regclass
        AND c.conname = 'order_events_default_limit') THEN
        ALTER TABLE millrace.order_events_default DROP CONSTRAINT order_events_default_limit;
    END IF;
END
$$;
-- +goose StatementEnd

-- Turns the default partition with all its rows into an ordinary one, and makes a new default partition.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.log_default_split() RETURNS void
LANGUAGE plpgsql SET lock_timeout = '200ms' SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC' AS $$
DECLARE
    range text := obj_description('millrace.order_events_default'::regclass, 'pg_class');
    partition text := 'order_events_' || range;
BEGIN
    ALTER TABLE millrace.order_events DETACH PARTITION millrace.order_events_default;
    EXECUTE format('ALTER TABLE millrace.order_events_default RENAME TO %I', partition);
    EXECUTE format('ALTER TABLE millrace.order_events ATTACH PARTITION millrace.%I FOR VALUES FROM (%L) TO (%L)',
        partition, left(range, 8), right(range, 8));
    EXECUTE format('ALTER TABLE millrace.%I DROP CONSTRAINT order_events_default_limit', partition);
    EXECUTE format('COMMENT ON TABLE millrace.%I IS NULL', partition);
    CREATE TABLE millrace.order_events_default (LIKE millrace.order_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
    ALTER TABLE millrace.order_events ATTACH PARTITION millrace.order_events_default DEFAULT;
END
$$;
-- +goose StatementEnd
