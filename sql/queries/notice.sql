-- name: NoticesLock :exec
-- NoticesLock makes transactions that tell operators something take turns, so that no two tell of one cause.
SELECT pg_advisory_xact_lock(@key::bigint);

-- name: NoticesTurn :one
-- NoticesTurn reports whether a process should look for causes: it leads, or no process does. trusted reports whether
-- the process has been alive for long enough to judge others: after an outage of the database all seem to be silent.
SELECT
    NOT EXISTS (SELECT FROM millrace.river_leader l WHERE l.expires_at > now() AND l.leader_id <> @self) AS mine,
    EXISTS (
        SELECT FROM millrace.instances i
        WHERE i.id = @self AND i.heartbeat_at > now() - @silence::interval AND i.live_since <= now() - @trust::interval
    ) AS trusted;

-- name: BreakersOpen :many
-- BreakersOpen lists the queues that some live process does not work because the provider's breaker is open.
SELECT s.name::text AS name, count(*) AS processes FROM millrace.instances i
CROSS JOIN LATERAL (SELECT DISTINCT unnest(i.shut_queues) AS name) s
WHERE i.heartbeat_at > now() - @silence::interval GROUP BY s.name ORDER BY s.name;

-- name: InstancesSilent :many
SELECT id, heartbeat_at FROM millrace.instances WHERE heartbeat_at <= now() - @silence::interval ORDER BY id;

-- name: NoticesTell :many
-- NoticesTell returns those of the causes that operators are to be told of now, at most so many, and notes that they
-- were. A cause that held when it was looked for last, or that was told after since, is left out.
INSERT INTO millrace.operator_notices AS n (type, cause, told_at, holds)
SELECT @type, c.cause, @at, true FROM unnest(@causes::text[]) AS c (cause)
WHERE NOT EXISTS (
    SELECT FROM millrace.operator_notices o
    WHERE o.type = @type AND o.cause = c.cause AND (o.holds OR o.told_at > @since)
)
ORDER BY c.cause LIMIT @most
ON CONFLICT ON CONSTRAINT operator_notices_pkey DO UPDATE SET told_at = EXCLUDED.told_at, holds = true
RETURNING n.cause;

-- name: NoticesEnd :exec
-- NoticesEnd notes that all causes of a type but the given ones hold no longer.
UPDATE millrace.operator_notices SET holds = false WHERE type = @type AND holds AND cause <> ALL(@causes::text[]);

-- name: NoticesForget :exec
-- NoticesForget deletes the causes that have no effect any more.
DELETE FROM millrace.operator_notices WHERE NOT holds AND told_at <= @since;

-- name: NoticesCount :one
-- NoticesCount counts what operators were told after a moment.
SELECT count(*) FROM millrace.operator_notices WHERE told_at > @since;

-- name: WebhooksForOperators :many
-- WebhooksForOperators lists the webhooks that are told of the system, if they want messages of a type.
SELECT id FROM millrace.webhook_endpoints
WHERE state = 'enabled' AND customer_id = '' AND for_operators
    AND (cardinality(event_types) = 0 OR @type::text = ANY(event_types))
ORDER BY id;
