package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Findings are the findings of reconciliation, and its progress.
type Findings struct {
	*database

	orders *Orders
}

// FindingState is the state of a finding.
type FindingState string

// A resolved finding was closed by Millrace, an accepted one by an operator.
const (
	FindingOpen     FindingState = "open"
	FindingResolved FindingState = "resolved" // it was rechecked, and the records agree
	FindingAccepted FindingState = "accepted" // an operator has put it right elsewhere, or tolerates it
)

// Finding is one difference between a provider's records and ours.
type Finding struct {
	Provider    orders.Provider
	Kind        orders.FindingKind
	Key         string // the idempotency key that it is about
	OrderID     string // as the provider has it; empty if the provider does not have it
	Detail      string
	State       FindingState
	FirstSeenAt time.Time
	LastSeenAt  time.Time
	RecheckedAt time.Time // when it was rechecked last; before that, when it was first seen
}

func (f Finding) same(other Finding) bool {
	return f.Provider == other.Provider && f.Kind == other.Kind && f.Key == other.Key
}

// write adds findings, or updates those that exist, and returns the new ones.
func (s *Findings) write(ctx context.Context, tx pgx.Tx, findings []Finding) (fresh []Finding, err error) {
	params := &dbsqlc.FindingsWriteParams{At: timestamp(s.now())}
	var unique []Finding
	type identity struct {
		kind orders.FindingKind
		key  string
	}
	seen := map[identity]bool{}
	for _, f := range findings {
		if seen[identity{f.Kind, f.Key}] {
			continue
		}
		seen[identity{f.Kind, f.Key}] = true
		unique = append(unique, f)
		params.Providers = append(params.Providers, string(f.Provider))
		params.Kinds = append(params.Kinds, string(f.Kind))
		params.Keys = append(params.Keys, f.Key)
		params.OrderIds = append(params.OrderIds, printable(f.OrderID, 100))
		params.Details = append(params.Details, printable(f.Detail, 500))
	}
	rows, err := s.queries.FindingsWrite(ctx, tx, params)
	if err != nil {
		return nil, err
	}
	for i, row := range rows { // the rows are in the order of the columns
		if row {
			fresh = append(fresh, unique[i])
		}
	}
	return fresh, nil
}

// List lists findings of a state, the oldest last.
func (s *Findings) List(ctx context.Context, state FindingState, limit int) ([]Finding, error) {
	rows, err := s.queries.FindingsList(ctx, s.db, &dbsqlc.FindingsListParams{
		State: string(state), PageSize: int32(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list findings: %w", err)
	}
	return decodeFindings(rows), nil
}

// Accept closes the open findings of a provider's key on behalf of an operator, and writes the audit log. It returns
// the findings that it closed.
func (s *Findings) Accept(
	ctx context.Context, p orders.Provider, key, reason string, who Actor,
) (accepted []Finding, err error) {
	var asked []Finding
	for _, kind := range orders.FindingKinds() {
		asked = append(asked, Finding{Provider: p, Kind: kind, Key: key})
	}
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var err error
		if accepted, err = s.close(ctx, tx, asked, FindingAccepted); err != nil || len(accepted) == 0 {
			return err
		}
		return s.audit(ctx, tx, []AuditEntry{{
			Actor: who, Action: "findings.accept", Target: string(p) + " " + key, Detail: map[string]any{"reason": reason},
		}})
	})
	if err != nil {
		return nil, fmt.Errorf("accept findings: %w", err)
	}
	return accepted, nil
}

func (s *Findings) close(
	ctx context.Context, tx pgx.Tx, findings []Finding, state FindingState,
) ([]Finding, error) {
	params := &dbsqlc.FindingsCloseParams{State: string(state)}
	params.Providers, params.Kinds, params.Keys = findingColumns(findings)
	rows, err := s.queries.FindingsClose(ctx, tx, params)
	return decodeFindings(rows), err
}

// findingColumns lays out the columns that identify findings.
func findingColumns(findings []Finding) (providers, kinds, keys []string) {
	for _, f := range findings {
		providers = append(providers, string(f.Provider))
		kinds = append(kinds, string(f.Kind))
		keys = append(keys, f.Key)
	}
	return providers, kinds, keys
}

// latestFindings is how many open findings are counted. After a provider has lost its records there are as many as it
// has effects, and each process counts at each scrape.
const latestFindings = 20_000

// CountOpen counts the latest open findings by provider and kind.
func (s *Findings) CountOpen(ctx context.Context) (map[orders.Provider]map[orders.FindingKind]int64, error) {
	rows, err := s.queries.FindingsOpen(ctx, s.db, latestFindings)
	if err != nil {
		return nil, fmt.Errorf("count findings: %w", err)
	}
	counts := map[orders.Provider]map[orders.FindingKind]int64{}
	for _, row := range rows {
		p := orders.Provider(row.Provider)
		if counts[p] == nil {
			counts[p] = map[orders.FindingKind]int64{}
		}
		counts[p][orders.FindingKind(row.Kind)] = row.Findings
	}
	return counts, nil
}

func decodeFindings(rows []dbsqlc.ReconciliationFinding) []Finding {
	list := make([]Finding, len(rows))
	for i, row := range rows {
		list[i] = Finding{
			Provider: orders.Provider(row.Provider), Kind: orders.FindingKind(row.Kind), Key: row.Key, OrderID: row.OrderID,
			Detail: row.Detail, State: FindingState(row.State),
			FirstSeenAt: row.FirstSeenAt.UTC(), LastSeenAt: row.LastSeenAt.UTC(), RecheckedAt: row.RecheckedAt.UTC(),
		}
	}
	return list
}
