-- name: WebhookLock :exec
-- WebhookLock makes requests that create webhooks for one owner take turns, so that the webhooks are counted
-- correctly.
SELECT pg_advisory_xact_lock(hashtextextended(@owner::text, 6));

-- name: WebhookCount :one
SELECT count(*) FROM millrace.webhook_endpoints
WHERE state <> 'deleted' AND principal = @principal AND owner_customer_id = '' AND @owner_customer_id::text = ''
    OR state <> 'deleted' AND owner_customer_id = @owner_customer_id AND owner_customer_id <> '';

-- name: WebhookByKey :one
SELECT * FROM millrace.webhook_endpoints WHERE principal = @principal AND idempotency_key = @idempotency_key::text;

-- name: WebhookInsert :one
INSERT INTO millrace.webhook_endpoints (
    id, principal, idempotency_key, fingerprint, customer_id, owner_customer_id, url, event_types, description, secret,
    rotation_key, state, disabled_reason, failures, busy_until, created_at, updated_at, for_operators
) VALUES (
    @id, @principal, nullif(@idempotency_key::text, ''), @fingerprint, @customer_id, @owner_customer_id, @url,
    @event_types, @description, @secret, '', 'enabled', '', 0, @at, @at, @at, @for_operators
) RETURNING *;

-- name: WebhookRead :one
-- WebhookRead reads a webhook if the owner has it, or if all owners are asked for.
SELECT * FROM millrace.webhook_endpoints
WHERE id = @id AND state <> 'deleted' AND (
    @all_owners::boolean
    OR owner_customer_id = '' AND principal = @principal AND @owner_customer_id::text = ''
    OR owner_customer_id <> '' AND owner_customer_id = @owner_customer_id);

-- name: WebhookLockRow :one
-- WebhookLockRow keeps other transactions from changing a webhook until this one ends. New deliveries, which refer to
-- the row, can still be stored.
SELECT * FROM millrace.webhook_endpoints WHERE id = @id FOR NO KEY UPDATE;

-- name: WebhooksListAll :many
SELECT * FROM millrace.webhook_endpoints WHERE state <> 'deleted' AND id > @after ORDER BY id LIMIT @page_size;

-- name: WebhooksListByPrincipal :many
SELECT * FROM millrace.webhook_endpoints
WHERE state <> 'deleted' AND principal = @principal AND owner_customer_id = '' AND id > @after
ORDER BY id LIMIT @page_size;

-- name: WebhooksListByCustomer :many
SELECT * FROM millrace.webhook_endpoints
WHERE state <> 'deleted' AND owner_customer_id = @owner_customer_id AND owner_customer_id <> '' AND id > @after
ORDER BY id LIMIT @page_size;

-- name: WebhookUpdate :one
-- WebhookUpdate changes the fields that an owner can change. A webhook that is enabled again starts without failures.
UPDATE millrace.webhook_endpoints SET
    principal = @principal, url = @url, event_types = @event_types, description = @description, state = @state,
    disabled_reason = @disabled_reason, updated_at = @at, for_operators = @for_operators,
    failures = CASE WHEN state <> @state AND @state = 'enabled' OR url <> @url THEN 0 ELSE failures END,
    failing_since = CASE WHEN state <> @state AND @state = 'enabled' OR url <> @url THEN NULL ELSE failing_since END,
    busy_until = CASE WHEN state <> @state AND @state = 'enabled' OR url <> @url THEN @at ELSE busy_until END,
    idempotency_key = CASE WHEN principal = @principal THEN idempotency_key END,
    fingerprint = CASE WHEN principal = @principal THEN fingerprint END
WHERE id = @id RETURNING *;

-- name: WebhookDelete :execrows
-- WebhookDelete hides a webhook. Its deliveries are deleted later, a bounded number at a time.
UPDATE millrace.webhook_endpoints SET state = 'deleted', disabled_reason = '', idempotency_key = NULL, fingerprint = NULL,
    updated_at = @at
WHERE id = @id AND state <> 'deleted';

-- name: WebhookRotate :one
-- WebhookRotate makes a new secret the current one. The previous secret is valid until previous_expires_at, if that is
-- in the future.
UPDATE millrace.webhook_endpoints SET
    previous_secret = CASE WHEN @previous_expires_at::timestamptz > @at THEN secret END,
    previous_expires_at = CASE WHEN @previous_expires_at::timestamptz > @at THEN @previous_expires_at END,
    secret = @secret, rotation_key = @rotation_key, updated_at = @at
WHERE id = @id RETURNING *;

-- name: WebhooksIdle :one
-- WebhooksIdle reports whether no webhook is to be sent anything.
SELECT NOT EXISTS (SELECT FROM millrace.webhook_endpoints WHERE state = 'enabled');

-- name: WebhooksListening :many
-- WebhooksListening lists the webhooks that hear of the orders of the given customers. With an empty customer among
-- them, it adds the webhooks that hear of all orders.
SELECT id, customer_id, event_types FROM millrace.webhook_endpoints
WHERE state = 'enabled' AND customer_id = ANY(@customer_ids::text[]) ORDER BY id;

-- name: WebhooksWithoutKey :many
-- WebhooksWithoutKey disables the webhooks of keys that were revoked or have expired: the former holder of a key must
-- not go on hearing of orders.
UPDATE millrace.webhook_endpoints e SET state = 'disabled', disabled_reason = 'key_ended', updated_at = @at
FROM millrace.api_keys k
WHERE e.state = 'enabled' AND k.id = e.principal AND (k.revoked_at IS NOT NULL OR k.expires_at <= @at)
RETURNING e.id;

-- name: WebhooksDue :many
-- WebhooksDue lists the webhooks for which a message can be sent and which no worker is serving. A message that waits
-- for an earlier one cannot be sent. An owner is a customer, or else a principal.
SELECT e.id, e.failures,
    CASE WHEN e.owner_customer_id <> '' THEN 'customer ' || e.owner_customer_id ELSE 'principal ' || e.principal END::text AS owner
FROM millrace.webhook_endpoints e
CROSS JOIN LATERAL (
    SELECT FROM millrace.webhook_deliveries d
    WHERE d.endpoint_id = e.id AND d.state = 'pending' AND d.next_attempt_at <= @at AND NOT EXISTS (
        SELECT FROM millrace.webhook_deliveries p
        WHERE p.endpoint_id = d.endpoint_id AND p.order_id = d.order_id AND p.version < d.version
            AND p.state || '' = 'pending' OFFSET 0 -- looked up for each: a join reads all that is pending for each
    )
    LIMIT 1
) due
WHERE e.state = 'enabled' AND e.busy_until <= @at
ORDER BY e.busy_until LIMIT @batch_size;

-- name: WebhooksBusy :exec
UPDATE millrace.webhook_endpoints SET busy_until = @busy_until WHERE id = ANY(@ids::uuid[]);

-- name: WebhookTake :one
-- WebhookTake keeps other workers from sending to a webhook for a while. It returns no row if the webhook gets no
-- messages.
UPDATE millrace.webhook_endpoints SET busy_until = @busy_until WHERE id = @id AND state = 'enabled' RETURNING *;

-- name: WebhookHealth :exec
-- WebhookHealth records the state of a webhook.
UPDATE millrace.webhook_endpoints SET
    failures = @failures, busy_until = @busy_until, failing_since = nullif(@failing_since::timestamptz, '0001-01-01 00:00:00Z'),
    state = CASE WHEN state = 'enabled' AND @disabled_reason::text <> '' THEN 'disabled' ELSE state END,
    disabled_reason = CASE WHEN state = 'enabled' THEN @disabled_reason ELSE disabled_reason END
WHERE id = @id;

-- name: WebhookSiblings :many
-- WebhookSiblings lists the other enabled webhooks of a webhook's owner.
SELECT o.id, o.event_types FROM millrace.webhook_endpoints e
JOIN millrace.webhook_endpoints o ON o.state = 'enabled' AND o.id <> e.id AND o.owner_customer_id = e.owner_customer_id
    AND (o.principal = e.principal OR e.owner_customer_id <> '')
WHERE e.id = @id;

-- name: WebhooksPurge :exec
-- WebhooksPurge deletes the rows of deleted webhooks whose messages are all gone.
DELETE FROM millrace.webhook_endpoints e
WHERE e.state = 'deleted' AND NOT EXISTS (SELECT FROM millrace.webhook_deliveries d WHERE d.endpoint_id = e.id);

-- name: FeedCursorRead :one
SELECT * FROM millrace.feed_cursors WHERE name = @name;

-- name: FeedCursorStart :exec
INSERT INTO millrace.feed_cursors (name, epoch, txid, id, at) VALUES (@name, @epoch, @txid, @id, @at)
ON CONFLICT (name) DO NOTHING;

-- name: FeedCursorMove :execrows
-- FeedCursorMove moves a cursor from the position that the caller expects. It returns no row if another process has
-- moved it.
UPDATE millrace.feed_cursors SET epoch = @epoch, txid = @txid, id = @id, at = @at
WHERE name = @name AND (epoch, txid, id) = (@from_epoch::bigint, @from_txid::xid8, @from_id::bigint);
