package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/store"
)

const (
	// deprecated is the date of deprecation, in the form of RFC 9745.
	deprecated = "@1795305600" // 2026-11-22
)

// userOrdersInput has pages by number. A later page costs more, so their number is limited.
type userOrdersInput struct {
	UserID   string `path:"userId" minLength:"1" maxLength:"200" example:"1" doc:"The customer's id"`
	Page     int    `query:"page" minimum:"1" maximum:"50" default:"1" doc:"The number of the page"`
	PageSize int    `query:"pageSize" minimum:"1" maximum:"100" default:"20" doc:"Orders per page"`
	PositionParam
}

type userOrdersOutput struct {
	Deprecation  string `header:"Deprecation" doc:"The date since which this operation is deprecated (RFC 9745)"`
	Link         string `header:"Link" doc:"listCustomerOrders, as rel=\"successor-version\" (RFC 5829)"`
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         OrderPage
}

func (l orderLists) userOrdersOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "listUserOrders", Method: http.MethodGet, Path: "/api/orders/user/{userId}", Tags: []string{tagOrders},
			Summary: "List a customer's orders by page number", Deprecated: true,
			Description: "For programs that need numbered pages; there are at most 50. Orders that are placed meanwhile move " +
				"other orders to the next page. Use listCustomerOrders instead: the header Link points to it, and the answer " +
				"has its cursor.",
		},
		permission: permitRead, action: "list",
	}, l.userOrders)
}

func (l orderLists) userOrders(ctx context.Context, in *userOrdersInput) (*userOrdersOutput, error) {
	if err := checkSegment("path.userId", in.UserID); err != nil {
		return nil, err
	}
	filter := store.Filter{CustomerID: in.UserID, Skip: (in.Page - 1) * in.PageSize}
	out, err := l.page(ctx, in.PositionParam, filter, in.PageSize, "", "", nil)
	if err != nil {
		return nil, err
	}
	successor := "<" + customerOrdersPath(in.UserID) + `>; rel="successor-version"`
	return &userOrdersOutput{deprecated, successor, out.CacheControl, out.Body}, nil
}
