-- name: KeysInsert :exec
-- KeysInsert stores new keys. A key whose expiry is the year 1 does not expire.
INSERT INTO millrace.api_keys (id, secret_sha256, last_four, role, customer_id, name, created_at, expires_at)
SELECT
    unnest(@ids::text[]), unnest(@secrets_sha256::bytea[]), unnest(@last_four::text[]), unnest(@roles::text[]),
    unnest(@customer_ids::text[]), unnest(@names::text[]), unnest(@created_at::timestamptz[]),
    nullif(unnest(@expires_at::timestamptz[]), '0001-01-01 00:00:00Z'::timestamptz);

-- name: KeyRead :one
SELECT * FROM millrace.api_keys WHERE id = @id;

-- name: KeysList :many
-- KeysList lists all keys, the revoked and expired ones included, newest first.
SELECT * FROM millrace.api_keys ORDER BY created_at DESC, id LIMIT @page_size;

-- name: KeysRevoke :many
-- KeysRevoke ends keys at once. A key that was revoked before keeps its time.
UPDATE millrace.api_keys SET revoked_at = coalesce(revoked_at, @revoked_at::timestamptz)
WHERE id = ANY(@ids::text[]) RETURNING *;

-- name: KeysExist :one
-- KeysExist reports whether a key ever existed, and whether a key can be used now.
SELECT
    EXISTS (SELECT FROM millrace.api_keys) AS made,
    EXISTS (
        SELECT FROM millrace.api_keys
        WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > @now::timestamptz)
    ) AS usable;
