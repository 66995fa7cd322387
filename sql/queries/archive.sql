-- name: ArchiveScan :many
-- ArchiveScan looks at a page of orders by id, and reports which of them may leave: those that have rested for long, with
-- nothing pending, no message to a webhook on its way, and no open finding. Operators still need the others.
SELECT p.id, (
    p.standing IN ('completed', 'failed', 'cancelled', 'refunded') AND p.updated_at < @before::timestamptz
    AND NOT EXISTS (SELECT FROM millrace.open_orders w WHERE w.order_id = p.id)
    AND NOT EXISTS (SELECT FROM millrace.archived_orders a WHERE a.order_id = p.id)
    AND NOT EXISTS (
        SELECT FROM millrace.webhook_endpoints w JOIN millrace.webhook_deliveries d ON d.endpoint_id = w.id
        WHERE w.state <> 'deleted' AND d.order_id = p.id AND d.state = 'pending'
    )
    AND NOT EXISTS (
        SELECT FROM millrace.order_events e JOIN millrace.feed_cursors c ON c.name = @fan_out::text
        WHERE e.order_id = p.id AND e.version = p.version AND (e.txid, e.id) > (c.txid, c.id)
    )
    AND p.id::text NOT IN (SELECT f.order_id FROM millrace.reconciliation_findings f WHERE f.state = 'open')
)::boolean AS due
FROM (
    SELECT o.id, o.standing, o.updated_at, o.version FROM millrace.orders o
    WHERE o.id > @after::uuid AND o.id < @until::uuid ORDER BY o.id LIMIT @page_size
) p ORDER BY p.id;

-- name: ArchiveKeys :many
SELECT id, coalesce(idempotency_key, '')::text AS idempotency_key, coalesce(fingerprint, '')::bytea AS fingerprint
FROM millrace.orders WHERE id = ANY(@ids::uuid[]);

-- name: ArchiveRequests :many
SELECT order_id, step, generation, request FROM millrace.order_steps WHERE order_id = ANY(@ids::uuid[]);

-- name: ArchiveFileInsert :one
INSERT INTO millrace.archive_files (name, orders, bytes, sha256, written_at)
VALUES (@name, @orders, @bytes, @sha256, @written_at) RETURNING id;

-- name: ArchiveRegister :execrows
-- ArchiveRegister notes that a file has some orders, and leaves out those that have changed since they were read. An
-- order of which a customer's address was removed has changed, too.
INSERT INTO millrace.archived_orders (
    order_id, file_id, principal, idempotency_key, fingerprint, customer_id, version, placed_at
)
SELECT o.id, @file_id, o.principal, o.idempotency_key, o.fingerprint, o.customer_id, o.version, o.placed_at
FROM millrace.orders o JOIN (
    SELECT unnest(@ids::uuid[]) AS id, unnest(@versions::bigint[]) AS version, unnest(@emails::text[]) AS email,
        unnest(@fingerprints::bytea[]) AS fingerprint
) u ON u.id = o.id
WHERE o.version = u.version AND o.customer_email = u.email AND coalesce(o.fingerprint, '') = u.fingerprint
    AND NOT EXISTS (SELECT FROM millrace.open_orders w WHERE w.order_id = o.id)
ON CONFLICT DO NOTHING;

-- name: ArchivePending :many
-- ArchivePending lists the files with orders that are not deleted yet, oldest first.
SELECT f.* FROM millrace.archive_files f
WHERE EXISTS (SELECT FROM millrace.archived_orders a WHERE a.file_id = f.id AND a.deleted_at IS NULL)
ORDER BY f.id LIMIT 100;

-- name: ArchivePendingOrders :many
SELECT order_id FROM millrace.archived_orders WHERE file_id = @file_id AND deleted_at IS NULL ORDER BY order_id LIMIT @page_size;

-- name: ArchiveDelete :execrows
-- ArchiveDelete deletes those of some orders of a file that are as the file has them. Their events stay in the log until
-- its partitions are dropped, for the readers of the feed.
WITH chosen AS (
    SELECT o.id FROM millrace.orders o JOIN millrace.archived_orders a ON a.order_id = o.id
    WHERE a.file_id = @file_id AND a.deleted_at IS NULL AND a.order_id = ANY(@ids::uuid[]) AND o.version = a.version
        AND NOT EXISTS (SELECT FROM millrace.open_orders w WHERE w.order_id = o.id)
    ORDER BY o.id FOR UPDATE
), items AS (
    DELETE FROM millrace.order_items i USING chosen c WHERE i.order_id = c.id
), steps AS (
    DELETE FROM millrace.order_steps s USING chosen c WHERE s.order_id = c.id
), named AS (
    DELETE FROM millrace.order_references r USING chosen c, millrace.order_steps s
    WHERE s.order_id = c.id AND s.reference <> '' AND r.reference = s.reference AND r.order_id = c.id
), marked AS (
    UPDATE millrace.archived_orders a SET deleted_at = now() FROM chosen c WHERE a.order_id = c.id
)
DELETE FROM millrace.orders o USING chosen c WHERE o.id = c.id;

-- name: ArchiveRelease :execrows
-- ArchiveRelease forgets that a file has some orders, if they are still in the database.
DELETE FROM millrace.archived_orders WHERE file_id = @file_id AND order_id = ANY(@ids::uuid[]) AND deleted_at IS NULL;

-- name: ArchivedOwner :one
-- ArchivedOwner returns the customer of an order that was archived and deleted.
SELECT customer_id FROM millrace.archived_orders WHERE order_id = @order_id AND deleted_at IS NOT NULL;

-- name: ArchivedAmong :many
SELECT order_id FROM millrace.archived_orders WHERE order_id = ANY(@ids::uuid[]) AND deleted_at IS NOT NULL;

-- name: ArchivedByIdempotencyKey :many
SELECT a.order_id, a.principal, a.idempotency_key, a.fingerprint, a.placed_at FROM millrace.archived_orders a
WHERE (a.principal, a.idempotency_key) IN (SELECT unnest(@principals::text[]), unnest(@idempotency_keys::text[]));

-- name: ForgetArchived :many
-- ForgetArchived drops the fingerprints of a customer's archived orders, and returns the files that have these orders.
WITH forgotten AS (
    UPDATE millrace.archived_orders SET fingerprint = decode(repeat('00', 32), 'hex')
    WHERE customer_id = @customer_id AND idempotency_key IS NOT NULL AND fingerprint <> decode(repeat('00', 32), 'hex')
)
SELECT f.name, count(*) AS orders FROM millrace.archived_orders a JOIN millrace.archive_files f ON f.id = a.file_id
WHERE a.customer_id = @customer_id GROUP BY f.name ORDER BY f.name;
