-- The inventory provider's latest answer about its stock, for the API to show. Reservations do not read this table:
-- only the provider knows what it can promise.

-- +goose Up

-- When the provider was asked. There is one row, and none before the first answer.
CREATE TABLE millrace.inventory_snapshot (
    singleton boolean NOT NULL DEFAULT true,
    as_of timestamptz NOT NULL,

    CONSTRAINT inventory_snapshot_pkey PRIMARY KEY (singleton),
    CONSTRAINT inventory_snapshot_one_row CHECK (singleton)
);

CREATE TABLE millrace.inventory_products (
    product_id bigint NOT NULL,
    quantity bigint NOT NULL,
    reserved bigint NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,

    CONSTRAINT inventory_products_pkey PRIMARY KEY (product_id),
    CONSTRAINT inventory_products_product_id_positive CHECK (product_id >= 1),
    CONSTRAINT inventory_products_quantity_range CHECK (quantity >= 0),
    CONSTRAINT inventory_products_reserved_range CHECK (reserved >= 0),
    CONSTRAINT inventory_products_price_range CHECK (price_minor BETWEEN 0 AND 9007199254740991),
    CONSTRAINT inventory_products_currency_length CHECK (char_length(currency) IN (0, 3)),
    CONSTRAINT inventory_products_price_with_currency CHECK (currency <> '' OR price_minor = 0)
) WITH (fillfactor = 80);
