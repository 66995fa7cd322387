-- name: EventsAfter :many
-- EventsAfter is the log of one order after a version, in order.
SELECT * FROM order_events
WHERE order_id = @order_id AND version > @version ORDER BY version LIMIT @page_size;

-- name: FeedStart :one
-- FeedStart is the cursor's first half for a reader that starts now.
SELECT pg_snapshot_xmin(pg_current_snapshot())::xid8 AS txid;

-- name: FeedRead :many
-- FeedRead is the log of all orders after a cursor. It stops below the oldest transaction that is still running: a
-- transaction behind that line has committed or never will, so nothing can appear behind the cursor later.
SELECT * FROM order_events
WHERE (txid, id) > (@txid::xid8, @id::bigint) AND txid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY txid, id LIMIT @page_size;

-- name: FeedOldestUnread :one
-- FeedOldestUnread is when the oldest event after a cursor happened, now if there is none: how far a reader is behind,
-- also when an old transaction holds it back.
SELECT coalesce(min(at), now())::timestamptz AS at FROM (
    SELECT at FROM order_events WHERE (txid, id) > (@txid::xid8, @id::bigint) ORDER BY txid, id LIMIT 1
) e;

-- name: Ring :exec
-- Ring wakes everybody who waits: readers of the feed, and the River clients that work the given queues. The
-- second channel and its payload are River's own (river_insert in its schema).
SELECT pg_notify('millrace_feed', '')
UNION ALL
SELECT pg_notify(current_schema() || '.river_insert', json_build_object('queue', q.queue)::text)
FROM (SELECT unnest(@queues::text[]) AS queue) q;
