-- name: EventsAfter :many
-- EventsAfter reads the log of one order after a version, in sequence.
SELECT * FROM millrace.order_events
WHERE order_id = @order_id AND version > @version ORDER BY version LIMIT @page_size;

-- name: LogBounds :one
-- LogBounds returns how far the log can be read. Every transaction below the oldest running one has committed or never
-- will, so no event can appear there later. newest is the next transaction id.
SELECT
    (pg_snapshot_xmin(s.snapshot)::text::bigint + h.txid_offset)::text::xid8 AS oldest,
    (pg_snapshot_xmax(s.snapshot)::text::bigint + h.txid_offset)::text::xid8 AS newest, s.at, h.epoch,
    h.pruned_to, current_setting('transaction_read_only')::boolean AS read_only
FROM (SELECT pg_current_snapshot() AS snapshot, clock_timestamp()::timestamptz AS at) s, millrace.log_history h;

-- name: LogBoundsHere :one
-- LogBoundsHere is LogBounds without the transactions of the server's other databases, which cannot write here. A
-- transaction counts unless a session of another database is seen to have it, so one whose session is unknown counts.
-- The sessions are looked at after the snapshot was taken: what they have can be a transaction of the snapshot only. It
-- costs as much as the server has sessions.
SELECT
    (coalesce(s.oldest_here, s.newest) + h.txid_offset)::text::xid8 AS oldest,
    (s.newest + h.txid_offset)::text::xid8 AS newest, s.at, h.epoch,
    h.pruned_to, current_setting('transaction_read_only')::boolean AS read_only
FROM (
    SELECT pg_snapshot_xmax(t.snapshot)::text::bigint AS newest, clock_timestamp()::timestamptz AS at, (
        SELECT min(x::text::bigint) FROM pg_snapshot_xip(t.snapshot) x WHERE NOT EXISTS (
            SELECT FROM pg_catalog.pg_stat_get_activity(NULL) a, pg_catalog.pg_database d
            WHERE a.backend_xid = x::xid AND a.datid <> d.oid AND d.datname = current_database()
        ) AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_prepared_xacts p WHERE p.transaction = x::xid AND p.database <> current_database()
        )
    ) AS oldest_here
    FROM (SELECT pg_current_snapshot() AS snapshot) t
) s, millrace.log_history h;

-- name: LogRead :many
-- LogRead reads the log of all orders after a cursor and below a bound. It reads every partition, by its index: no
-- clock decides what is read. If steps is not empty, events that are about no step of it are left out. The LIMIT 1
-- keeps the planner from reading all orders to join them. The planner does not look into the SELECTs of the cursor: when
-- its statistics say that little lies behind a cursor, it would read and sort all of that for each page.
SELECT sqlc.embed(e), o.customer_id, o.principal
FROM millrace.order_events e, LATERAL (
    SELECT orders.customer_id, orders.principal FROM millrace.orders WHERE orders.id = e.order_id
    UNION ALL
    SELECT a.customer_id, a.principal FROM millrace.archived_orders a WHERE a.order_id = e.order_id LIMIT 1
) o
WHERE (e.txid, e.id) > ((SELECT @txid::xid8), (SELECT @id::bigint)) AND e.txid < (SELECT @below::xid8)
    AND (coalesce(cardinality(@steps::text[]), 0) = 0 OR e.step = ANY(@steps::text[]))
ORDER BY e.txid, e.id LIMIT @page_size;

-- name: LogOrders :many
-- LogOrders lists the newest orders of a customer, for LogReadOrders.
SELECT id, principal FROM millrace.orders WHERE customer_id = @customer_id ORDER BY id DESC LIMIT @most;

-- name: LogReadOrders :many
-- LogReadOrders reads the log of some orders after a cursor and below a bound. The OFFSET 0 keeps the planner from
-- walking the log of all orders by position. The ARRAY keeps the planner from a sequential scan for many orders, and
-- from planning once for each order. So each partition is read by its primary key, which begins with the order.
SELECT e.* FROM (
    SELECT * FROM millrace.order_events WHERE order_id = ANY(ARRAY(SELECT unnest(@order_ids::uuid[]))) OFFSET 0
) e
WHERE (e.txid, e.id) > (@txid::xid8, @id::bigint) AND e.txid < @below::xid8
    AND (coalesce(cardinality(@steps::text[]), 0) = 0 OR e.step = ANY(@steps::text[]))
ORDER BY e.txid, e.id LIMIT @page_size;

-- name: LogLast :one
-- LogLast reads the last event below a bound.
SELECT txid, id FROM millrace.order_events WHERE txid < @below::xid8 ORDER BY txid DESC, id DESC LIMIT 1;

-- name: LogUnread :one
-- LogUnread reports whether any event lies after a cursor, readable or not.
SELECT EXISTS (
    SELECT FROM millrace.order_events WHERE (txid, id) > (@txid::xid8, @id::bigint)
);

-- name: LogProbe :one
-- LogProbe reads the first event of a transaction, or of the next transaction that has events.
SELECT txid, id, logged_at FROM millrace.order_events WHERE txid >= @txid::xid8 ORDER BY txid, id LIMIT 1;

-- name: LogFromOtherCluster :one
-- LogFromOtherCluster reports whether the log has transactions that have not happened yet in this cluster. Such
-- transactions are those of the cluster that the log was dumped from.
SELECT EXISTS (
    SELECT FROM millrace.order_events e WHERE e.txid >= (
        SELECT (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + h.txid_offset)::text::xid8 FROM millrace.log_history h
    )
);

-- name: LogAdopt :exec
-- LogAdopt begins a new history, and all later events sort after the existing ones. Readers whose cursor is stored here
-- continue where they were.
SELECT millrace.log_adopt();

-- name: LogDefaultFilled :one
-- LogDefaultFilled reports whether the default partition has any event.
SELECT millrace.log_default_filled()::boolean AS filled;

-- name: LogDefaultLimit :one
SELECT millrace.log_default_limit()::boolean AS filled;

-- name: LogDefaultPatience :exec
-- LogDefaultPatience raises the rest of the transaction's time limit to the time that reading a large partition takes.
SET LOCAL statement_timeout = '10min';

-- name: LogUpkeepMark :exec
-- LogUpkeepMark marks the rest of the transaction as upkeep, so that verification does not take it for a forgotten one.
SELECT pg_advisory_xact_lock(@mark::bigint);

-- name: LogDefaultCheck :exec
SELECT millrace.log_default_check();

-- name: LogDefaultUnlimit :exec
SELECT millrace.log_default_unlimit();

-- name: LogDefaultSplit :exec
SELECT millrace.log_default_split();

-- name: LogPartitionCreate :one
SELECT millrace.log_partition_create(@starts::timestamptz)::boolean AS there;

-- name: LogUpkeepSucceeded :exec
INSERT INTO millrace.log_upkeep (succeeded_at) VALUES (now())
ON CONFLICT ON CONSTRAINT log_upkeep_pkey DO UPDATE
SET succeeded_at = now(), failing_since = NULL, error = '', passing = false;

-- name: LogUpkeepFailed :exec
INSERT INTO millrace.log_upkeep (failing_since, error, passing) VALUES (now(), @error, @passing)
ON CONFLICT ON CONSTRAINT log_upkeep_pkey DO UPDATE
SET failing_since = coalesce(log_upkeep.failing_since, now()), error = EXCLUDED.error, passing = EXCLUDED.passing;

-- name: LogUpkept :one
-- LogUpkept returns when the log's upkeep last succeeded.
SELECT succeeded_at::timestamptz FROM millrace.log_upkeep WHERE succeeded_at IS NOT NULL;

-- name: LogPartitionDrop :one
SELECT millrace.log_partition_drop(@before::timestamptz)::integer AS dropped;

-- name: LogDefaultPrune :exec
-- LogDefaultPrune deletes a bounded number of events that are too old from the default partition.
SELECT millrace.log_default_prune(@before::timestamptz);

-- name: RingFeed :exec
-- RingFeed wakes the readers of the feed.
SELECT pg_notify('millrace_feed', '');

-- name: RingQueues :exec
-- RingQueues wakes the River clients that work the given queues. The channel and its payload are River's own
-- (river_insert in its schema).
SELECT pg_notify('millrace.river_insert', json_build_object('queue', q.queue)::text)
FROM (SELECT unnest(@queues::text[]) AS queue) q;
