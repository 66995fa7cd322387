package api

import (
	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/orders"
)

// orderID is an id in a path: the 36 characters of a UUID. Other forms are refused, so that an order has one address.
type orderID string

// Schema describes it to Huma.
func (orderID) Schema(huma.Registry) *huma.Schema {
	length := len(uuid.Nil.String())
	return &huma.Schema{
		Type: huma.TypeString, Format: "uuid", MinLength: &length, MaxLength: &length,
		Examples: []any{"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"},
	}
}

func (i orderID) parse() (orders.ID, error) { return i.parseAt("path.id") }

// parseAt parses an id at a given place in the request.
func (i orderID) parseAt(location string) (orders.ID, error) {
	id, err := uuid.Parse(string(i))
	if err != nil {
		return id, badInput(location, "must be a UUID")
	}
	return id, nil
}
