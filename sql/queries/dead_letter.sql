-- name: DeadLetterGroups :many
-- DeadLetterGroups counts the orders that need attention by cause, largest group first.
SELECT cause_step, cause_state, cause_code, count(*) AS orders,
    min(updated_at)::timestamptz AS first_at, max(updated_at)::timestamptz AS last_at
FROM millrace.orders WHERE standing = 'needs_attention' GROUP BY cause_step, cause_state, cause_code
ORDER BY count(*) DESC, cause_step, cause_state, cause_code LIMIT @page_size;

-- name: DeadLetters :many
-- DeadLetters reads a page of the orders that have needed attention since a moment or longer, oldest first. An empty
-- step, state or code, and an empty list of ids, do not filter.
SELECT id FROM millrace.orders
WHERE standing = 'needs_attention' AND updated_at <= @since AND (@cause_step::text = '' OR cause_step = @cause_step::text)
    AND (@cause_state::text = '' OR cause_state = @cause_state::text)
    AND (@cause_code::text = '' OR cause_code = @cause_code::text)
    AND (cardinality(@ids::uuid[]) = 0 OR id = ANY(@ids::uuid[])) AND id > @after::uuid
ORDER BY id LIMIT @page_size;

-- name: DeadLettersCount :one
SELECT count(*) FROM millrace.orders
WHERE standing = 'needs_attention' AND updated_at <= @since AND (@cause_step::text = '' OR cause_step = @cause_step::text)
    AND (@cause_state::text = '' OR cause_state = @cause_state::text)
    AND (@cause_code::text = '' OR cause_code = @cause_code::text)
    AND (cardinality(@ids::uuid[]) = 0 OR id = ANY(@ids::uuid[]));
