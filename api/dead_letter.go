package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const maxGroups = 100

// DeadLetterGroup counts the orders that need attention for one cause.
type DeadLetterGroup struct {
	Step    StepName  `json:"step" example:"void_payment"`
	State   StepState `json:"state" example:"refused"`
	Code    string    `json:"code" example:"provider_refused" doc:"Why the step did not succeed, in one word: the provider's code or one of Millrace's; declared if an operator declared the step refused"`
	Reason  string    `json:"reason" example:"void_payment refused: provider_refused" doc:"The step, its state and the code, in one line"`
	Orders  int64     `json:"orders" minimum:"1" example:"12" doc:"How many orders need attention for this cause"`
	FirstAt time.Time `json:"firstAt" example:"2026-11-22T12:00:00Z" doc:"When the first of these orders began to need attention"`
	LastAt  time.Time `json:"lastAt" example:"2026-11-22T13:00:00Z" doc:"When the last of these orders began to need attention"`
}

// DeadLetters is the orders that need attention, by cause.
type DeadLetters struct {
	Groups []DeadLetterGroup `json:"groups" doc:"The causes with the most orders first, at most 100"`
}

type deadLettersOutput struct{ Body DeadLetters }

type deadLetterOrdersInput struct {
	Step   StepName  `query:"step" example:"void_payment" doc:"Only orders that cannot finish because of this step"`
	State  StepState `query:"state" example:"refused" doc:"Only orders whose step is in this state"`
	Code   string    `query:"code" maxLength:"64" example:"provider_refused" doc:"Only orders whose step has this code"`
	Limit  int       `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"Orders per page"`
	Cursor string    `query:"cursor" maxLength:"100" doc:"The nextCursor of the previous page, with the same filter"`
	PositionParam
}

// deadLetterOperations are the operations on orders that need attention.
type deadLetterOperations struct {
	letters *store.DeadLetters
	orders  *store.Orders
	lists   orderLists
	now     func() time.Time
}

func (o deadLetterOperations) all() []operation {
	return []operation{
		declare(operation{
			Operation: huma.Operation{
				OperationID: "listDeadLetters", Method: http.MethodGet, Path: "/api/dead-letters", Tags: []string{tagOperations},
				Summary:     "Count orders that need attention, by cause",
				Description: "Groups the orders that need attention by the step that cannot finish, its state and its code.",
			},
			permission: permitObserve,
		}, o.deadLetters),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "listDeadLetterOrders", Method: http.MethodGet, Path: "/api/dead-letters/orders",
				Tags:    []string{tagOperations},
				Summary: "List orders that need attention", Description: "Newest first, for one cause or for all causes.",
			},
			permission: permitObserve,
		}, o.deadLetterOrders),
		o.redriveOperation(),
	}
}

func (o deadLetterOperations) deadLetters(ctx context.Context, _ *struct{}) (*deadLettersOutput, error) {
	groups, err := o.letters.Groups(ctx, maxGroups)
	if err != nil {
		return nil, err
	}
	out := &deadLettersOutput{DeadLetters{Groups: make([]DeadLetterGroup, len(groups))}}
	for i, g := range groups {
		out.Body.Groups[i] = DeadLetterGroup{
			Step: StepName(g.Cause.Step), State: StepState(g.Cause.State), Code: g.Cause.Code, Reason: g.Cause.String(),
			Orders: g.Orders, FirstAt: g.FirstAt, LastAt: g.LastAt,
		}
	}
	return out, nil
}

func (o deadLetterOperations) deadLetterOrders(ctx context.Context, in *deadLetterOrdersInput) (*listOutput, error) {
	cause := orders.Cause{Step: orders.StepName(in.Step), State: orders.StepState(in.State), Code: in.Code}
	filter := store.Filter{Status: orders.NeedsAttention, Cause: cause}
	query := filterOf("step", string(in.Step), "state", string(in.State), "code", in.Code)
	return o.lists.page(ctx, in.PositionParam, filter, in.Limit, in.Cursor, "/api/dead-letters/orders", query)
}
