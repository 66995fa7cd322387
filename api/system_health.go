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

// A load balancer asks every few seconds: a check that hangs has failed.
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
	return enum(r, "Condition", "How well a part works. Degraded: it can be done without",
		[]Condition{conditionOK, conditionDegraded, conditionDown})
}

// Health is how the process is. It says nothing of why: that is in the log.
type Health struct {
	Status  Condition     `json:"status" example:"ok"`
	Version string        `json:"version" example:"1.0.0" doc:"The version of Millrace"`
	Checks  []HealthCheck `json:"checks,omitempty" doc:"What was checked, by name"`
}

// HealthCheck is one thing that was checked.
type HealthCheck struct {
	Name   string    `json:"name" example:"database"`
	Status Condition `json:"status" example:"ok"`
}

type healthOutput struct {
	Status int
	Body   Health
}

func (s *Server) healthOperations() []operation {
	return []operation{
		declare(operation{
			Operation: huma.Operation{
				OperationID: "getHealth", Method: http.MethodGet, Path: "/health", Tags: []string{tagHealth},
				Summary:     "Check the process and what it needs",
				Description: "Every check by name. 503 if one that matters is down; degraded is not down.",
			},
			permission: permitAnyone, unhealthy: "Down",
		}, s.health),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "getLiveness", Method: http.MethodGet, Path: "/health/live", Tags: []string{tagHealth},
				Summary:     "Check that the process is alive",
				Description: "Looks at nothing but the process itself: restarting it would not bring a database back.",
			},
			permission: permitAnyone,
		}, s.liveness),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "getReadiness", Method: http.MethodGet, Path: "/health/ready", Tags: []string{tagHealth},
				Summary:     "Check whether to send requests here",
				Description: "As /health, and 503 from the moment the process is asked to stop.",
			},
			permission: permitAnyone, unhealthy: "Down",
		}, s.readiness),
	}
}

func (s *Server) liveness(context.Context, *struct{}) (*healthOutput, error) {
	return &healthOutput{Status: http.StatusOK, Body: Health{Status: conditionOK, Version: s.config.Version}}, nil
}

func (s *Server) readiness(ctx context.Context, in *struct{}) (*healthOutput, error) {
	select {
	case <-s.draining:
		out, _ := s.liveness(ctx, in)
		out.Status, out.Body.Status = http.StatusServiceUnavailable, conditionDown
		return out, nil
	default:
		return s.health(ctx, in)
	}
}

func (s *Server) health(ctx context.Context, in *struct{}) (*healthOutput, error) {
	out, _ := s.liveness(ctx, in)
	if s.config.Ready == nil {
		return out, nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results := s.config.Ready(ctx)
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
