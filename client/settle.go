package client

import (
	"context"

	"github.com/millrace-orders/millrace/client/oas"
)

// Settlement is an operator's decision about an order that needs attention.
type Settlement struct {
	Action SettleAction
	// Step is one of the steps that keep the order from its end. Empty stands for all of them, or for the only one.
	Step       StepName
	Generation int           // of Step; 0 for any
	Outcome    SettleOutcome // for Accept: the real outcome of the step
	Reference  string        // for Accept: the provider's own id of the effect
	Reason     string        // required; the order's customer can read it
}

// SettleAction is the kind of decision.
type SettleAction = oas.SettleAction

// The actions.
const (
	// Retry tries again. The server first asks the provider about a step without an answer, and reuses its key.
	Retry = oas.SettleActionRetry
	// Compensate undoes every effect, certain or possible.
	Compensate = oas.SettleActionCompensate
	// Accept records Outcome as the step's outcome, and the order continues from there.
	Accept = oas.SettleActionAccept
)

// SettleOutcome is the real outcome of a step.
type SettleOutcome = oas.SettleOutcome

// The outcomes.
const (
	WasDone    = oas.SettleOutcomeSucceeded
	WasNotDone = oas.SettleOutcomeRefused
)

// Settle decides about an order that needs attention. Only operators may. Any other order is a conflict ([IsConflict]),
// with one exception: in an order that was undone, an operator can accept that a step took effect after all.
func (c *Client) Settle(ctx context.Context, id string, s Settlement, opts ...CallOption) (*Order, error) {
	parsed, err := parseID(id)
	if err != nil {
		return nil, err
	}
	body := oas.Settlement{Action: s.Action, Reason: s.Reason}
	if s.Step != "" {
		body.Step = oas.NewOptStepName(s.Step)
	}
	if s.Generation != 0 {
		body.Generation = oas.NewOptInt64(int64(s.Generation))
	}
	if s.Outcome != "" {
		body.Outcome = oas.NewOptSettleOutcome(s.Outcome)
	}
	if s.Reference != "" {
		body.Reference = oas.NewOptString(s.Reference)
	}
	call := newCall(opts)
	answer, err := c.api.SettleOrder(ctx, &body, oas.SettleOrderParams{ID: parsed}, call.options()...)
	if err != nil {
		return nil, unwrapped(err)
	}
	return call.order(answer), nil
}
