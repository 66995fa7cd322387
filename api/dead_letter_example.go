package api

import (
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
)

// exampleCause is the cause of the document's dead letters.
func exampleCause() orders.Cause {
	return orders.Cause{Step: orders.VoidPayment, State: orders.StateRefused, Code: "provider_refused"}
}

// TransformSchema gives the document an example whose fields fit together.
func (DeadLetterGroup) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	cause, at := exampleCause(), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s.Examples = []any{DeadLetterGroup{
		Step: StepName(cause.Step), State: StepState(cause.State), Code: cause.Code, Reason: cause.String(),
		Orders: 12, FirstAt: at, LastAt: at.Add(time.Hour),
	}}
	return s
}

// TransformSchema gives the document an example whose fields fit together.
func (Redrive) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	cause := exampleCause()
	s.Examples = []any{Redrive{
		Step: new(StepName(cause.Step)), State: new(StepState(cause.State)), Code: cause.Code, RatePerSecond: 10,
		Reason: "The provider is up again",
	}}
	return s
}

// TransformSchema gives the document an example whose fields fit together: a refused step has a new generation.
func (RedriveStep) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{RedriveStep{Step: StepName(exampleCause().Step), Generation: 2}}
	return s
}
