-- name: DoctorServer :one
-- DoctorServer reads what a deployment depends on: the server, its settings and the rights of the role.
SELECT current_setting('server_version_num')::integer AS version, version()::text AS product,
    pg_catalog.pg_is_in_recovery()::boolean AS standby,
    (current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer)::integer
        AS connections,
    current_setting('fsync')::text AS fsync, current_setting('full_page_writes')::text AS full_page_writes,
    current_setting('synchronous_commit')::text AS synchronous_commit,
    current_setting('synchronous_standby_names')::text AS synchronous_standby_names,
    current_setting('autovacuum')::text AS autovacuum, current_setting('statement_timeout')::text AS statement_timeout,
    pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')::boolean AS reads_stats,
    current_user::text AS role, clock_timestamp()::timestamptz AS at,
    (SELECT count(*) FROM pg_catalog.pg_stat_replication r WHERE r.sync_state IN ('sync', 'quorum'))::integer AS synchronous,
    EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = 'citus')::boolean AS citus;

-- name: DoctorRights :many
-- DoctorRights lists the tables that the role may not read, or may not write although every process does.
SELECT c.relname::text AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'millrace' AND c.relkind IN ('r', 'p') AND (
    NOT has_table_privilege(current_user, c.oid, 'SELECT')
    OR c.relname IN ('orders', 'order_steps', 'order_events', 'river_job', 'audit_log')
        AND NOT has_table_privilege(current_user, c.oid, 'INSERT')
    OR c.relname IN ('orders', 'order_steps', 'river_job') AND NOT has_table_privilege(current_user, c.oid, 'UPDATE')
)
ORDER BY c.relname;

-- name: DoctorBackend :one
SELECT pg_catalog.pg_backend_pid()::integer AS pid;

-- name: DoctorNotify :exec
SELECT pg_catalog.pg_notify('millrace_doctor', '');

-- name: DoctorTransaction :one
-- DoctorTransaction gives the session's transaction an id.
SELECT pg_current_xact_id()::xid8 AS txid;

-- name: DoctorSees :one
-- DoctorSees reports whether this session's snapshot leaves out a transaction that another session is still running.
SELECT (
    pg_snapshot_xmin(s.snapshot) <= s.txid AND NOT pg_visible_in_snapshot(s.txid, s.snapshot)
)::boolean AS running
FROM (SELECT pg_current_snapshot() AS snapshot, @txid::xid8 AS txid) s;

-- name: DoctorSession :one
-- DoctorSession reports whether a running transaction can be found among the sessions.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_stat_get_activity(NULL) a, (SELECT @txid::xid8 AS txid) t WHERE a.backend_xid = t.txid::xid
)::boolean AS found;

-- name: DoctorLock :exec
SELECT pg_advisory_xact_lock(@key::bigint);

-- name: DoctorTryLock :one
-- DoctorTryLock reports whether a lock that another session has could be had, and whether the list of locks has it.
SELECT pg_try_advisory_xact_lock(k.key)::boolean AS taken, EXISTS (
    SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid()
        AND l.classid::bigint = k.key >> 32 AND l.objid::bigint = k.key & 4294967295
)::boolean AS listed
FROM (SELECT @key::bigint AS key) k;

-- name: DoctorRow :one
-- DoctorRow reports whether a row can be addressed.
SELECT count(c.ctid)::bigint AS rows FROM (SELECT ctid FROM pg_catalog.pg_class LIMIT 1) c;
