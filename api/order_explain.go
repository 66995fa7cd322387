package api

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/explain"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Explanation is where an order stands. Callers that may not observe the system do not see the fields for operators.
type Explanation struct {
	OrderID  orders.ID       `json:"orderId" format:"uuid" example:"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"`
	Status   OrderStatus     `json:"status" example:"processing"`
	Version  int64           `json:"version" minimum:"1" example:"4" doc:"The order's version that this is about"`
	At       time.Time       `json:"at" example:"2026-11-22T12:00:30Z" doc:"The moment that this is about, by the database's clock"`
	Standing string          `json:"standing" example:"It waits for authorize payment: an operator pauses the lane at payment until 22 Nov 13:00:00 UTC." doc:"Where the order stands, in one sentence"`
	Waits    []ExplainedStep `json:"waits" doc:"The open steps, and why each has no outcome yet"`
	Next     *ExplainedNext  `json:"next,omitempty" doc:"What happens next by itself; absent if nothing does"`
	Actions  []ExplainedCall `json:"actions" doc:"What may be done. For customers and services: what they may do themselves"`
	Belongs  *Belongings     `json:"belongs,omitempty" doc:"What belongs to the order; for operators"`
}

// ExplainedStep is an open step, and why it has no outcome yet.
type ExplainedStep struct {
	Step       StepName     `json:"step" example:"authorize_payment"`
	Generation int          `json:"generation" minimum:"1" example:"1"`
	StartedAt  time.Time    `json:"startedAt" example:"2026-11-22T12:00:00Z"`
	DeadlineAt time.Time    `json:"deadlineAt" example:"2026-11-22T13:00:00Z" doc:"It is not sent after this"`
	Event      ExplainEvent `json:"event" example:"attempt"`
	By         *time.Time   `json:"by,omitempty" example:"2026-11-22T13:00:30Z" doc:"When the event has happened, at the latest; absent if it does not happen by itself"`

	// For operators.
	Why         ExplainCause `json:"why,omitempty" example:"lane_paused"`
	Attempts    *int         `json:"attempts,omitempty" minimum:"0" example:"2" doc:"Runs of the step's job, with a run under way. Several tries within one run count once. For operators"`
	LastError   string       `json:"lastError,omitempty" example:"status_503" doc:"The class of the latest error: of the step's own job, or else of the lane since the step started. For operators"`
	Since       *time.Time   `json:"since,omitempty" example:"2026-11-22T12:00:00Z" doc:"Since when it waits for this reason, if that is known. For operators"`
	Until       *time.Time   `json:"until,omitempty" example:"2026-11-22T13:00:00Z" doc:"The end of the pause, or the time of the next try. For operators"`
	Process     string       `json:"process,omitempty" example:"web1_2026_11_22T11_59_00_000000" doc:"The process that carries the step out, or did when it fell silent. For operators"`
	Queue       string       `json:"queue,omitempty" example:"payment" doc:"The queue that its job waits in. For operators"`
	PauseReason string       `json:"pauseReason,omitempty" example:"The bank is moving" doc:"Why an operator pauses the lane. For operators"`
}

// ExplainedNext is what happens next to an order.
type ExplainedNext struct {
	Event ExplainEvent `json:"event" example:"attempt"`
	Step  StepName     `json:"step" example:"authorize_payment"`
	By    time.Time    `json:"by" example:"2026-11-22T13:00:30Z" doc:"When it has happened, at the latest"`
}

// ExplainedCall is what may be done, as the exact call.
type ExplainedCall struct {
	What    string `json:"what" example:"Cancel the order: what was done is undone." doc:"What it does, in one sentence"`
	Method  string `json:"method,omitempty" example:"POST"`
	Path    string `json:"path,omitempty" example:"/api/orders/0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e/cancel"`
	Body    string `json:"body,omitempty" example:"{\"action\":\"retry\",\"reason\":\"REASON\"}" doc:"The body as JSON. REASON stands for the caller's own words"`
	Address string `json:"address,omitempty" enum:"api,operations" example:"api" doc:"The address that has the path"`
	Command string `json:"command,omitempty" example:"millrace work" doc:"The command, if the action is not a call"`
}

// ExplainCause is an explain.Cause.
type ExplainCause string

// Schema describes it to Huma.
func (ExplainCause) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "ExplainCause", "Why a step has no outcome yet. For operators", explain.Causes())
}

// ExplainEvent is an explain.Event.
type ExplainEvent string

// Schema describes it to Huma.
func (ExplainEvent) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "ExplainEvent", "What happens next to a step. Outcome: the try under way ends, with an outcome or "+
		"with another wait. Attempt: a process tries the step. New job: its order gets a new job. Given up: it is settled "+
		"as unknown, unless the provider answers before", explain.Events())
}

type explainInput struct {
	ID orderID `path:"id" doc:"The order's id"`
	PositionParam
}

type explainOutput struct{ Body Explanation }

func (o orderOperations) explainOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "explainOrder", Method: http.MethodGet, Path: "/api/orders/{id}/explain", Tags: []string{tagOrders},
			Summary: "Explain where an order stands",
			Description: "What the order waits for and why, what happens next by itself, and when at the " +
				"latest, what may be done, and what belongs to it. It is read from the database, and not from a cache. Callers " +
				"that may not observe the system get it without internals.",
		},
		permission: permitRead, action: "explain",
	}, o.explain)
}

func (o orderOperations) explain(ctx context.Context, in *explainInput) (*explainOutput, error) {
	id, err := in.ID.parse()
	if err != nil {
		return nil, err
	}
	var out Explanation
	observes := exchangeOf(ctx).principal.may(permitObserve) == nil
	err = o.reads.from(ctx, in.PositionParam, explainMaxLag, func(ctx context.Context, s *store.Store) error {
		evidence, err := s.Orders.Evidence(ctx, id)
		if err != nil {
			return err
		}
		out = newExplanation(explain.Of(evidence), observes)
		if !observes {
			return nil
		}
		found, err := s.Orders.Belongings(ctx, &evidence.Order)
		if err == nil {
			out.Belongs = newBelongings(evidence.Order, found)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &explainOutput{out}, nil
}

// newExplanation makes the explanation that a caller sees, with the fields for operators if it observes the system.
func newExplanation(x explain.Explanation, observes bool) Explanation {
	out := Explanation{
		OrderID: x.Order.ID, Status: OrderStatus(x.Order.Status), Version: x.Order.Version, At: x.At, Standing: x.Standing,
		Waits: make([]ExplainedStep, len(x.Waits)), Actions: []ExplainedCall{},
	}
	if x.Next != nil {
		out.Next = &ExplainedNext{ExplainEvent(x.Next.Event), StepName(x.Next.Step), x.Next.By.UTC()}
	}
	for i, w := range x.Waits {
		step := &out.Waits[i]
		*step = ExplainedStep{
			Step: StepName(w.Step.Name), Generation: w.Step.Generation, StartedAt: w.Step.StartedAt.UTC(),
			DeadlineAt: w.Step.DeadlineAt.UTC(), Event: ExplainEvent(w.Next), By: unlessZero(w.By),
		}
		if !observes {
			continue
		}
		step.Why, step.Attempts, step.LastError = ExplainCause(w.Cause), &w.Attempts, w.LastError
		step.Since, step.Until = unlessZero(w.Since), unlessZero(w.Until)
		step.Process, step.Queue = w.Worker, w.Queue
		if w.Hold != nil {
			step.PauseReason = w.Hold.Reason
		}
	}
	for _, a := range x.Actions {
		if !observes && !a.Owner {
			continue
		}
		call := ExplainedCall{What: a.What, Method: a.Method, Path: a.Path, Body: a.Body, Command: a.Command}
		switch {
		case a.Ops:
			call.Address = "operations"
		case a.Path != "":
			call.Address = "api"
		}
		out.Actions = append(out.Actions, call)
	}
	if observes {
		out.Standing = cmp.Or(x.Detail, x.Standing)
	}
	return out
}
