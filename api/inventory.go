package api

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	inventoryScope = "inventory" // of cursors
)

var errProductNotFound = problems.New(problems.NotFound, "product_not_found", "The inventory lacks this product.").
	For(orders.ErrProductNotFound)

// Product is a product as the inventory provider last reported it.
type Product struct {
	ProductID int64  `json:"productId" minimum:"1" example:"7" doc:"The product's id"`
	Quantity  int64  `json:"quantity" minimum:"0" example:"8" doc:"How many units can still be reserved"`
	Reserved  int64  `json:"reserved" minimum:"0" example:"2" doc:"How many units are reserved"`
	Price     Amount `json:"price,omitempty" example:"29.99"`
	Currency  string `json:"currency,omitempty" example:"USD" doc:"ISO 4217 code of the price"`
}

// ProductSnapshot is one product, with the age of that report.
type ProductSnapshot struct {
	Product
	AsOf       time.Time `json:"asOf" example:"2026-11-22T12:00:00Z" doc:"When Millrace last asked the provider"`
	AgeSeconds float64   `json:"ageSeconds" minimum:"0" example:"12.5" doc:"How many seconds ago that was"`
}

// InventoryPage is one page of the inventory.
type InventoryPage struct {
	AsOf       *time.Time `json:"asOf,omitempty" example:"2026-11-22T12:00:00Z" doc:"When Millrace last asked the provider; absent before the first time"`
	AgeSeconds *float64   `json:"ageSeconds,omitempty" minimum:"0" example:"12.5" doc:"How many seconds ago that was"`
	Products   []Product  `json:"products" doc:"Sorted by productId"`
	NextCursor string     `json:"nextCursor,omitempty" example:"AQAAAAAAAAAHq6urqw" doc:"The cursor of the next page; absent on the last page"`
}

type inventoryInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"Products per page"`
	Cursor string `query:"cursor" maxLength:"100" doc:"The nextCursor of the previous page"`
}

type inventoryOutput struct {
	Link string `header:"Link" doc:"The next page, as rel=\"next\" (RFC 8288)"`
	Body InventoryPage
}

// inventoryOperations are the operations on the inventory.
// tagInventory is the operations' group in the document.
const tagInventory = "Inventory"

// inventoryOperations are the operations on the stock.
type inventoryOperations struct {
	stock *store.Inventory
	now   func() time.Time
}

func (o inventoryOperations) all() []operation {
	return []operation{o.listInventoryOperation(), o.productOperation()}
}

func (o inventoryOperations) listInventoryOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "listInventory", Method: http.MethodGet, Path: "/api/inventory", Tags: []string{tagInventory},
			Summary: "List the inventory",
			Description: "The stock as the inventory provider last reported it, and when that was. Use it for display only: " +
				"the provider decides later whether an order's items can be reserved. The list is empty if the provider does " +
				"not report its stock.",
		},
		permission: permitBrowse,
	}, o.inventory)
}

func (o inventoryOperations) inventory(ctx context.Context, in *inventoryInput) (*inventoryOutput, error) {
	var asOf time.Time
	found, err := list[orders.Stock]{
		path: "/api/inventory", filter: url.Values{}, scope: inventoryScope, width: 8,
		read: func(after []byte, limit int) (found []orders.Stock, err error) {
			var product int64
			if after != nil {
				product = int64(binary.BigEndian.Uint64(after)) //nolint:gosec // it was made from an int64
			}
			found, asOf, err = o.stock.List(ctx, product, limit)
			return found, err
		},
		position: func(p orders.Stock) []byte {
			return binary.BigEndian.AppendUint64(nil, uint64(p.ProductID)) //nolint:gosec // above 0
		},
	}.page(in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	out := &inventoryOutput{Link: found.link, Body: InventoryPage{
		Products: show(found, newProduct), NextCursor: found.next,
	}}
	if !asOf.IsZero() {
		out.Body.AsOf, out.Body.AgeSeconds = &asOf, new(o.age(asOf))
	}
	return out, nil
}

type productInput struct {
	ProductID int64 `path:"productId" minimum:"1" example:"7" doc:"The product's id"`
}

type productOutput struct{ Body ProductSnapshot }

func (o inventoryOperations) productOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "getProduct", Method: http.MethodGet, Path: "/api/inventory/{productId}", Tags: []string{tagInventory},
			Summary: "Get a product's stock",
			Description: "The product as the inventory provider last reported it, and when that was. A product that the " +
				"provider did not list is 404.",
		},
		permission: permitBrowse,
		errors:     []*problems.Error{errProductNotFound},
	}, o.product)
}

func (o inventoryOperations) product(ctx context.Context, in *productInput) (*productOutput, error) {
	found, asOf, err := o.stock.Product(ctx, in.ProductID)
	if err != nil {
		return nil, err
	}
	return &productOutput{ProductSnapshot{Product: newProduct(found), AsOf: asOf, AgeSeconds: o.age(asOf)}}, nil
}

func newProduct(p orders.Stock) Product {
	out := Product{ProductID: p.ProductID, Quantity: p.Quantity, Reserved: p.Reserved, Currency: string(p.Currency)}
	if p.Currency != "" {
		out.Price = newAmount(p.Currency, p.Price)
	}
	return out
}

// age returns a moment's age in seconds. It is never negative, although the clock of another process may be ahead.
func (o inventoryOperations) age(t time.Time) float64 { return max(o.now().Sub(t), 0).Seconds() }
