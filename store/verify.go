package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Verifier checks the invariants.
type Verifier struct {
	*database

	steps   *Steps
	notices *Notices
}

const (
	verifyTimeout = 8 * time.Second // of each transaction
	verifyPage    = 500             // orders
	verifyLogPage = 5000            // events
	// verifyRecent is how many events the cheap mode reads. At ten events an order that is the last 500 orders.
	verifyRecent = 5000
	// examples is how many orders, and details, a violation keeps. Its count is exact.
	examples = 20
)

// VerifyOptions selects what to verify.
type VerifyOptions struct {
	// Deep checks all orders and the whole log, not only the orders of the last 5,000 events. It has no time limit, and
	// uses a transaction for each page: a long transaction would hold up vacuum.
	Deep bool
	// Skip names checks to leave out.
	Skip   []string
	Limits Limits
	// Findings, if not nil, are the findings of a comparison that was just made. They replace the stored findings, except
	// for accepted ones.
	Findings []Finding
	// Periodic reports whether the check of verification itself waits for this verification.
	Periodic bool
	// Progress, if not nil, is called before each part and each page of a verification.
	Progress func(part string, orders, events int64)
}

// Limits bound how long something may take, or how much it may use.
type Limits struct {
	Job           time.Duration // from a job's start to its rescue; 90 s
	Writer        time.Duration // a transaction that writes; 10 s
	Snapshot      time.Duration // any other transaction; 5 min
	Notifications float64       // the share of the notification queue in use; 0.01

	SlotWAL       int64 // bytes of WAL that a replication slot keeps; 10 GiB
	UnusedSlotWAL int64 // the same for a slot that has been unused for 10 min; 1 GiB
	// SlotRows and SlotCatalogRows count the transactions whose dead rows a slot or a standby keeps. A million is what a
	// busy shop makes within minutes. Of the catalog's rows it is a hundred million: half of what makes Postgres freeze
	// tables by force (autovacuum_freeze_max_age).
	SlotRows, SlotCatalogRows int64
}

// Verification is the result of Verify.
type Verification struct {
	StartedAt       time.Time   `json:"startedAt"`
	DurationSeconds float64     `json:"durationSeconds"`
	Deep            bool        `json:"deep"`
	Orders          int64       `json:"orders"` // checked
	Events          int64       `json:"events"`
	Violations      []Violation `json:"violations"` // empty if all is well
}

// Violation is a check that failed.
type Violation struct {
	Check     string      `json:"check"`
	Invariant string      `json:"invariant,omitempty"`
	Count     int         `json:"count"`
	Orders    []orders.ID `json:"orders,omitempty"`  // at most 20
	Details   []string    `json:"details,omitempty"` // at most 20, without personal data
	Means     string      `json:"means"`
	Do        string      `json:"do"`
}

// Verify checks the invariants that the database can show, and whether orders, jobs and upkeep make progress. It
// changes nothing: each part reads one moment in a read-only transaction.
//
// An error means that something could not be checked. It reports nothing about the invariants.
func (s *Verifier) Verify(ctx context.Context, options VerifyOptions) (Verification, error) {
	limits := &options.Limits
	limits.Job, limits.Writer = cmp.Or(limits.Job, 90*time.Second), cmp.Or(limits.Writer, 10*time.Second)
	limits.Snapshot, limits.Notifications = cmp.Or(limits.Snapshot, 5*time.Minute), cmp.Or(limits.Notifications, 0.01)
	limits.SlotWAL, limits.UnusedSlotWAL = cmp.Or(limits.SlotWAL, 10<<30), cmp.Or(limits.UnusedSlotWAL, 1<<30)
	limits.SlotRows, limits.SlotCatalogRows = cmp.Or(limits.SlotRows, 1e6), cmp.Or(limits.SlotCatalogRows, 1e8)
	v := &verification{
		verifier: s, options: options, found: map[string]*Violation{},
		Verification: Verification{StartedAt: timestamp(s.now()), Deep: options.Deep, Violations: []Violation{}},
	}
	start := time.Now()
	err := v.run(ctx)
	if err != nil {
		return Verification{}, fmt.Errorf("verify: %w", classify(err))
	}
	v.DurationSeconds = time.Since(start).Seconds()
	v.Violations = append(v.Violations, v.violations()...)
	return v.Verification, nil
}

// verification is a verification under way.
type verification struct {
	Verification

	verifier *Verifier
	options  VerifyOptions
	found    map[string]*Violation
}

// violations returns what was found, in the order of Checks.
func (v *verification) violations() (list []Violation) {
	for _, check := range Checks() {
		if found := v.found[check.Name]; found != nil {
			list = append(list, *found)
		}
	}
	return list
}

func (v *verification) run(ctx context.Context) error {
	v.progress("system")
	if err := v.transaction(ctx, v.system); err != nil {
		return err
	}
	v.progress("jobs")
	if err := v.jobs(ctx); err != nil {
		return err
	}
	if !v.options.Deep {
		v.progress("recent orders")
		return v.transaction(ctx, v.recentOrders)
	}
	if err := v.allOrders(ctx); err != nil {
		return err
	}
	return v.wholeLog(ctx)
}

func (v *verification) progress(part string) {
	if v.options.Progress != nil {
		v.options.Progress(part, v.Orders, v.Events)
	}
}

// transaction runs fn in a read-only transaction that reads one moment.
func (v *verification) transaction(ctx context.Context, fn func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	return pgx.BeginFunc(ctx, v.verifier.db, func(tx pgx.Tx) error {
		if err := v.verifier.queries.VerifyBegin(ctx, tx); err != nil {
			return err
		}
		return fn(ctx, tx)
	})
}

// report notes a violation. id is the order that is concerned; zero if it is not about one order.
func (v *verification) report(check string, id orders.ID, format string, args ...any) {
	if slices.Contains(v.options.Skip, check) {
		return
	}
	found := v.found[check]
	if found == nil {
		i := slices.IndexFunc(Checks(), func(c Check) bool { return c.Name == check })
		c := Checks()[i]
		found = &Violation{Check: check, Invariant: c.Invariant, Means: c.Means, Do: c.Do}
		v.found[check] = found
	}
	found.Count++
	detail := fmt.Sprintf(format, args...)
	if id != (orders.ID{}) {
		detail = id.String() + ": " + detail
		if len(found.Orders) < examples && !slices.Contains(found.Orders, id) {
			found.Orders = append(found.Orders, id)
		}
	}
	if len(found.Details) < examples {
		found.Details = append(found.Details, detail)
	}
}

// Save stores a verification as the latest one, unless a later one is stored, and tells operators of the violations
// that they do not know of. body makes the messages to webhooks.
func (s *Verifier) Save(ctx context.Context, v Verification, body NoticeBody) error {
	violations, err := json.Marshal(v.Violations)
	if err != nil {
		return fmt.Errorf("encode violations: %w", err)
	}
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.queries.VerificationWrite(ctx, tx, &dbsqlc.VerificationWriteParams{
			StartedAt: v.StartedAt, DurationSeconds: v.DurationSeconds, Orders: v.Orders, Events: v.Events,
			Violations: violations,
		}); err != nil {
			return err
		}
		return s.notices.violations(ctx, tx, v.Violations, body)
	})
	if err != nil {
		return fmt.Errorf("save verification: %w", err)
	}
	return nil
}

// Last returns the latest verification that was saved; its StartedAt is zero if there was none.
func (s *Verifier) Last(ctx context.Context) (Verification, error) {
	row, err := s.queries.VerificationRead(ctx, s.db)
	if errors.Is(err, pgx.ErrNoRows) {
		return Verification{}, nil
	}
	if err != nil {
		return Verification{}, fmt.Errorf("read verification: %w", err)
	}
	v := Verification{
		StartedAt: row.StartedAt.UTC(), DurationSeconds: row.DurationSeconds, Orders: row.Orders, Events: row.Events,
	}
	if err := json.Unmarshal(row.Violations, &v.Violations); err != nil {
		return Verification{}, fmt.Errorf("decode violations: %w", err)
	}
	return v, nil
}
