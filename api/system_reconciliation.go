package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/store"
)

// Reconciliation is how the providers' own records compare with the orders.
type Reconciliation struct {
	Providers []ProviderReconciliation `json:"providers" doc:"By name; those that were compared, or could not be"`
	Findings  []ReconciliationFinding  `json:"findings" doc:"Where they disagree, newest first"`
}

// ProviderReconciliation is how far the comparison with a provider is.
type ProviderReconciliation struct {
	Provider     string    `json:"provider" example:"payment"`
	State        string    `json:"state" enum:"ok,behind,not_listed,unavailable" example:"ok" doc:"Behind: there is more to compare. Not listed: the provider lists nothing, so nothing is compared. Unavailable: it did not answer the last time"`
	ReconciledTo time.Time `json:"reconciledTo" example:"2026-11-22T12:00:00Z" doc:"What happened before has been compared"`
	RanAt        time.Time `json:"ranAt" example:"2026-11-22T12:01:00Z" doc:"When that was"`
}

// ReconciliationFinding is one disagreement.
type ReconciliationFinding struct {
	Provider    string    `json:"provider" example:"payment"`
	Kind        string    `json:"kind" enum:"unknown_order,no_intent,amount,not_undone,late,missing" example:"unknown_order" doc:"See docs/reconciliation.md"`
	Key         string    `json:"key" example:"01990000-0000-7000-8000-000000000001:capture_payment:1" doc:"The idempotency key of the operation"`
	OrderID     string    `json:"orderId" example:"01990000-0000-7000-8000-000000000001" doc:"As the provider has it; empty if it does not say"`
	Detail      string    `json:"detail" example:"there is no such order"`
	State       string    `json:"state" enum:"open,resolved,accepted" example:"open" doc:"Resolved: it was looked at again, and agrees"`
	FirstSeenAt time.Time `json:"firstSeenAt" example:"2026-11-22T12:01:00Z"`
	LastSeenAt  time.Time `json:"lastSeenAt" example:"2026-11-22T12:01:00Z"`
}

type reconciliationInput struct {
	State string `query:"state" enum:"open,resolved,accepted" default:"open" doc:"Which findings"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"How many findings at most"`
}

type reconciliationOutput struct{ Body Reconciliation }

func (s *Server) reconciliationOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "getReconciliation", Method: http.MethodGet, Path: "/api/reconciliation", Tags: []string{tagSystem},
			Summary: "Get what comparing the providers' records with the orders found",
			Description: "How far the providers' own records have been compared with the orders, and where they disagree: " +
				"such as a payment without an order, or a step that succeeded and that its provider does not know.",
		},
		permission: permitObserve,
	}, s.reconciliation)
}

func (s *Server) reconciliation(ctx context.Context, in *reconciliationInput) (*reconciliationOutput, error) {
	list, err := s.config.Store.Reconciliations(ctx)
	if err != nil {
		return nil, err
	}
	findings, err := s.config.Store.Findings(ctx, store.FindingState(in.State), in.Limit)
	if err != nil {
		return nil, err
	}
	out := Reconciliation{
		Providers: make([]ProviderReconciliation, len(list)), Findings: make([]ReconciliationFinding, len(findings)),
	}
	for i, r := range list {
		out.Providers[i] = ProviderReconciliation{string(r.Provider), string(r.State), r.To, r.RanAt}
	}
	for i, f := range findings {
		out.Findings[i] = newFinding(f)
	}
	return &reconciliationOutput{out}, nil
}

func newFinding(f store.Finding) ReconciliationFinding {
	return ReconciliationFinding{
		Provider: string(f.Provider), Kind: string(f.Kind), Key: f.Key, OrderID: f.OrderID, Detail: f.Detail,
		State: string(f.State), FirstSeenAt: f.FirstSeenAt, LastSeenAt: f.LastSeenAt,
	}
}
