-- name: InventoryBegin :execrows
-- InventoryBegin dates the snapshot that is about to be written. It returns no row if a later snapshot is stored
-- already. The row stays locked until the transaction ends, so that snapshots are written one after another.
INSERT INTO millrace.inventory_snapshot (as_of) VALUES (@as_of)
ON CONFLICT (singleton) DO UPDATE SET as_of = EXCLUDED.as_of WHERE inventory_snapshot.as_of < EXCLUDED.as_of;

-- name: InventoryReplace :exec
-- InventoryReplace makes the given products the only ones with ids above one id and up to another. It does not write a
-- product that has not changed. (A WHERE at ON CONFLICT would still lock its row, which is a write.)
WITH gone AS (
    DELETE FROM millrace.inventory_products g
    WHERE g.product_id > @above AND g.product_id <= @up_to AND g.product_id <> ALL(@product_ids::bigint[])
)
INSERT INTO millrace.inventory_products (product_id, quantity, reserved, price_minor, currency)
SELECT s.product_id, s.quantity, s.reserved, s.price_minor, s.currency
FROM (
    SELECT
        unnest(@product_ids::bigint[]) AS product_id, unnest(@quantities::bigint[]) AS quantity,
        unnest(@reserved::bigint[]) AS reserved, unnest(@prices_minor::bigint[]) AS price_minor,
        unnest(@currencies::text[]) AS currency
) s WHERE NOT EXISTS (
    SELECT FROM millrace.inventory_products p
    WHERE p.product_id = s.product_id AND p.quantity = s.quantity AND p.reserved = s.reserved
        AND p.price_minor = s.price_minor AND p.currency = s.currency
)
ON CONFLICT (product_id) DO UPDATE
SET quantity = EXCLUDED.quantity, reserved = EXCLUDED.reserved, price_minor = EXCLUDED.price_minor,
    currency = EXCLUDED.currency;

-- name: InventoryAsOf :one
SELECT as_of FROM millrace.inventory_snapshot;

-- name: InventoryList :many
-- InventoryList reads a page of the snapshot by product id, above the given id.
SELECT * FROM millrace.inventory_products WHERE product_id > @after ORDER BY product_id LIMIT @page_size;

-- name: InventoryRead :one
SELECT * FROM millrace.inventory_products WHERE product_id = @product_id;
