-- name: DeadLetterGroups :many
-- DeadLetterGroups counts the orders that need attention by why, most first.
SELECT reason, count(*) AS orders, min(updated_at)::timestamptz AS first_at, max(updated_at)::timestamptz AS last_at
FROM millrace.orders WHERE status = 'needs_attention' GROUP BY reason ORDER BY count(*) DESC, reason LIMIT @page_size;

-- name: DeadLetters :many
-- DeadLetters is a page of the orders that have needed attention since a moment or longer, oldest first: of one reason
-- unless it is empty, and of some ids unless there are none.
SELECT id FROM millrace.orders
WHERE status = 'needs_attention' AND updated_at <= @since AND (@reason::text = '' OR reason = @reason::text)
    AND (cardinality(@ids::uuid[]) = 0 OR id = ANY(@ids::uuid[])) AND id > @after::uuid
ORDER BY id LIMIT @page_size;

-- name: DeadLettersCount :one
SELECT count(*) FROM millrace.orders
WHERE status = 'needs_attention' AND updated_at <= @since AND (@reason::text = '' OR reason = @reason::text)
    AND (cardinality(@ids::uuid[]) = 0 OR id = ANY(@ids::uuid[]));
