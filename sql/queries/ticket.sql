-- name: TicketsInsert :exec
-- TicketsInsert stores new tickets, and deletes some that have expired: as many as are made now and a hundred more.
WITH expired AS (
    SELECT secret_sha256 FROM millrace.stream_tickets WHERE expires_at < @now::timestamptz
    ORDER BY expires_at LIMIT 100 + cardinality(@secrets_sha256::bytea[]) FOR UPDATE SKIP LOCKED
), pruned AS (
    DELETE FROM millrace.stream_tickets t USING expired e WHERE t.secret_sha256 = e.secret_sha256
)
INSERT INTO millrace.stream_tickets (secret_sha256, principal, role, customer_id, key_id, good_until, expires_at)
SELECT
    unnest(@secrets_sha256::bytea[]), unnest(@principals::text[]), unnest(@roles::text[]), unnest(@customer_ids::text[]),
    nullif(unnest(@key_ids::text[]), ''), nullif(unnest(@good_until::timestamptz[]), '0001-01-01 00:00:00Z'::timestamptz),
    unnest(@expires_at::timestamptz[]);

-- name: TicketRead :one
SELECT * FROM millrace.stream_tickets WHERE secret_sha256 = @secret_sha256 AND expires_at > @now::timestamptz;
