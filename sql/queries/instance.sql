-- name: InstanceBeat :exec
-- InstanceBeat says that a process is alive, by the database's clock, and forgets those that died long ago.
WITH forgotten AS (
    DELETE FROM millrace.instances WHERE heartbeat_at < now() - interval '1 hour' AND id <> @id
)
INSERT INTO millrace.instances (id, started_at, heartbeat_at) VALUES (@id, now(), now())
ON CONFLICT ON CONSTRAINT instances_pkey DO UPDATE SET heartbeat_at = now();

-- name: InstanceLeave :exec
DELETE FROM millrace.instances WHERE id = @id;

-- name: InstancesCount :one
-- InstancesCount counts the processes whose heartbeat is younger than silence, and the others.
SELECT
    count(*) FILTER (WHERE heartbeat_at > now() - @silence::interval) AS live,
    count(*) FILTER (WHERE heartbeat_at <= now() - @silence::interval) AS silent
FROM millrace.instances;

-- name: JobsLost :many
-- JobsLost finds jobs that run only by River's account: whose process has been silent, and those of the asking process
-- that it does not know, because the answer to its fetch was lost.
SELECT j.id FROM millrace.river_job j
WHERE j.state = 'running' AND j.attempted_at < now() - @silence::interval
    AND CASE j.attempted_by[array_upper(j.attempted_by, 1)]
        WHEN @self::text THEN j.id <> ALL(@active::bigint[])
        ELSE NOT EXISTS (
            SELECT FROM millrace.instances i
            WHERE i.id = j.attempted_by[array_upper(j.attempted_by, 1)] AND i.heartbeat_at > now() - @silence::interval
        )
    END
LIMIT 10000;
