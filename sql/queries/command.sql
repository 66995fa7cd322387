-- name: CommandsRead :many
-- CommandsRead finds the earlier commands under the given (principal, kind, key) triples.
SELECT principal, kind, idempotency_key, fingerprint, order_id, version, answer FROM millrace.order_commands
WHERE (principal, kind, idempotency_key) IN (
    SELECT unnest(@principals::text[]), unnest(@kinds::text[]), unnest(@idempotency_keys::text[])
);

-- name: CommandsInsert :exec
INSERT INTO millrace.order_commands (principal, kind, idempotency_key, fingerprint, order_id, version, at, answer)
SELECT
    unnest(@principals::text[]), unnest(@kinds::text[]), unnest(@idempotency_keys::text[]),
    unnest(@fingerprints::bytea[]), unnest(@order_ids::uuid[]), unnest(@versions::bigint[]),
    unnest(@at::timestamptz[]), unnest(@answers::bytea[]);

-- name: CommandsPurge :execrows
-- CommandsPurge deletes keys that are too old to be sent again, a bounded number at a time.
DELETE FROM millrace.order_commands WHERE (principal, kind, idempotency_key) IN (
    SELECT c.principal, c.kind, c.idempotency_key FROM millrace.order_commands c
    WHERE c.at < @before ORDER BY c.at LIMIT @batch_size
);
