-- name: InstanceBeat :exec
-- InstanceBeat records that a process is alive, by the database's clock, and what the process reports about itself. It
-- deletes the rows of processes that died long ago. After a gap of silence the process counts as new.
WITH forgotten AS (
    DELETE FROM millrace.instances WHERE heartbeat_at < now() - interval '1 hour' AND id <> @id
), unled AS (
    SELECT CASE WHEN NOT EXISTS (
        SELECT FROM millrace.river_leader l WHERE l.expires_at > now() AND (l.leader_id = @id OR EXISTS (
            SELECT FROM millrace.instances i WHERE i.id = l.leader_id AND i.heartbeat_at > now() - @silence::interval
        ))
    ) THEN now() END AS since
)
INSERT INTO millrace.instances (id, started_at, heartbeat_at, shut_queues, live_since, verify_every, sweep_every, unled_since)
SELECT @id, now(), now(), @shut_queues::text[], now(), @verify_every::interval, @sweep_every::interval, u.since
FROM unled u
ON CONFLICT ON CONSTRAINT instances_pkey DO UPDATE SET
    heartbeat_at = now(), shut_queues = EXCLUDED.shut_queues, verify_every = EXCLUDED.verify_every,
    sweep_every = EXCLUDED.sweep_every,
    live_since = CASE WHEN instances.heartbeat_at > now() - @silence::interval THEN instances.live_since ELSE now() END,
    unled_since = CASE WHEN EXCLUDED.unled_since IS NOT NULL AND instances.heartbeat_at > now() - @silence::interval
        THEN coalesce(instances.unled_since, now()) ELSE EXCLUDED.unled_since END;

-- name: InstanceLeave :exec
DELETE FROM millrace.instances WHERE id = @id;

-- name: InstancesCount :one
-- InstancesCount counts the processes whose heartbeat is younger than silence, and the other processes.
SELECT
    count(*) FILTER (WHERE heartbeat_at > now() - @silence::interval) AS live,
    count(*) FILTER (WHERE heartbeat_at <= now() - @silence::interval) AS silent
FROM millrace.instances;

-- name: JobsLost :many
-- JobsLost finds jobs that run according to River only: jobs of silent processes, and jobs of the asking process that
-- it does not know, because the answer to its fetch was lost.
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

-- name: JobsOverrun :many
-- JobsOverrun finds jobs that have been running for longer than any job may.
SELECT id FROM millrace.river_job WHERE state = 'running' AND attempted_at < now() - @longest_run::interval LIMIT 10000;

-- name: JobsRunning :many
-- JobsRunning reads those of some jobs that run according to River.
SELECT id, kind, args FROM millrace.river_job WHERE id = ANY(@ids::bigint[]) AND state = 'running';

-- name: StepsLost :many
-- StepsLost returns the pending steps that some lost jobs leave without a job: a lost job's step, or, with an empty
-- step, all steps of its order. A step has another job if it has one of its own, or if a later job carries its order.
-- Each order's steps and jobs are looked up by themselves.
SELECT DISTINCT s.order_id, s.step, s.generation
FROM (
    SELECT
        unnest(@job_ids::bigint[]) AS job_id, unnest(@order_ids::uuid[]) AS order_id, unnest(@steps::text[]) AS step,
        unnest(@generations::integer[]) AS generation
) w
CROSS JOIN LATERAL (
    SELECT p.order_id, p.step, p.generation FROM millrace.order_steps p
    WHERE p.order_id = w.order_id AND p.state = 'pending'
        AND (w.step = '' OR p.step = w.step AND p.generation = w.generation) OFFSET 0
) s
LEFT JOIN LATERAL (
    SELECT j.id FROM millrace.river_job j
    WHERE j.args ->> 'order_id' = s.order_id::text
        AND j.state IN ('available', 'pending', 'retryable', 'running', 'scheduled') AND j.id + 0 <> w.job_id
        AND (j.kind || '' = s.step AND j.args ->> 'generation' = s.generation::text
            OR j.kind || '' = 'carry_order' AND j.id + 0 > w.job_id) -- indexes over these find as many jobs as there are
    LIMIT 1
) other ON true
WHERE other.id IS NULL;

-- name: QueuesShut :many
-- QueuesShut lists the queues from which no live process takes jobs.
SELECT q.name::text AS name FROM (
    SELECT DISTINCT unnest(i.shut_queues) AS name FROM millrace.instances i
    WHERE i.heartbeat_at > now() - @silence::interval
) q
WHERE NOT EXISTS (
    SELECT FROM millrace.instances i
    WHERE i.heartbeat_at > now() - @silence::interval AND q.name <> ALL(i.shut_queues)
);

-- name: QueuesAttend :exec
-- QueuesAttend records which queues are paused, which are shut in every living process, and which are worked.
INSERT INTO millrace.queue_attendance (queue, paused_at, shut_at, worked_at)
SELECT q.name, max(q.paused_at), max(q.shut_at), max(q.worked_at) FROM (
    SELECT r.name, now() AS paused_at, NULL::timestamptz AS shut_at, NULL::timestamptz AS worked_at
    FROM millrace.river_queue r WHERE r.paused_at IS NOT NULL
    UNION ALL
    SELECT l.lane, now(), NULL, NULL FROM millrace.levers l WHERE l.kind = 'lane' AND l.ends_at > now()
    UNION ALL
    SELECT w.name, NULL, NULL, now() FROM unnest(@worked::text[]) AS w (name)
    UNION ALL
    SELECT DISTINCT s.name, NULL::timestamptz, now(), NULL::timestamptz
    FROM millrace.instances i CROSS JOIN LATERAL unnest(i.shut_queues) AS s (name)
    WHERE i.heartbeat_at > now() - @silence::interval AND NOT EXISTS (
        SELECT FROM millrace.instances o
        WHERE o.heartbeat_at > now() - @silence::interval AND s.name <> ALL(o.shut_queues)
    )
) q GROUP BY q.name ORDER BY q.name
ON CONFLICT ON CONSTRAINT queue_attendance_pkey DO UPDATE SET
    paused_at = greatest(queue_attendance.paused_at, EXCLUDED.paused_at),
    shut_at = greatest(queue_attendance.shut_at, EXCLUDED.shut_at),
    worked_at = greatest(queue_attendance.worked_at, EXCLUDED.worked_at);
