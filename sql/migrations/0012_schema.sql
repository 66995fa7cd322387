-- Functions name the schema of every object, and depend on no setting of the session: a bound that is written as text
-- in one time zone and read in another is off by hours. In a database that was made before the schema was fixed, the
-- functions lack both properties.

-- +goose Up

-- Makes the partition of the week that begins at a moment, a Monday in UTC, and reports whether the partition exists
-- afterwards. It does not if the default partition already has events of that week. The table is made first and then
-- attached, so that orders can be placed meanwhile. Neither function waits for long: all later transactions queue
-- behind one that waits for a lock.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.log_partition_create(starts timestamptz) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '200ms' SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC' AS $$
DECLARE
    partition text := 'order_events_' || to_char(starts AT TIME ZONE 'UTC', 'YYYYMMDD');
    ends timestamptz := starts + interval '168 hours';
BEGIN
    IF to_regclass('millrace.' || partition) IS NOT NULL THEN
        RETURN true;
    END IF;
    IF EXISTS (SELECT FROM millrace.order_events_default e WHERE e.logged_at >= starts AND e.logged_at < ends) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE millrace.%I (LIKE millrace.order_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition);
    EXECUTE format('ALTER TABLE millrace.order_events ATTACH PARTITION millrace.%I FOR VALUES FROM (%L) TO (%L)',
        partition, starts, ends);
    RETURN true;
END
$$;
-- +goose StatementEnd

-- Drops the partitions that end at or before a moment, and returns how many. The same transaction updates log_history,
-- where readers with an older cursor find what was dropped.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.log_partition_drop(before timestamptz) RETURNS integer
LANGUAGE plpgsql SET lock_timeout = '200ms' SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC' AS $$
DECLARE
    partition text;
    ends timestamptz;
    dropped integer := 0;
BEGIN
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'millrace.order_events'::regclass AND c.relname ~ '^order_events_[0-9]{8}$'
    LOOP
        ends := (to_date(right(partition, 8), 'YYYYMMDD') + 7)::timestamp AT TIME ZONE 'UTC';
        IF ends <= before THEN
            EXECUTE format('DROP TABLE millrace.%I', partition);
            UPDATE millrace.log_history SET pruned_to = greatest(pruned_to, ends);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END
$$;
-- +goose StatementEnd
