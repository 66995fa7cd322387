package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Inventory is a copy of the inventory provider's list.
type Inventory struct {
	*database
}

// inventoryBatch is how many products one statement writes.
const inventoryBatch = 5000

// Replace replaces the whole copy with products as of a moment, in one transaction. The products must be in ascending
// order of their ids. If the copy is already of a later moment, Replace does nothing.
func (s *Inventory) Replace(ctx context.Context, products []orders.Stock, asOf time.Time) error {
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		newest, err := s.queries.InventoryBegin(ctx, tx, timestamp(asOf))
		if err != nil || newest == 0 {
			return err
		}
		above := int64(0)
		for batch := range slices.Chunk(products, inventoryBatch) {
			params := replaceParams(batch)
			params.Above, above = above, params.UpTo
			if err := s.queries.InventoryReplace(ctx, tx, params); err != nil {
				return err
			}
		}
		failpoint.Hit("inventory.replaced")
		rest := replaceParams(nil) // delete the rows above the last product
		rest.Above, rest.UpTo = above, math.MaxInt64
		return s.queries.InventoryReplace(ctx, tx, rest)
	})
	if err != nil {
		return fmt.Errorf("replace inventory: %w", err)
	}
	return nil
}

// replaceParams lays products out in columns. Empty columns are arrays, too: a null would not compare.
func replaceParams(products []orders.Stock) *dbsqlc.InventoryReplaceParams {
	c := &dbsqlc.InventoryReplaceParams{
		ProductIds: []int64{}, Quantities: []int64{}, Reserved: []int64{}, PricesMinor: []int64{}, Currencies: []string{},
	}
	for _, p := range products {
		c.ProductIds = append(c.ProductIds, p.ProductID)
		c.Quantities = append(c.Quantities, p.Quantity)
		c.Reserved = append(c.Reserved, p.Reserved)
		c.PricesMinor = append(c.PricesMinor, int64(p.Price))
		c.Currencies = append(c.Currencies, string(p.Currency))
		c.UpTo = p.ProductID
	}
	return c
}

// List returns a page of the inventory by product id, above the given id, and the moment of the copy: zero if there is
// none yet. The products may be of a little later than that moment, never earlier.
func (s *Inventory) List(ctx context.Context, after int64, limit int) ([]orders.Stock, time.Time, error) {
	asOf, err := s.asOf(ctx)
	if err != nil {
		return nil, asOf, err
	}
	rows, err := s.queries.InventoryList(ctx, s.db, &dbsqlc.InventoryListParams{After: after, PageSize: int32(limit)})
	if err != nil {
		return nil, asOf, fmt.Errorf("list inventory: %w", err)
	}
	products := make([]orders.Stock, len(rows))
	for i, row := range rows {
		products[i] = decodeStock(row)
	}
	return products, asOf, nil
}

// Product returns what is known of one product, and the moment of the copy. Error: orders.ErrProductNotFound.
func (s *Inventory) Product(ctx context.Context, id int64) (orders.Stock, time.Time, error) {
	asOf, err := s.asOf(ctx)
	if err != nil {
		return orders.Stock{}, asOf, err
	}
	row, err := s.queries.InventoryRead(ctx, s.db, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return orders.Stock{}, asOf, orders.ErrProductNotFound
	}
	if err != nil {
		return orders.Stock{}, asOf, fmt.Errorf("read product: %w", err)
	}
	return decodeStock(row), asOf, nil
}

// asOf is read before the products, so a copy can look older than it is, never newer.
func (s *Inventory) asOf(ctx context.Context) (time.Time, error) {
	asOf, err := s.queries.InventoryAsOf(ctx, s.db)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read inventory's age: %w", err)
	}
	return asOf.UTC(), nil
}

func decodeStock(row dbsqlc.InventoryProduct) orders.Stock {
	return orders.Stock{
		ProductID: row.ProductID, Quantity: row.Quantity, Reserved: row.Reserved,
		Price: orders.Money(row.PriceMinor), Currency: orders.Currency(row.Currency),
	}
}
