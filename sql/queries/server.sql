-- name: ServerHealth :one
-- ServerHealth reads the state of the Postgres server itself. Postgres shows the sessions and standbys of other users to
-- pg_read_all_stats only; visible reports whether this role sees them.
SELECT
    pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')::boolean AS visible,
    greatest(
        (SELECT max(greatest(age(a.backend_xid), age(a.backend_xmin))) FROM pg_catalog.pg_stat_activity a
            WHERE a.pid <> pg_backend_pid()),
        (SELECT max(greatest(age(s.xmin), age(s.catalog_xmin))) FROM pg_catalog.pg_replication_slots s),
        (SELECT max(age(p.transaction)) FROM pg_catalog.pg_prepared_xacts p),
        0
    )::bigint AS xmin_age,
    greatest(
        (SELECT extract(epoch FROM now() - min(a.xact_start)) FROM pg_catalog.pg_stat_activity a
            WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()),
        (SELECT extract(epoch FROM now() - min(p.prepared)) FROM pg_catalog.pg_prepared_xacts p
            WHERE p.database = current_database()),
        0
    )::float8 AS transaction_seconds,
    (SELECT max(age(d.datfrozenxid)) FROM pg_catalog.pg_database d)::bigint AS xid_age,
    (SELECT max(mxid_age(d.datminmxid)) FROM pg_catalog.pg_database d)::bigint AS multixact_age,
    (SELECT sum(d.numbackends) FROM pg_catalog.pg_stat_database d)::bigint AS connections,
    current_setting('max_connections')::bigint AS connections_limit,
    (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.wait_event_type = 'Lock')::bigint AS blocked,
    pg_database_size(current_database())::bigint AS database_bytes,
    (SELECT count(*) FROM millrace.log_partitions() p WHERE p.starts > now())::bigint AS partitions_ahead,
    (current_setting('synchronous_standby_names') <> '')::boolean AS sync_configured,
    r.sync_standbys, r.async_standbys, r.lag_bytes, r.lag_seconds,
    coalesce((SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)) FROM pg_catalog.pg_replication_slots s), 0)
        ::bigint AS slot_bytes
FROM (
    SELECT
        count(*) FILTER (WHERE w.sync_state IN ('sync', 'quorum')) AS sync_standbys,
        count(*) FILTER (WHERE w.sync_state NOT IN ('sync', 'quorum')) AS async_standbys,
        coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), w.replay_lsn)), 0)::bigint AS lag_bytes,
        coalesce(max(extract(epoch FROM w.replay_lag)), 0)::float8 AS lag_seconds
    FROM pg_catalog.pg_stat_replication w WHERE w.state = 'streaming'
) r;

-- name: ServerTables :many
-- ServerTables returns the rows and the size of the largest tables. The partitions of a table count as one.
SELECT coalesce(p.relname, t.relname)::text AS name, sum(t.n_live_tup)::bigint AS live, sum(t.n_dead_tup)::bigint AS dead,
    coalesce(sum(pg_table_size(t.relid)), 0)::bigint AS heap_bytes, coalesce(sum(pg_indexes_size(t.relid)), 0)::bigint AS index_bytes
FROM pg_catalog.pg_stat_user_tables t
LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = t.relid
LEFT JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
WHERE t.schemaname = 'millrace'
GROUP BY 1 ORDER BY 4 DESC, 1 LIMIT @most;

-- name: UnfinishedAges :many
-- UnfinishedAges returns the age of the oldest order of each status among the oldest orders under way, and of the oldest
-- that needs attention. For BETWEEN see UnfinishedOrders. The open orders do not serve: while no e-mail can be sent,
-- the oldest of them have all ended.
SELECT o.status::text AS status, extract(epoch FROM now() - min(o.placed_at))::float8 AS age_seconds
FROM (
    SELECT u.status, u.placed_at FROM millrace.orders u WHERE u.standing BETWEEN 'open' AND 'open'
    ORDER BY u.standing DESC, u.id LIMIT @most
) o
GROUP BY o.status
UNION ALL
(
    SELECT u.status, extract(epoch FROM now() - u.placed_at)::float8 FROM millrace.orders u
    WHERE u.standing BETWEEN 'needs_attention' AND 'needs_attention' ORDER BY u.standing DESC, u.id LIMIT 1
);
