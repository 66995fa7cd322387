package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// A load balancer asks every few seconds, so a check that hangs counts as failed.
const checkTimeout = 3 * time.Second

// Condition is how well a part of the process works.
type Condition string

// The conditions.
const (
	conditionOK       Condition = "ok"
	conditionDegraded Condition = "degraded"
	conditionDown     Condition = "down"
)

// Schema describes it to Huma.
func (Condition) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "Condition", "How well a part works. Degraded: it does not work, but the process can serve without it",
		[]Condition{conditionOK, conditionDegraded, conditionDown})
}

// Health is the state of the process. The causes of a failure are in the log only.
type Health struct {
	Status  Condition     `json:"status" example:"ok"`
	Version string        `json:"version" example:"1.0.0" doc:"The version of Millrace"`
	Schema  int64         `json:"schema,omitempty" minimum:"1" example:"31" doc:"The version of the database schema, when this process read it last"`
	Checks  []HealthCheck `json:"checks,omitempty" doc:"The checks, sorted by name"`
}

// HealthCheck is the result of one check.
type HealthCheck struct {
	Name   string    `json:"name" example:"database"`
	Status Condition `json:"status" example:"ok"`
}

type healthOutput struct {
	Status int
	Body   Health
}

// tagHealth is the operations' group in the document.
const tagHealth = "Health"

// healthOperations are the checks of the process.
type healthOperations struct {
	version string
	ready   func(context.Context) map[string]error // may be nil
	schema  func() int64                           // may be nil
	leaving <-chan struct{}
}

func (o healthOperations) all() []operation {
	return []operation{
		declare(operation{
			Operation: huma.Operation{
				OperationID: "getHealth", Method: http.MethodGet, Path: "/health", Tags: []string{tagHealth},
				Summary:     "Check the process and what it needs",
				Description: "All checks by name. The answer is 503 if a part is down that the process cannot serve without.",
			},
			permission: permitAnyone, unhealthy: "Down",
		}, o.health),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "getLiveness", Method: http.MethodGet, Path: "/health/live", Tags: []string{tagHealth},
				Summary:     "Check that the process is alive",
				Description: "Checks only the process itself: a restart would not repair a database.",
			},
			permission: permitAnyone,
		}, o.liveness),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "getReadiness", Method: http.MethodGet, Path: "/health/ready", Tags: []string{tagHealth},
				Summary:     "Check whether to send requests here",
				Description: "The same as /health, and 503 as soon as the process is asked to stop.",
			},
			permission: permitAnyone, unhealthy: "Down",
		}, o.readiness),
	}
}

func (o healthOperations) liveness(context.Context, *struct{}) (*healthOutput, error) {
	out := &healthOutput{Status: http.StatusOK, Body: Health{Status: conditionOK, Version: o.version}}
	if o.schema != nil {
		out.Body.Schema = o.schema()
	}
	return out, nil
}

func (o healthOperations) readiness(ctx context.Context, in *struct{}) (*healthOutput, error) {
	select {
	case <-o.leaving:
		out, _ := o.liveness(ctx, in)
		out.Status, out.Body.Status = http.StatusServiceUnavailable, conditionDown
		return out, nil
	default:
		return o.health(ctx, in)
	}
}

func (o healthOperations) health(ctx context.Context, in *struct{}) (*healthOutput, error) {
	out, _ := o.liveness(ctx, in)
	if o.ready == nil {
		return out, nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results := o.ready(ctx)
	for _, name := range slices.Sorted(maps.Keys(results)) {
		err := results[name]
		check := HealthCheck{Name: name, Status: condition(err)}
		out.Body.Checks = append(out.Body.Checks, check)
		switch {
		case check.Status == conditionDown:
			out.Status, out.Body.Status = http.StatusServiceUnavailable, conditionDown
			exchangeOf(ctx).cause = errors.Join(exchangeOf(ctx).cause, err)
		case check.Status == conditionDegraded && out.Body.Status == conditionOK:
			out.Body.Status = conditionDegraded
		}
	}
	return out, nil
}

func condition(err error) Condition {
	switch {
	case err == nil:
		return conditionOK
	case errors.Is(err, ErrDegraded):
		return conditionDegraded
	default:
		return conditionDown
	}
}
