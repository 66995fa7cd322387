package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

type customerOrdersInput struct {
	CustomerID string      `path:"customerId" minLength:"1" maxLength:"200" example:"1" doc:"The customer's id"`
	Status     OrderStatus `query:"status" example:"completed" doc:"Only orders with this status"`
	PlacedRange
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"Orders per page"`
	Cursor string `query:"cursor" maxLength:"100" doc:"The nextCursor of the previous page, with the same filter"`
	PositionParam
}

func (l orderLists) customerOrdersOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "listCustomerOrders", Method: http.MethodGet, Path: "/api/customers/{customerId}/orders",
			Tags: []string{tagOrders}, Summary: "List a customer's orders",
			Description: "The same list as listOrders with this customerId: newest first, in pages, with the same cursors. " +
				"For a customer without orders the list is empty; that is not an error.",
		},
		permission: permitRead, action: "list",
	}, l.customerOrders)
}

func (l orderLists) customerOrders(ctx context.Context, in *customerOrdersInput) (*listOutput, error) {
	if err := checkSegment("path.customerId", in.CustomerID); err != nil {
		return nil, err
	}
	filter := store.Filter{CustomerID: in.CustomerID, Status: orders.Status(in.Status), From: in.From, To: in.To}
	query := filterOf("status", string(in.Status), "from", moment(in.From), "to", moment(in.To))
	return l.page(ctx, in.PositionParam, filter, in.Limit, in.Cursor, customerOrdersPath(in.CustomerID), query)
}

// customerID is the id of the customer that something new belongs to.
type customerID string

// Schema describes it to Huma.
func (customerID) Schema(huma.Registry) *huma.Schema {
	least, most := 1, orders.MaxTextLength
	return &huma.Schema{
		Type: huma.TypeString, MinLength: &least, MaxLength: &most, Pattern: orders.CustomerIDPattern,
		PatternDescription: "visible characters, with spaces only between them, and neither . nor ..",
	}
}

// check enforces the rules that a pattern cannot express.
func (c customerID) check(location string) error {
	if problem := orders.CheckCustomerID(string(c)); problem != "" {
		return badField(location, problem)
	}
	return nil
}

// checkSegment refuses the ids that no program can send in a path: URL parsers turn /api/customers/../orders into the
// list of all customers' orders. Any other id may belong to an order that is older than the rule for new ids.
func checkSegment(location, id string) error {
	if id == "." || id == ".." {
		return customerID(id).check(location)
	}
	return nil
}

func customerOrdersPath(id string) string { return "/api/customers/" + url.PathEscape(id) + "/orders" }
