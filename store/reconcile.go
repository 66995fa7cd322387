package store

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Findings are the findings of reconciliation, and its progress.
type Findings struct {
	*database

	orders *Orders
}

// ReconciliationState is the result of the latest comparison with a provider.
type ReconciliationState string

// A comparison may be incomplete for a reason that is not an error.
const (
	ReconciliationOK          ReconciliationState = "ok"
	ReconciliationBehind      ReconciliationState = "behind"      // there is more to compare, in the next run
	ReconciliationNotListed   ReconciliationState = "not_listed"  // the provider has no list, so nothing is compared
	ReconciliationUnavailable ReconciliationState = "unavailable" // the provider did not answer
)

// Reconciliation is the progress of the comparison with one provider.
type Reconciliation struct {
	Provider orders.Provider
	State    ReconciliationState
	To       time.Time // everything before it has been compared
	Cursor   Cursor    // steps up to here in our log have been looked up at the provider
	RanAt    time.Time
	Span     Span // the span after To that is being compared; zero if there is none
	// AskedBefore is the last dead letter that the provider was asked about again; zero: the next round begins.
	AskedBefore orders.ID
}

// Span is the progress within a span of time that is too long for one run.
type Span struct {
	To     time.Time // its end
	Cursor string    // of the next page of the provider's listing; empty for the first
	Listed bool      // there are no more pages
}

// maxSpanCursor is the longest cursor of a provider that is stored. With a longer one the span begins again.
const maxSpanCursor = 4000

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
	Kind        orders.Drift
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

// Comparison is the result of comparing effects with our orders.
type Comparison struct {
	Findings  []Finding
	Unsettled []orders.Effect // effects that cannot be judged yet
}

// Add adds the result of another comparison.
func (c *Comparison) Add(other Comparison) {
	c.Findings = append(c.Findings, other.Findings...)
	c.Unsettled = append(c.Unsettled, other.Unsettled...)
}

// Compare finds the effects that disagree with our orders, and the effects that cannot be judged yet. A step's intent
// is stored before its effect happens, and an effect is listed after it happened. So an order in progress is not a
// difference.
func (s *Findings) Compare(ctx context.Context, effects []orders.Effect) (c Comparison, err error) {
	owner := func(e orders.Effect) orders.ID {
		if step, err := orders.ParseStepKey(e.Key); err == nil {
			return step.OrderID
		}
		id, _ := uuid.Parse(e.OrderID) // no order has the zero id
		return id
	}
	ids := make([]orders.ID, len(effects))
	for i, e := range effects {
		ids[i] = owner(e)
	}
	found, err := s.orders.read(ctx, s.db, ids)
	if err != nil {
		return Comparison{}, fmt.Errorf("read orders: %w", err)
	}
	for _, e := range effects {
		kind, detail := orders.DriftUnknownOrder, "there is no such order"
		switch order, there := found[owner(e)]; {
		case there && order.err != nil: // one such order must not hold up the comparison of all others
			detail = "its order cannot be read"
		case there:
			kind, detail = order.Compare(e)
			if order.Unsettled(e) {
				c.Unsettled = append(c.Unsettled, e)
			}
		}
		if kind != "" {
			c.Findings = append(c.Findings, Finding{
				Provider: e.Provider, Kind: kind, Key: e.Key, OrderID: e.OrderID, Detail: detail,
			})
		}
	}
	return c, nil
}

// Progress returns the progress with each provider. A provider that was never compared is missing.
func (s *Findings) Progress(ctx context.Context) ([]Reconciliation, error) {
	rows, err := s.queries.ReconcileProgress(ctx, s.db)
	if err != nil {
		return nil, fmt.Errorf("read reconciliation: %w", err)
	}
	list := make([]Reconciliation, len(rows))
	for i, row := range rows {
		cursor, err := ParseCursor(row.LogCursor)
		if err != nil {
			return nil, fmt.Errorf("read reconciliation of %s: %w", row.Provider, err)
		}
		list[i] = Reconciliation{
			Provider: orders.Provider(row.Provider), State: ReconciliationState(row.State), To: row.ReconciledTo.UTC(),
			Cursor: cursor, RanAt: row.RanAt.UTC(), AskedBefore: row.AskedBefore,
			Span: Span{row.SpanTo.UTC(), row.SpanCursor, row.SpanListed},
		}
	}
	return list, nil
}

// SaveProgress stores the result of a comparison with a provider together with its progress, and returns the findings
// that are new.
func (s *Findings) SaveProgress(
	ctx context.Context, r Reconciliation, found Comparison,
) (fresh []Finding, err error) {
	if len(r.Span.Cursor) > maxSpanCursor || !utf8.ValidString(r.Span.Cursor) || strings.Contains(r.Span.Cursor, "\x00") {
		r.Span = Span{}
	}
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if fresh, err = s.write(ctx, tx, found.Findings); err != nil {
			return err
		}
		if err := s.keepUnsettled(ctx, tx, r.Provider, found.Unsettled); err != nil {
			return err
		}
		return s.queries.ReconcileProgressWrite(ctx, tx, &dbsqlc.ReconcileProgressWriteParams{
			Provider: string(r.Provider), State: string(r.State), ReconciledTo: r.To, LogCursor: r.Cursor.String(),
			RanAt: timestamp(s.now()), SpanTo: r.Span.To, SpanCursor: r.Span.Cursor, SpanListed: r.Span.Listed,
		})
	})
	if err != nil {
		return nil, fmt.Errorf("save reconciliation: %w", err)
	}
	return fresh, nil
}

// write adds findings, or updates those that exist, and returns the new ones.
func (s *Findings) write(ctx context.Context, tx pgx.Tx, findings []Finding) (fresh []Finding, err error) {
	params := &dbsqlc.FindingsWriteParams{At: timestamp(s.now())}
	var unique []Finding
	type identity struct {
		kind orders.Drift
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
	for _, kind := range orders.Drifts() {
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
	params := &dbsqlc.FindingsSettleParams{State: string(state)}
	params.Providers, params.Kinds, params.Keys = findingColumns(findings)
	rows, err := s.queries.FindingsSettle(ctx, tx, params)
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

// CountOpen counts the open findings by provider and kind.
func (s *Findings) CountOpen(ctx context.Context) (map[orders.Provider]map[orders.Drift]int64, error) {
	rows, err := s.queries.FindingsOpen(ctx, s.db)
	if err != nil {
		return nil, fmt.Errorf("count findings: %w", err)
	}
	counts := map[orders.Provider]map[orders.Drift]int64{}
	for _, row := range rows {
		p := orders.Provider(row.Provider)
		if counts[p] == nil {
			counts[p] = map[orders.Drift]int64{}
		}
		counts[p][orders.Drift(row.Kind)] = row.Findings
	}
	return counts, nil
}

func decodeFindings(rows []dbsqlc.ReconciliationFinding) []Finding {
	list := make([]Finding, len(rows))
	for i, row := range rows {
		list[i] = Finding{
			Provider: orders.Provider(row.Provider), Kind: orders.Drift(row.Kind), Key: row.Key, OrderID: row.OrderID,
			Detail: row.Detail, State: FindingState(row.State),
			FirstSeenAt: row.FirstSeenAt.UTC(), LastSeenAt: row.LastSeenAt.UTC(), RecheckedAt: row.RecheckedAt.UTC(),
		}
	}
	return list
}
