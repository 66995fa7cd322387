package store

import (
	"context"
	"fmt"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Bounds of what is looked up of an order's belongings.
const (
	mostEndpoints   = 1000
	mostMessages    = 100 // about one order, to one endpoint
	mostBelongings  = 20  // of a list
	latestAudited   = 1000
	mostFindingKeys = 200 // of steps
)

// Belongings is what other tables have of an order.
type Belongings struct {
	Deliveries map[string]int64 // messages to webhooks, by state
	Findings   []FindingName    // of reconciliation, newest first, at most 20
	Audit      []int64          // ids of entries about the order, newest first, at most 20 of the log's latest 1,000
}

// FindingName names a finding, and says where it stands.
type FindingName struct {
	Provider, Kind, Key, State string
}

// Belongings reads what belongs to an order.
func (s *Orders) Belongings(ctx context.Context, o *orders.Order) (b Belongings, err error) {
	deliveries, err := s.queries.EvidenceDeliveries(ctx, s.db, &dbsqlc.EvidenceDeliveriesParams{
		OrderID: o.ID, MostEndpoints: mostEndpoints, MostEach: mostMessages,
	})
	if err != nil {
		return b, fmt.Errorf("count messages to webhooks: %w", err)
	}
	b.Deliveries = map[string]int64{}
	for _, row := range deliveries {
		b.Deliveries[row.State] = row.Deliveries
	}
	params := &dbsqlc.EvidenceFindingsParams{Most: mostBelongings}
	for _, step := range o.Steps[max(0, len(o.Steps)-mostFindingKeys):] {
		spec, _ := step.Name.Spec()
		params.Providers = append(params.Providers, string(spec.Provider))
		params.Keys = append(params.Keys, orders.StepKey(o.ID, step.Name, step.KeyGeneration))
	}
	for _, kind := range orders.FindingKinds() {
		params.Kinds = append(params.Kinds, string(kind))
	}
	findings, err := s.queries.EvidenceFindings(ctx, s.db, params)
	if err != nil {
		return b, fmt.Errorf("read findings: %w", err)
	}
	for _, row := range findings {
		b.Findings = append(b.Findings, FindingName(row))
	}
	if b.Audit, err = s.queries.EvidenceAudit(ctx, s.db, &dbsqlc.EvidenceAuditParams{
		Target: o.ID.String(), Latest: latestAudited, Most: mostBelongings,
	}); err != nil {
		return b, fmt.Errorf("read audit log: %w", err)
	}
	return b, nil
}
