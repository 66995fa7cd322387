-- name: ProcessReport :exec
-- ProcessReport stores what a process reports about itself, by the database's clock, and deletes the rows of processes
-- that ended long ago without leaving. If no other process has the version, its appearance is marked.
WITH forgotten AS (
    DELETE FROM millrace.processes WHERE reported_at < now() - interval '1 hour' AND id <> @id
), appeared AS (
    INSERT INTO millrace.version_marks (at, version)
    SELECT now(), @version::text
    WHERE NOT EXISTS (
        SELECT FROM millrace.processes p WHERE p.version = @version::text AND p.reported_at > now() - @silence::interval
    ) AND @version::text IS DISTINCT FROM (SELECT m.version FROM millrace.version_marks m ORDER BY m.at DESC LIMIT 1)
    ON CONFLICT DO NOTHING
)
INSERT INTO millrace.processes (id, version, role, started_at, reported_at, report)
VALUES (@id, @version::text, @role, @started_at, now(), @report)
ON CONFLICT ON CONSTRAINT processes_pkey DO UPDATE
SET version = EXCLUDED.version, role = EXCLUDED.role, reported_at = EXCLUDED.reported_at, report = EXCLUDED.report;

-- name: ProcessLeave :exec
DELETE FROM millrace.processes WHERE id = @id;

-- name: ProcessesList :many
-- ProcessesList lists the processes, oldest first, and reports which are alive and which of them leads.
SELECT
    p.id, p.version, p.role, p.started_at, p.reported_at, p.report, now()::timestamptz AS now,
    (p.reported_at > now() - @silence::interval)::boolean AS live,
    EXISTS (SELECT FROM millrace.river_leader l WHERE l.leader_id = p.id AND l.expires_at > now()) AS leads
FROM millrace.processes p ORDER BY p.started_at, p.id LIMIT @most;

-- name: VersionMarks :many
-- VersionMarks lists when versions appeared, newest first.
SELECT at, version FROM millrace.version_marks WHERE at >= @since ORDER BY at DESC LIMIT @most;

-- name: VersionMarksPrune :exec
-- VersionMarksPrune deletes marks that are too old, and the oldest of too many.
DELETE FROM millrace.version_marks v WHERE v.at < @before OR v.at <= (
    SELECT m.at FROM millrace.version_marks m ORDER BY m.at DESC OFFSET @most LIMIT 1
);
