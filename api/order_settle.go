package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
)

var errNotSettleable = problems.New(problems.Conflict, "order_not_settleable",
	"The order is %s. Only an order that needs attention can be settled, or an undone order with a step that took effect.")

// SettleAction is what an operator decides about an order.
type SettleAction string

// The actions.
const (
	settleRetry      SettleAction = "retry"
	settleCompensate SettleAction = "compensate"
	settleAccept     SettleAction = "accept"
)

// Schema describes it to Huma.
func (SettleAction) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "SettleAction", "What to do. Retry: start the step again. Compensate: undo everything that happened "+
		"or may have happened. Accept: take the given outcome as true",
		[]SettleAction{settleRetry, settleCompensate, settleAccept})
}

// SettleOutcome is the true outcome of a step.
type SettleOutcome string

// Schema describes it to Huma.
func (SettleOutcome) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "SettleOutcome", "The true outcome of the step",
		[]orders.StepState{orders.StateSucceeded, orders.StateRefused})
}

// Settlement is what an operator decides about an order that needs attention.
type Settlement struct {
	Action     SettleAction   `json:"action" example:"retry"`
	Step       *StepName      `json:"step,omitempty" example:"void_payment" doc:"One of the steps that cannot finish. Default: all of them for retry, the only one for accept"`
	Generation int            `json:"generation,omitempty" minimum:"1" maximum:"1000000" example:"1" doc:"The generation of the step. Default: any"`
	Outcome    *SettleOutcome `json:"outcome,omitempty" doc:"The true outcome of the step. Accept needs it; the other actions refuse it"`
	Reference  string         `json:"reference,omitempty" maxLength:"200" doc:"The provider's own id of the effect; only for accept"`
	Reason     string         `json:"reason" minLength:"1" maxLength:"200" example:"The bank confirms the release" doc:"The reason. It is stored in the order's history, which the customer can read"`
}

type settleInput struct {
	ID orderID `path:"id" doc:"The order's id"`
	CommandHeaders
	Body Settlement
}

func (o orderOperations) settleOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "settleOrder", Method: http.MethodPost, Path: "/api/orders/{id}/settle", Tags: []string{tagOperations},
			Summary: "Settle an order that needs attention",
			Description: "For operators.\n\n`retry` starts the steps that cannot finish again, with a new deadline. If a step " +
				"got no answer, Millrace first asks the provider about its outcome, and sends it under the same key, so it " +
				"happens once.\n\n`compensate` undoes everything that happened or may have happened.\n\n`accept` takes your word " +
				"for the outcome of a step, and the order continues from there. If all steps were done and the only compensation " +
				"is accepted as refused, the order is completed.\n\nAn order that does not need attention is a conflict (409), " +
				"with one exception: if an order was undone, but one of its steps took effect after all, accept that step as " +
				"succeeded, and it is undone, too.",
			DefaultStatus: http.StatusAccepted,
			MaxBodyBytes:  -1, // limited does it
		},
		permission: permitSettle,
		errors:     commandErrors(errNotSettleable),
		example:    `{"action": "retry", "reason": "The payment provider is up again"}`,
		answer:     showExample(exampleSettled()),
	}, o.settle)
}

func (o orderOperations) settle(ctx context.Context, in *settleInput) (*outcome[Order], error) {
	id, err := in.ID.parse()
	if err != nil {
		return nil, err
	}
	e, err := in.Body.event()
	if err != nil {
		return nil, err
	}
	e.OrderID, e.At = id, o.now()
	if e, err = in.request(ctx, e); err != nil {
		return nil, err
	}
	applied, err := o.command(ctx, e,
		"The order may or may not be settled. Repeat the request under the same Idempotency-Key; without one, look at "+
			"the order first.", errNotSettleable)
	if err != nil {
		return nil, err
	}
	return newOutcome(applied, newOrder(&applied.Order, exchangeOf(ctx).principal)), nil
}

// event returns the event that the settlement asks for. It refuses fields that do not fit the action: the operator may
// mean something else.
func (s *Settlement) event() (orders.Event, error) {
	e := orders.Event{Generation: s.Generation, Reference: s.Reference, Reason: s.Reason}
	if s.Step != nil {
		e.Step = orders.StepName(*s.Step)
	}
	var wrong []orders.FieldError
	if s.Action == settleAccept && s.Outcome == nil {
		wrong = append(wrong, orders.FieldError{Field: "outcome", Message: "is required for accept"})
	}
	if s.Action != settleAccept && (s.Outcome != nil || s.Reference != "") {
		wrong = append(wrong, orders.FieldError{Field: "outcome", Message: "is only allowed for accept, and so is reference"})
	}
	if s.Action == settleCompensate && s.Step != nil {
		wrong = append(wrong, orders.FieldError{Field: "step", Message: "is not allowed for compensate: it undoes all steps"})
	}
	if s.Generation != 0 && s.Step == nil {
		wrong = append(wrong, orders.FieldError{Field: "generation", Message: "is only allowed together with step"})
	}
	wrong = append(wrong, line("reason", s.Reason)...)
	wrong = append(wrong, line("reference", s.Reference)...)
	if len(wrong) > 0 {
		return e, &orders.InvalidError{Fields: wrong}
	}
	switch {
	case s.Action == settleRetry:
		e.Kind = orders.RetryRequested
	case s.Action == settleCompensate:
		e.Kind = orders.UndoRequested
	case orders.StepState(*s.Outcome) == orders.StateRefused:
		e.Kind = orders.RefusalDeclared
	default:
		e.Kind = orders.SuccessDeclared
	}
	return e, nil
}
