-- name: PositionRead :one
-- PositionRead returns how far a primary has written, and the mark of its timeline; 0 if the timeline has no mark yet.
-- Everything that was committed before is below the position, also if the commit did not wait for the disk.
SELECT coalesce((
    SELECT t.mark FROM millrace.timelines t JOIN millrace.database_identity() i USING (system, database)
    WHERE t.timeline = millrace.current_timeline()
), 0)::bigint AS mark, (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS lsn;

-- name: TimelineMark :exec
-- TimelineMark marks the timeline of a primary, unless another process has.
INSERT INTO millrace.timelines (system, database, timeline, mark)
SELECT i.system, i.database, millrace.current_timeline(), @mark::bigint FROM millrace.database_identity() i
ON CONFLICT DO NOTHING;

-- name: DatabaseIdentity :one
SELECT i.system::bigint AS system, i.database::bigint AS database FROM millrace.database_identity() i;

-- name: ReplicaRead :one
-- ReplicaRead returns how far a standby has replayed, and how many of some marks it has. What is replayed is visible to
-- the statements that follow on this connection.
SELECT pg_is_in_recovery()::boolean AS standby,
    coalesce(pg_last_wal_replay_lsn() - '0/0'::pg_lsn, 0)::bigint AS lsn,
    (SELECT count(*) FROM millrace.timelines t WHERE t.mark = ANY(@marks::bigint[]))::integer AS marks;

-- name: ReplicaPosition :one
-- ReplicaPosition returns how far a standby has replayed.
SELECT coalesce(pg_last_wal_replay_lsn() - '0/0'::pg_lsn, 0)::bigint AS lsn;
