-- name: TicketsInsert :execrows
-- TicketsInsert stores new tickets, except for principals that have as many as they may have. It also deletes expired
-- tickets: as many as it makes, and a hundred more.
WITH expired AS (
    SELECT secret_sha256 FROM millrace.stream_tickets WHERE expires_at < @now::timestamptz
    ORDER BY expires_at LIMIT 100 + cardinality(@secrets_sha256::bytea[]) FOR UPDATE SKIP LOCKED
), pruned AS (
    DELETE FROM millrace.stream_tickets t USING expired e WHERE t.secret_sha256 = e.secret_sha256
)
INSERT INTO millrace.stream_tickets (secret_sha256, principal, role, customer_id, key_id, good_until, expires_at)
SELECT secret_sha256, principal, role, customer_id, key_id, good_until, expires_at
FROM (SELECT
    unnest(@secrets_sha256::bytea[]) AS secret_sha256, unnest(@principals::text[]) AS principal,
    unnest(@roles::text[]) AS role, unnest(@customer_ids::text[]) AS customer_id,
    nullif(unnest(@key_ids::text[]), '') AS key_id,
    nullif(unnest(@good_until::timestamptz[]), '0001-01-01 00:00:00Z'::timestamptz) AS good_until,
    unnest(@expires_at::timestamptz[]) AS expires_at
) made
WHERE @most::integer > (
    SELECT count(*) FROM (
        SELECT FROM millrace.stream_tickets t WHERE t.principal = made.principal AND t.expires_at > @now::timestamptz
        LIMIT @most::integer
    ) good
);

-- name: TicketRead :one
SELECT * FROM millrace.stream_tickets WHERE secret_sha256 = @secret_sha256 AND expires_at > @now::timestamptz;
