-- serve's role keeps up the log and does not own it. Functions with their owner's rights carry out the upkeep. Only
-- roles that millrace migrate --grant names may call them. They name every object with its schema and depend on no
-- setting of the caller's session.

-- +goose Up

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.log_default_filled() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC' AS $$
SELECT EXISTS (SELECT FROM millrace.order_events_default)
$$;
-- +goose StatementEnd

-- Deletes a bounded number of events that are too old from the default partition.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION millrace.log_default_prune(before timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC' AS $$
WITH gone AS (
    DELETE FROM millrace.order_events_default WHERE ctid = ANY(ARRAY(
        SELECT d.ctid FROM millrace.order_events_default d WHERE d.logged_at < log_default_prune.before LIMIT 10000
    )) RETURNING 1
)
UPDATE millrace.log_history SET pruned_to = greatest(pruned_to, log_default_prune.before) WHERE EXISTS (SELECT FROM gone)
$$;
-- +goose StatementEnd

ALTER FUNCTION millrace.log_partition_create(timestamptz) SECURITY DEFINER;
ALTER FUNCTION millrace.log_partition_drop(timestamptz) SECURITY DEFINER;
ALTER FUNCTION millrace.log_default_limit() SECURITY DEFINER;
ALTER FUNCTION millrace.log_default_check() SECURITY DEFINER SET datestyle = 'ISO' SET timezone = 'UTC';
ALTER FUNCTION millrace.log_default_unlimit() SECURITY DEFINER SET datestyle = 'ISO' SET timezone = 'UTC';
ALTER FUNCTION millrace.log_default_split() SECURITY DEFINER;

REVOKE EXECUTE ON FUNCTION
    millrace.log_partition_create(timestamptz), millrace.log_partition_drop(timestamptz), millrace.log_default_limit(),
    millrace.log_default_check(), millrace.log_default_unlimit(), millrace.log_default_split(),
    millrace.log_default_filled(), millrace.log_default_prune(timestamptz), millrace.log_adopt()
FROM PUBLIC;
