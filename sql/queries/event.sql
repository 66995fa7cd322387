-- name: EventsAfter :many
-- EventsAfter is the log of one order after a version, in order.
SELECT * FROM order_events
WHERE order_id = @order_id AND version > @version ORDER BY version LIMIT @page_size;

-- name: FeedBounds :one
-- FeedBounds says how far the feed can be read: everything below the oldest transaction that is still running has
-- committed or never will, so nothing can appear there later. newest is the next transaction id.
SELECT pg_snapshot_xmin(s.snapshot)::xid8 AS oldest, pg_snapshot_xmax(s.snapshot)::xid8 AS newest
FROM (SELECT pg_current_snapshot() AS snapshot) s;

-- name: FeedRead :many
-- FeedRead is the log of all orders after a cursor and below a bound.
SELECT * FROM order_events
WHERE (txid, id) > (@txid::xid8, @id::bigint) AND txid < @below::xid8
ORDER BY txid, id LIMIT @page_size;

-- name: FeedUnread :one
-- FeedUnread says whether there is anything after a cursor, readable or not.
SELECT EXISTS (SELECT FROM order_events WHERE (txid, id) > (@txid::xid8, @id::bigint));

-- name: Ring :exec
-- Ring wakes everybody who waits: readers of the feed, and the River clients that work the given queues. The
-- second channel and its payload are River's own (river_insert in its schema).
SELECT pg_notify('millrace_feed', '')
UNION ALL
SELECT pg_notify(current_schema() || '.river_insert', json_build_object('queue', q.queue)::text)
FROM (SELECT unnest(@queues::text[]) AS queue) q;
