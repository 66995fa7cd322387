package client

import (
	"context"

	"github.com/millrace-orders/millrace/client/oas"
)

// Settlement is what an operator decides about an order that needs attention.
type Settlement struct {
	Action SettleAction
	// Step is which of the steps that keep the order from its end; empty for all of them, and for the only one.
	Step       StepName
	Generation int           // of Step; 0 for any
	Outcome    SettleOutcome // for Accept: how the step really was
	Reference  string        // for Accept: the provider's own id of what was done
	Reason     string        // required; the order's customer can read it
}

// SettleAction is what to do.
type SettleAction = oas.SettleAction

// The actions.
const (
	// Retry tries again. A step without an answer is first asked about, and goes out under the key that it had.
	Retry = oas.SettleActionRetry
	// Compensate undoes everything that happened, or may have.
	Compensate = oas.SettleActionCompensate
	// Accept takes the Outcome for true; the order goes on from there.
	Accept = oas.SettleActionAccept
)

// SettleOutcome is how a step really was.
type SettleOutcome = oas.SettleOutcome

// The outcomes.
const (
	WasDone    = oas.SettleOutcomeSucceeded
	WasNotDone = oas.SettleOutcomeRefused
)

// Settle decides about an order that needs attention, which operators may. Any other order is a conflict
// ([IsConflict]), but for one that was undone and of which a step is accepted that took effect after all.
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
