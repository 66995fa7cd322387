package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
)

const redriveFew = 20 // orders whose steps the answer lists

// Redrive is a request to retry orders that need attention.
type Redrive struct {
	Step          *StepName  `json:"step,omitempty" example:"void_payment" doc:"Only orders that cannot finish because of this step. Default: any step"`
	State         *StepState `json:"state,omitempty" example:"refused" doc:"Only orders whose step is in this state. Default: any state"`
	Code          string     `json:"code,omitempty" minLength:"1" maxLength:"64" example:"provider_refused" doc:"Only orders whose step has this code. Default: any code"`
	OrderIDs      []orderID  `json:"orderIds,omitempty" minItems:"1" maxItems:"1000" doc:"Only these orders. Default: all that match"`
	RatePerSecond int        `json:"ratePerSecond,omitempty" minimum:"1" maximum:"100" default:"10" doc:"How many orders to settle per second"`
	DryRun        bool       `json:"dryRun,omitempty" doc:"Report what would be done, without doing it"`
	Reason        string     `json:"reason" minLength:"1" maxLength:"200" example:"The provider is up again" doc:"The reason. It is stored in the history of each order, which the customer can read"`
}

// RedriveStep is one step that a redrive starts again.
type RedriveStep struct {
	Step       StepName `json:"step" example:"void_payment"`
	Generation int      `json:"generation" minimum:"1" example:"2" doc:"The generation that the redrive starts"`
	AsksFirst  bool     `json:"asksFirst" doc:"True if the step got no answer: Millrace first asks the provider about its outcome, then sends it again under the same key. False if the step was refused: it is sent under a new key"`
}

// RedriveOrder is what a redrive does to one order.
type RedriveOrder struct {
	OrderID orders.ID     `json:"orderId" format:"uuid" example:"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"`
	Steps   []RedriveStep `json:"steps" doc:"The steps to retry; empty if the order was settled meanwhile"`
}

// RedriveResult is what a redrive does or, in a dry run, would do.
type RedriveResult struct {
	DryRun bool           `json:"dryRun" doc:"True if this was a dry run, so nothing is done"`
	Orders int64          `json:"orders" minimum:"0" example:"12" doc:"How many orders match"`
	First  []RedriveOrder `json:"first" doc:"What the redrive does to the first 20 orders"`
}

type redriveInput struct{ Body Redrive }

type redriveOutput struct{ Body RedriveResult }

func (o deadLetterOperations) redriveOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "redriveDeadLetters", Method: http.MethodPost, Path: "/api/dead-letters/redrive",
			Tags:    []string{tagOperations},
			Summary: "Retry orders that need attention",
			Description: "Settles the matching orders with `retry`, in the background, one by one at the given rate. It " +
				"covers the orders that need attention now: an order that fails again is not retried twice. With `dryRun`, the " +
				"answer only reports what would be done.",
			DefaultStatus: http.StatusAccepted,
			MaxBodyBytes:  -1, // limited does it
		},
		permission: permitSettle,
		example: `{"step": "void_payment", "state": "refused", "code": "provider_refused", "dryRun": true, ` +
			`"reason": "The payment provider is up again"}`,
	}, o.redrive)
}

func (o deadLetterOperations) redrive(ctx context.Context, in *redriveInput) (*redriveOutput, error) {
	job := orders.RedriveJob{
		ID: orders.NewID(), Cause: in.Body.cause(), OrderIDs: make([]orders.ID, len(in.Body.OrderIDs)),
		PerSecond: in.Body.RatePerSecond, Principal: exchangeOf(ctx).principal.Name, Reason: in.Body.Reason,
		At: o.now(),
	}
	for i, text := range in.Body.OrderIDs {
		var err error
		if job.OrderIDs[i], err = text.parseAt(fmt.Sprintf("body.orderIds[%d]", i)); err != nil {
			return nil, err
		}
	}
	wrong := append(line("reason", job.Reason), unstorable("code", job.Cause.Code)...)
	if len(wrong) > 0 {
		return nil, &orders.InvalidError{Fields: wrong}
	}
	n, err := o.letters.Count(ctx, job)
	if err != nil {
		return nil, err
	}
	ids, err := o.letters.List(ctx, job, orders.ID{}, redriveFew)
	if err != nil {
		return nil, err
	}
	out := &redriveOutput{RedriveResult{DryRun: in.Body.DryRun, Orders: n, First: make([]RedriveOrder, len(ids))}}
	for i, id := range ids {
		order, err := o.orders.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		out.Body.First[i] = newRedriveOrder(order, job)
	}
	if in.Body.DryRun {
		return out, nil
	}
	if err := o.letters.Redrive(ctx, job); err != nil {
		return nil, &uncertainError{"The redrive may or may not have been started. Starting it again is safe.", err}
	}
	return out, nil
}

// cause returns the cause that selects the orders of a redrive.
func (r *Redrive) cause() orders.Cause {
	cause := orders.Cause{Code: r.Code}
	if r.Step != nil {
		cause.Step = orders.StepName(*r.Step)
	}
	if r.State != nil {
		cause.State = orders.StepState(*r.State)
	}
	return cause
}

// newRedriveOrder finds what a redrive does to an order: it makes the decision and does not store it.
func newRedriveOrder(o orders.Order, job orders.RedriveJob) RedriveOrder {
	out := RedriveOrder{OrderID: o.ID, Steps: []RedriveStep{}}
	for _, step := range job.Preview(o) {
		out.Steps = append(out.Steps, RedriveStep{
			Step: StepName(step.Name), Generation: step.Generation, AsksFirst: step.KeyGeneration != step.Generation,
		})
	}
	return out
}
