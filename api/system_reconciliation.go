package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/store"
)

// Reconciliation is the result of comparing the providers' own records with the orders.
type Reconciliation struct {
	Providers []ProviderReconciliation `json:"providers" doc:"The providers, sorted by name, including those that could not be compared"`
	Findings  []ReconciliationFinding  `json:"findings" doc:"The differences, newest first"`
}

// ProviderReconciliation is how far the comparison with a provider has come.
type ProviderReconciliation struct {
	Provider     string    `json:"provider" example:"payment"`
	State        string    `json:"state" enum:"ok,behind,not_listed,unavailable" example:"ok" doc:"Behind: there is more to compare. Not listed: the provider lists no records, so nothing is compared. Unavailable: the provider did not answer the last time"`
	ReconciledTo time.Time `json:"reconciledTo" example:"2026-11-22T12:00:00Z" doc:"All records before this moment have been compared"`
	RanAt        time.Time `json:"ranAt" example:"2026-11-22T12:01:00Z" doc:"When the last comparison ran"`
}

// ReconciliationFinding is one difference between a provider's records and the orders.
type ReconciliationFinding struct {
	Provider    string    `json:"provider" example:"payment"`
	Kind        string    `json:"kind" enum:"unknown_order,no_intent,amount,not_undone,late,missing" example:"unknown_order" doc:"The kind of difference; docs/reconciliation.md describes each"`
	Key         string    `json:"key" example:"01990000-0000-7000-8000-000000000001:capture_payment:1" doc:"The idempotency key of the operation"`
	OrderID     string    `json:"orderId" example:"01990000-0000-7000-8000-000000000001" doc:"The order's id in the provider's records; empty if they have none"`
	Detail      string    `json:"detail" example:"there is no such order"`
	State       string    `json:"state" enum:"open,resolved,accepted" example:"open" doc:"Resolved: a later comparison found no difference"`
	FirstSeenAt time.Time `json:"firstSeenAt" example:"2026-11-22T12:01:00Z"`
	LastSeenAt  time.Time `json:"lastSeenAt" example:"2026-11-22T12:01:00Z"`
}

type reconciliationInput struct {
	State string `query:"state" enum:"open,resolved,accepted" default:"open" doc:"Only findings in this state"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"The largest number of findings"`
}

type reconciliationOutput struct{ Body Reconciliation }

// reconciliationOperations are the operations on reconciliation.
type reconciliationOperations struct{ findings *store.Findings }

func (o reconciliationOperations) all() []operation { return []operation{o.reconciliationOperation()} }

func (o reconciliationOperations) reconciliationOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "getReconciliation", Method: http.MethodGet, Path: "/api/reconciliation", Tags: []string{tagOperations},
			Summary: "Get the findings of reconciliation",
			Description: "How far the providers' own records have been compared with the orders, and the differences. A " +
				"difference is, for example, a payment without an order, or a step that succeeded and that is missing at " +
				"its provider.",
		},
		permission: permitObserve,
	}, o.reconciliation)
}

func (o reconciliationOperations) reconciliation(
	ctx context.Context, in *reconciliationInput,
) (*reconciliationOutput, error) {
	list, err := o.findings.Progress(ctx)
	if err != nil {
		return nil, err
	}
	findings, err := o.findings.List(ctx, store.FindingState(in.State), in.Limit)
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
