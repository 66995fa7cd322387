-- name: SchemaReady :one
-- SchemaReady reports whether the schema exists and is Millrace's: it has our table of versions.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'millrace' AND c.relname = 'schema_version' AND c.relkind = 'r' AND 2 = (
        SELECT count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('version_id', 'is_applied')
    )
);

-- name: SchemasOfOrders :many
-- SchemasOfOrders lists the schemas that hold Millrace's tables. It looks for constraints by name: other applications
-- may well have a table of orders.
SELECT n.nspname::text AS name FROM pg_catalog.pg_namespace n
WHERE 2 = (
    SELECT count(*) FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class r ON r.oid = c.conrelid
    WHERE r.relnamespace = n.oid AND (r.relname, c.conname) IN (
        ('orders', 'orders_fingerprint_with_key'), ('order_steps', 'order_steps_settled_with_outcome')
    )
) AND EXISTS (
    SELECT FROM pg_catalog.pg_class r WHERE r.relnamespace = n.oid AND r.relname = 'order_events' AND r.relkind = 'p'
)
ORDER BY n.nspname;

-- name: SchemaStrangers :many
-- SchemaStrangers names some of the objects that are in our schema before we have made any there.
SELECT s.name::text AS name FROM (
    SELECT c.relname AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'millrace' AND c.relkind <> 'i'
    UNION ALL
    SELECT p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'millrace'
    UNION ALL
    SELECT t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname = 'millrace' AND t.typtype IN ('e', 'd', 'r')
) s ORDER BY s.name LIMIT 5;

-- name: SchemaTable :one
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = @schema::text AND c.relname = @name::text AND c.relkind = 'r'
);

-- name: SchemaMoves :many
-- SchemaMoves lists the objects to move out of a schema, as ALTER names them: the given tables and views with the
-- partitions of the log, the given functions, and River's type.
SELECT (CASE c.relkind WHEN 'v' THEN 'VIEW ' ELSE 'TABLE ' END || format('%I.%I', n.nspname, c.relname))::text AS object
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = @schema::text AND c.relkind IN ('r', 'p', 'v') AND (c.relname = ANY(@tables::text[]) OR EXISTS (
    SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
    WHERE i.inhrelid = c.oid AND p.relname = 'order_events' AND p.relnamespace = n.oid
))
UNION ALL
SELECT ('FUNCTION ' || p.oid::regprocedure::text)::text FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = @schema::text AND p.proname = ANY(@functions::text[])
UNION ALL
SELECT ('TYPE ' || format('%I.%I', n.nspname, t.typname))::text FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = @schema::text AND t.typname = 'river_job_state';

-- name: SchemaReaders :many
-- SchemaReaders lists the roles that may read orders, besides the owner, as GRANT names them.
SELECT DISTINCT (CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END)::text AS role
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL aclexplode(c.relacl) g
WHERE n.nspname = 'millrace' AND c.relname = 'orders' AND g.grantee <> c.relowner;

-- name: SchemaVersion :one
-- SchemaVersion returns the latest migration that was applied.
SELECT coalesce(max(version_id), 0)::bigint FROM millrace.schema_version WHERE is_applied;

-- name: SchemaApplied :many
-- SchemaApplied lists the migrations that were applied, and when. tstamp is in the time zone of the session that
-- migrated, which is UTC.
SELECT v.version_id, (max(v.tstamp) AT TIME ZONE 'UTC')::timestamptz AS applied_at FROM millrace.schema_version v
WHERE v.is_applied AND v.version_id > 0 GROUP BY v.version_id ORDER BY v.version_id;

-- name: SchemaUnknown :many
-- SchemaUnknown lists the migrations after the latest one that a program knows, beside which the program may not run.
SELECT v.version_id FROM millrace.schema_version v
WHERE v.version_id > @known AND v.is_applied AND NOT EXISTS (
    SELECT FROM millrace.schema_compatibility c WHERE c.version_id = v.version_id AND c.runs_with <= @known
)
ORDER BY v.version_id;

-- name: MigrationLockHolder :one
-- MigrationLockHolder returns the session that is migrating. A session that idles outside of a transaction has a lock
-- that an earlier release left there.
SELECT coalesce(max(h.pid), 0)::integer AS pid, coalesce(max(h.session), 'a session that has just ended')::text AS session
FROM (
    SELECT l.pid, format('pid %s (%s of %s%s, %s since %s)', l.pid, coalesce(nullif(a.application_name, ''), 'unnamed'),
        a.usename, ' at ' || host(a.client_addr), coalesce(a.state, 'unknown'),
        to_char(a.state_change AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"')) AS session
    FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid <> pg_backend_pid()
        AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
        AND (l.classid::bigint << 32) + l.objid::bigint = @key::bigint
    LIMIT 1
) h;

-- name: LockHolders :many
-- LockHolders names the sessions that have held locks on tables for longest.
SELECT format('pid %s (%s)', a.pid, coalesce(nullif(a.application_name, ''), a.usename))::text AS session
FROM pg_catalog.pg_stat_activity a
WHERE a.pid <> pg_backend_pid() AND a.datname = current_database() AND EXISTS (
    SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE l.pid = a.pid AND l.granted AND n.nspname !~ '^pg_'
)
ORDER BY a.xact_start LIMIT 3;

-- name: GrantRole :many
-- GrantRole reports, for a role that exists, whether it has the rights of the owner of our tables. If there are no
-- tables, the owner is the role that migrates.
SELECT pg_catalog.pg_has_role(r.oid, coalesce((
    SELECT c.relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'millrace' AND c.relname = 'order_events'
), (SELECT m.oid FROM pg_catalog.pg_roles m WHERE m.rolname = current_user)), 'MEMBER')::boolean AS owns
FROM pg_catalog.pg_roles r WHERE r.rolname = @role::text;

-- name: GrantOwner :one
-- GrantOwner returns the owner of the log, which makes its partitions.
SELECT r.rolname::text AS owner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles r ON r.oid = c.relowner WHERE n.nspname = 'millrace' AND c.relname = 'order_events';
