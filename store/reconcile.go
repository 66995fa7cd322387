package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

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
	found, err := s.orders.read(ctx, s.db, owners(effects))
	if err != nil {
		return Comparison{}, fmt.Errorf("read orders: %w", err)
	}
	lost := slices.DeleteFunc(slices.Clone(effects), func(e orders.Effect) bool {
		_, there := found[owner(e)]
		return there
	})
	undone, err := s.undone(ctx, lost)
	if err != nil {
		return Comparison{}, err
	}
	archived, err := s.archived(ctx, s.db, owners(effects), found)
	if err != nil {
		return Comparison{}, err
	}
	for _, e := range effects {
		if undone[e] || archived[owner(e)] { // an archived order was compared when it was here
			continue
		}
		kind, detail := orders.FindingUnknownOrder, "there is no such order"
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

// archived returns those of some orders that are archived. It asks only if one is not among the orders that were found.
func (s *Findings) archived(
	ctx context.Context, db dbsqlc.DBTX, ids []orders.ID, found map[orders.ID]readOrder,
) (archived map[orders.ID]bool, err error) {
	var missing []orders.ID
	for _, id := range ids {
		if _, there := found[id]; !there {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	rows, err := s.queries.ArchivedAmong(ctx, db, missing)
	if err != nil {
		return nil, fmt.Errorf("look for archived orders: %w", err)
	}
	archived = make(map[orders.ID]bool, len(rows))
	for _, id := range rows {
		archived[id] = true
	}
	return archived, nil
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
