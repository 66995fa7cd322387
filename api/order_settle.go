package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
)

var errNotSettleable = problems.New(problems.Conflict, "order_not_settleable",
	"The order is %s; only orders that need attention are settled, and undone ones of which a step took effect after all.")

// SettleAction is what a person decides about an order.
type SettleAction string

// The actions.
const (
	settleRetry      SettleAction = "retry"
	settleCompensate SettleAction = "compensate"
	settleAccept     SettleAction = "accept"
)

// Schema describes it to Huma.
func (SettleAction) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "SettleAction", "What to do: try the step again; undo everything that happened or may have; or take "+
		"the given outcome for true", []SettleAction{settleRetry, settleCompensate, settleAccept})
}

// SettleOutcome is how a step really was.
type SettleOutcome string

// Schema describes it to Huma.
func (SettleOutcome) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "SettleOutcome", "How the step really was",
		[]orders.StepState{orders.StateSucceeded, orders.StateRefused})
}

// Settlement is what a person decides about an order that needs attention.
type Settlement struct {
	Action     SettleAction   `json:"action" example:"retry"`
	Step       *StepName      `json:"step,omitempty" example:"void_payment" doc:"Which of the steps that keep the order from its end. Default: all of them for retry, the only one for accept"`
	Generation int            `json:"generation,omitempty" minimum:"1" maximum:"1000000" example:"1" doc:"Which generation of the step. Default: any"`
	Outcome    *SettleOutcome `json:"outcome,omitempty" doc:"For accept, which needs it: how the step really was"`
	Reference  string         `json:"reference,omitempty" maxLength:"200" doc:"For accept: the provider's own id of what was done"`
	Reason     string         `json:"reason" minLength:"1" maxLength:"200" example:"The bank confirms the release" doc:"Why. It is in the order's history, where its customer can read it"`
}

type settleInput struct {
	ID orderID `path:"id" doc:"The order's id"`
	CommandHeaders
	Body Settlement
}

func (s *Server) settleOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "settleOrder", Method: http.MethodPost, Path: "/api/orders/{id}/settle", Tags: []string{tagOrders},
			Summary: "Settle an order that needs attention",
			Description: "For operators. `retry` tries the steps that keep the order from its end again, with a new " +
				"deadline: a step without an answer is first asked about at its provider, and goes out under the key that " +
				"it had, so it happens once. `compensate` undoes everything that happened, or may have. `accept` takes your " +
				"word for how a step was, and the order goes on from there; if everything was done and the only undoing is " +
				"accepted as refused, it is completed. An order that needs no attention is a conflict (409), but for one " +
				"that was undone without a step that took effect after all: accept that as succeeded, and it is undone, too.",
			DefaultStatus: http.StatusAccepted,
			MaxBodyBytes:  -1, // limited does it
		},
		permission: permitSettle,
		errors:     commandErrors(errNotSettleable),
		example:    `{"action": "retry", "reason": "The payment provider is up again"}`,
	}, s.settle)
}

func (s *Server) settle(ctx context.Context, in *settleInput) (*outcome[Order], error) {
	id, err := in.ID.parse()
	if err != nil {
		return nil, err
	}
	e, err := in.Body.event()
	if err != nil {
		return nil, err
	}
	e.OrderID, e.At = id, s.config.Now()
	if e, err = in.request(ctx, e); err != nil {
		return nil, err
	}
	applied, err := s.command(ctx, e,
		"The order may or may not be settled. Repeat the request under the same Idempotency-Key; without one, look at "+
			"the order first.", errNotSettleable)
	if err != nil {
		return nil, err
	}
	return newOutcome(applied, newOrder(&applied.Order, exchangeOf(ctx).principal)), nil
}

// event is what the settlement asks for. What does not go together is refused: somebody may mean something else.
func (s *Settlement) event() (orders.Event, error) {
	e := orders.Event{Generation: s.Generation, Reference: s.Reference, Reason: s.Reason}
	if s.Step != nil {
		e.Step = orders.StepName(*s.Step)
	}
	var wrong []orders.FieldError
	if s.Action == settleAccept && s.Outcome == nil {
		wrong = append(wrong, orders.FieldError{Field: "outcome", Message: "is needed to accept one"})
	}
	if s.Action != settleAccept && (s.Outcome != nil || s.Reference != "") {
		wrong = append(wrong, orders.FieldError{Field: "outcome", Message: "is only for accept, and so is reference"})
	}
	if s.Action == settleCompensate && s.Step != nil {
		wrong = append(wrong, orders.FieldError{Field: "step", Message: "is not for compensate, which is about all steps"})
	}
	if s.Generation != 0 && s.Step == nil {
		wrong = append(wrong, orders.FieldError{Field: "generation", Message: "needs a step"})
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
