package client

import (
	"context"

	"github.com/millrace-orders/millrace/client/oas"
)

// Refund is money on its way back. Its outcome is the order's step refund_payment of the same Generation.
type Refund struct {
	OrderID    string
	Generation int // counts the order's refunds
	Amount     Amount
	Currency   string
	State      StepState
	Refundable Amount // the amount that can still be refunded
	Message    string // the plan, in one sentence

	// Replayed reports that this call changed nothing: an earlier call under the same idempotency key had made the
	// change.
	Replayed bool
}

// Refund gives back some of the money of a completed order, in at most 100 parts, and never more than was taken. It
// returns as soon as the server has decided to. An order that is not completed is a conflict ([IsConflict]).
//
// The order is at rest all the while, so [Client.Wait] does not wait for the money. [Client.Events] from version 0 ends
// only when the refund has an outcome.
func (c *Client) Refund(ctx context.Context, id string, amount Amount, opts ...CallOption) (*Refund, error) {
	return c.refund(ctx, id, oas.RefundRequest{Amount: oas.NewOptDecimal(amount.Decimal)}, opts)
}

// RefundAll gives back the remaining money of a completed order.
func (c *Client) RefundAll(ctx context.Context, id string, opts ...CallOption) (*Refund, error) {
	return c.refund(ctx, id, oas.RefundRequest{}, opts)
}

func (c *Client) refund(ctx context.Context, id string, body oas.RefundRequest, opts []CallOption) (*Refund, error) {
	parsed, err := parseID(id)
	if err != nil {
		return nil, err
	}
	call := newCall(opts)
	params := oas.RefundOrderParams{ID: parsed}
	answer, err := c.api.RefundOrder(ctx, oas.NewOptRefundRequest(body), params, call.options()...)
	if err != nil {
		return nil, unwrapped(err)
	}
	r := answer.Response
	return &Refund{
		OrderID: r.OrderID.String(), Generation: int(r.Generation), Amount: Amount{r.Amount}, Currency: r.Currency,
		State:      r.State,
		Refundable: Amount{r.Refundable}, Message: r.Message, Replayed: call.replayed,
	}, nil
}
