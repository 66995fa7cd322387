package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
)

// Errors of refunds.
var (
	errNotRefundable = problems.New(problems.Conflict, "order_not_refundable",
		"The order is %s; only a completed order can be refunded.")
	errTooManyRefunds = problems.New(problems.Conflict, "too_many_refunds", "The order has too many refunds.").
				Detailed("An order can have at most %d refunds.", orders.MaxRefunds).For(orders.ErrTooManyRefunds)
)

// RefundRequest is the body of a request for a refund.
type RefundRequest struct {
	Amount *Amount `json:"amount,omitempty" example:"9.97" doc:"The amount to give back. Default: everything that is left"`
}

// Refund is money on its way back. Its outcome is that of the step refund_payment with the same generation.
type Refund struct {
	OrderID    orders.ID `json:"orderId" format:"uuid" example:"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"`
	Generation int       `json:"generation" minimum:"1" example:"1" doc:"The number of this refund. The order's step refund_payment with this generation is this refund"`
	Amount     Amount    `json:"amount" example:"9.97"`
	Currency   string    `json:"currency" example:"USD" doc:"ISO 4217 code"`
	State      StepState `json:"state" example:"pending"`
	Refundable Amount    `json:"refundable" example:"200.00"`
	Message    string    `json:"message" example:"9.97 USD will be given back" doc:"What will happen"`
}

type refundInput struct {
	ID orderID `path:"id" doc:"The order's id"`
	CommandHeaders
	Body *RefundRequest
}

func (o orderOperations) refundOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "refundOrder", Method: http.MethodPost, Path: "/api/orders/{id}/refunds", Tags: []string{tagOrders},
			Summary: "Refund a completed order",
			Description: "Gives back some or all of the money of a completed order, in at most 100 refunds, and never more " +
				"than was taken. The answer says what will happen; the outcome is in the order's history and steps. Send an " +
				"Idempotency-Key: without one, two requests are two refunds.",
			DefaultStatus: http.StatusAccepted,
			MaxBodyBytes:  -1, // limited does it
		},
		permission: permitChange, action: "refund",
		errors: commandErrors(errNotRefundable, errTooManyRefunds),
	}, o.refund)
}

func (o orderOperations) refund(ctx context.Context, in *refundInput) (*outcome[Refund], error) {
	id, err := in.ID.parse()
	if err != nil {
		return nil, err
	}
	// The cache is fresh enough: only the currency is needed, to read the amount, and an order's currency never changes.
	known, err := o.cache.Get(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	e, err := in.request(ctx, orders.Event{OrderID: id, Kind: orders.RefundRequested, At: o.now()})
	if err != nil {
		return nil, err
	}
	if in.Body != nil && in.Body.Amount != nil {
		if e.Amount, err = known.Currency.Parse(string(*in.Body.Amount)); err != nil {
			return nil, &orders.InvalidError{Fields: []orders.FieldError{{Field: "amount", Message: err.Error()}}}
		}
		if e.Amount == 0 {
			return nil, &orders.InvalidError{Fields: []orders.FieldError{{Field: "amount", Message: "must be above 0"}}}
		}
	}

	applied, err := o.command(ctx, e,
		"The refund may or may not have been accepted. Repeat the request under the same Idempotency-Key; without one, "+
			"look at the order first.", errNotRefundable)
	if err != nil {
		return nil, err
	}
	return newOutcome(applied, newRefund(&applied.Order)), nil
}

func newRefund(o *orders.Order) Refund {
	step := o.Latest(orders.RefundPayment)
	amount := newAmount(o.Currency, step.Amount)
	return Refund{
		OrderID: o.ID, Generation: step.Generation, Amount: amount, Currency: string(o.Currency),
		State: StepState(step.State), Refundable: newAmount(o.Currency, o.Refundable()),
		Message: fmt.Sprintf("%s %s will be given back", amount, o.Currency),
	}
}
