-- name: UpgradeLatest :many
-- UpgradeLatest reads a page of all orders by id below the given id, newest first.
SELECT id FROM millrace.orders WHERE id < @before::uuid ORDER BY id DESC LIMIT @page_size;

-- name: UpgradeOpen :many
-- UpgradeOpen reads a page of the orders between two ids that are not idle, or that an operator may continue.
SELECT p.order_id FROM (
    (SELECT o.order_id FROM millrace.open_orders o
        WHERE o.order_id > @after::uuid AND o.order_id < @before::uuid ORDER BY o.order_id LIMIT @page_size)
    UNION
    (SELECT n.id FROM millrace.orders n
        WHERE n.standing = 'needs_attention' AND n.id > @after::uuid AND n.id < @before::uuid ORDER BY n.id LIMIT @page_size)
) p ORDER BY p.order_id LIMIT @page_size;
